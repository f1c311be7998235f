//! The simulator over its own TLS port, fact by fact.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod answers;
mod backup;
mod changes;
mod clients;
mod cluster;
mod consoles;
mod facts;
mod faults;
mod firewall;
mod lifecycle;
mod lxc;
mod nodes;
mod permissions;
mod qemu;
mod qemu_calls;
mod recorded;
mod releases;
mod rules;
mod scale;
mod state;
mod storage;
mod support;
mod tasks;
mod transport;
