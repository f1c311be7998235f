//! The simulator over its own TLS port, fact by fact.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod backup;
mod cluster;
mod faults;
mod lifecycle;
mod lxc;
mod permissions;
mod qemu;
mod recorded;
mod releases;
mod rules;
mod scale;
mod state;
mod support;
mod tasks;
mod transport;
