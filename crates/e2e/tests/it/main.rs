//! Whole-stack tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod chaos;
mod pve;
mod replicas;
mod story;
mod torture;
