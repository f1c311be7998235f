//! The provider over the simulator, in one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod clone;
mod conformance;
mod destroy;
mod doctor;
mod lab;
mod reads;
mod tune;
