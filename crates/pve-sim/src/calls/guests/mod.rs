//! What virtual machines and containers have in common.

use super::sections::MODIFIED;
use crate::engine::Call;
use crate::fail::Fail;
use crate::world::guest::{Guest, Kind};

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

/// Refuses the call when its parameter (`digest`, `target-digest`) is not the
/// digest of the guest's configuration.
pub(crate) fn check_digest(call: &Call<'_>, parameter: &str, guest: &Guest) -> Result<(), Fail> {
    match call.params.get(parameter) {
        Some(given) if given != guest.digest() => Err(Fail::new(MODIFIED)),
        _ => Ok(()),
    }
}
