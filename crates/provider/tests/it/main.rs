//! The conformance suite over the provider in memory.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod conformance;
