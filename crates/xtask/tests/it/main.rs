//! `./run` on machines that we do not have.

#![allow(clippy::unwrap_used)]

mod machine;
mod set_up;
mod suites;
