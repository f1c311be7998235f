//! Containers: `/nodes/NODE/lxc`.

mod config;
mod create;
mod disk;
mod status;

pub use config::{ConfigChange, LxcConfig};
pub use create::{CloneRequest, CreateRequest, DeleteRequest, MigrateRequest, RestoreRequest};
pub use disk::MoveVolumeRequest;
pub use status::{LxcInterface, LxcStatus, ShutdownRequest};

use crate::firewall::GuestFirewall;
use crate::nodes::Node;
use crate::requests::record;
use crate::resource::{Resource, handle};
use crate::{Error, VmId};

/// `/nodes/NODE/lxc/VMID`.
#[derive(Clone, Debug)]
pub struct Lxc(pub(crate) Resource, VmId);
handle!(Lxc);

record! {
    /// One line of a node's list of containers.
    LxcEntry {
        /// The id; a text before release 8.
        vmid: Option<VmId>,
        /// The host name.
        name: Option<String>,
        /// `running` or `stopped`.
        status: String,
        /// Is it a template?
        template: bool,
        /// The lock in its configuration.
        lock: Option<String>,
        /// Its tags as stored; see [`split_tags`](crate::qemu::split_tags).
        tags: Option<String>,
        /// Seconds since the start.
        uptime: Option<u64>,
        /// Load, 0 to 1 (of all its cores).
        cpu: Option<f64>,
        /// Cores.
        cpus: Option<f64>,
        /// Memory in use, bytes.
        mem: Option<u64>,
        /// Memory, bytes.
        maxmem: Option<u64>,
        /// Swap in use, bytes.
        swap: Option<u64>,
        /// Swap, bytes.
        maxswap: Option<u64>,
        /// The root file system in use, bytes.
        disk: Option<u64>,
        /// The root file system, bytes.
        maxdisk: Option<u64>,
    }
}

impl Node {
    /// The containers on the node. One that the caller may not see is left out
    /// without a word, so absence proves nothing.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn lxc_list(&self) -> Result<Vec<LxcEntry>, Error> {
        self.resource().sub("lxc").list(()).await
    }

    /// A container on this node, or the place for a new one.
    pub fn lxc(&self, vmid: VmId) -> Lxc {
        Lxc(self.resource().sub("lxc").join(vmid), vmid)
    }
}

impl Lxc {
    /// The id.
    pub fn vmid(&self) -> VmId {
        self.1
    }

    /// The container's firewall.
    pub fn firewall(&self) -> GuestFirewall {
        GuestFirewall(self.0.sub("firewall"))
    }
}
