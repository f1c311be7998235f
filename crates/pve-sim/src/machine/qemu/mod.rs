//! Real guests: one QEMU process each, without root and without a bridge.
//!
//! A [`Qemu`] keeps its volumes (qcow2 files), consoles and process ids in one
//! state folder, which it locks. Guests die with this process: see
//! `spawn`. The guest reaches this machine's loopback as
//! 10.0.2.2; its SSH port is forwarded to a free loopback port.
//!
//! Start with [`find_programs`], [`build_tiny`] and [`probe_acceleration`],
//! then [`Qemu::open`].

mod accel;
mod agent;
mod args;
mod backend;
mod error;
mod files;
mod guests;
mod json_lines;
mod qmp;
mod spawn;
mod tiny;
mod volumes;

pub use accel::{Accel, PROBE_BUDGET, Verdict, probe_acceleration};
pub use backend::{Programs, Qemu, QemuConfig, find_programs};
pub use error::QemuError;
pub use tiny::{TinyGuest, build_tiny};
