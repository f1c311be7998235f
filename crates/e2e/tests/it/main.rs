//! Whole-stack tests.
// Each example of the client library is a program with its own `support`.
#![allow(clippy::duplicate_mod)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod chaos;
mod cloud_init;
mod life;
mod pve;
mod reload;
mod replicas;
mod story;
mod torture;
mod visa;
