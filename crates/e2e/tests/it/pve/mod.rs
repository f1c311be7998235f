//! The client library against the simulator: every operation of its models and
//! every example, on each release that the simulator plays.
//!
//! These tests live here because neither crate may know the other: they are two
//! independent readings of the same facts.

mod containers;
mod examples;
mod identity;
mod package;
mod servers;
mod support;
mod wire;
