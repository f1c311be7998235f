//! Whole-stack tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod chaos;
mod pve;
mod story;
mod torture;
