//! Virtual machines: `/nodes/NODE/qemu`.

mod agent;
mod agent_more;
mod clone;
mod config;
mod console;
mod snapshot;
mod status;

use std::collections::BTreeSet;

use serde::Deserialize;

pub use agent::{AgentAddress, AgentInterface, ExecStatus, FileContent, GuestAgent, OsInfo};
pub use agent_more::{AgentFilesystem, AgentUser};
pub use clone::{CloneRequest, DeleteRequest, Feature, MigrateRequest, MoveDiskRequest};
pub use config::{ConfigChange, PendingValue, QemuConfig};
pub use console::{MigrateCheck, RemoteMigrateRequest};
pub use snapshot::{Snapshot, SnapshotHandle};
pub use status::{HaStatus, QemuStatus, ShutdownRequest};

use crate::firewall::GuestFirewall;
use crate::resource::{Resource, handle};
use crate::{VmId, lenient};

/// `/nodes/NODE/qemu/VMID`.
#[derive(Clone, Debug)]
pub struct Qemu(pub(crate) Resource);
handle!(Qemu);

/// One line of a node's list of virtual machines.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct QemuEntry {
    /// The id.
    pub vmid: VmId,
    /// The name; `VM 221` when it has none.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub name: Option<String>,
    /// `running` or `stopped`; a paused one runs.
    #[serde(default, deserialize_with = "lenient::string")]
    pub status: String,
    /// Is it a template?
    #[serde(default, deserialize_with = "lenient::bool")]
    pub template: bool,
    /// The lock in its configuration.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub lock: Option<String>,
    /// Its tags as stored; see [`split_tags`].
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub tags: Option<String>,
    /// Seconds since the start.
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    pub uptime: Option<u64>,
    /// Cores.
    #[serde(default, deserialize_with = "lenient::opt_f64")]
    pub cpus: Option<f64>,
    /// Memory in use, bytes.
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    pub mem: Option<u64>,
    /// Memory, bytes.
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    pub maxmem: Option<u64>,
    /// The boot disk's size, bytes.
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    pub maxdisk: Option<u64>,
}

/// Tags as a set. They are separated by `;`, `,` or blanks, depending on who
/// wrote them.
pub fn split_tags(tags: &str) -> BTreeSet<&str> {
    tags.split([';', ',', ' ']).filter(|tag| !tag.is_empty()).collect()
}

impl Qemu {
    /// The guest agent inside the machine.
    pub fn agent(&self) -> GuestAgent {
        GuestAgent(self.0.sub("agent"))
    }

    /// The machine's firewall.
    pub fn firewall(&self) -> GuestFirewall {
        GuestFirewall(self.0.sub("firewall"))
    }
}
