//! What virtual machines and containers have in common.

use crate::world::guest::Kind;

pub(crate) mod config;
pub(crate) mod figures;
pub(crate) mod rrd;
pub(crate) mod snapshot;

/// A kind of guest, as a type: handlers that serve both are written once.
pub(crate) trait Family: Send + 'static {
    const KIND: Kind;
    /// How the types of its tasks begin.
    const TASK: &'static str;
}

/// Virtual machines: `/nodes/{node}/qemu`.
pub(crate) struct Vm;

impl Family for Vm {
    const KIND: Kind = Kind::Qemu;
    const TASK: &'static str = "qm";
}

/// Containers: `/nodes/{node}/lxc`.
pub(crate) struct Ct;

impl Family for Ct {
    const KIND: Kind = Kind::Lxc;
    const TASK: &'static str = "vz";
}
