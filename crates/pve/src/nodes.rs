//! Nodes: `/nodes`.

mod backup;
mod load;
mod network;
mod power;

use serde::Deserialize;

pub use backup::{BackupDefaults, BackupRequest};
pub(crate) use load::rrd_params;
pub use load::{RrdGraph, RrdPoint};
pub use network::{Interface, InterfaceHandle, InterfaceRequest, NetworkConfig};
pub use power::BulkRequest;

use crate::lenient::List;
use crate::qemu::{Qemu, QemuEntry};
use crate::resource::{Resource, handle};
use crate::storage::{NodeStorage, StorageEntry};
use crate::tasks::{TaskFilter, TaskPage};
use crate::{Client, Error, Params, Upid, VmId, lenient};

/// `/nodes/NODE`.
#[derive(Clone, Debug)]
pub struct Node(Resource);
handle!(Node);

/// One line of the list of nodes. Figures need `Sys.Audit`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct NodeEntry {
    /// The name.
    pub node: String,
    /// `online`, `offline`, `unknown`.
    #[serde(default, deserialize_with = "lenient::string")]
    pub status: String,
    /// Load, 0 to 1.
    #[serde(default, deserialize_with = "lenient::opt_f64")]
    pub cpu: Option<f64>,
    /// Cores.
    #[serde(default, deserialize_with = "lenient::opt_f64")]
    pub maxcpu: Option<f64>,
    /// Memory in use, bytes.
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    pub mem: Option<u64>,
    /// Memory, bytes.
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    pub maxmem: Option<u64>,
    /// The root file system in use, bytes.
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    pub disk: Option<u64>,
    /// The root file system, bytes.
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    pub maxdisk: Option<u64>,
    /// Seconds since the boot.
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    pub uptime: Option<u64>,
    /// SHA-256 of the certificate of the node's API.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub ssl_fingerprint: Option<String>,
}

impl NodeEntry {
    /// Does it take part in the cluster?
    pub fn is_online(&self) -> bool {
        self.status == "online"
    }
}

/// Used, free and total bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Usage {
    /// Bytes in use.
    #[serde(deserialize_with = "lenient::opt_u64")]
    pub used: Option<u64>,
    /// Bytes free.
    #[serde(deserialize_with = "lenient::opt_u64")]
    pub free: Option<u64>,
    /// Bytes in all.
    #[serde(deserialize_with = "lenient::opt_u64")]
    pub total: Option<u64>,
}

/// The processors of a node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct CpuInfo {
    /// Threads that the kernel schedules.
    #[serde(deserialize_with = "lenient::opt_u32")]
    pub cpus: Option<u32>,
    /// Cores.
    #[serde(deserialize_with = "lenient::opt_u32")]
    pub cores: Option<u32>,
    /// Sockets.
    #[serde(deserialize_with = "lenient::opt_u32")]
    pub sockets: Option<u32>,
    /// The model's name.
    #[serde(deserialize_with = "lenient::opt_string")]
    pub model: Option<String>,
}

/// A node's state. Needs `Sys.Audit` on the node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NodeStatus {
    /// `pve-manager/8.4.21/2606ac85`.
    #[serde(deserialize_with = "lenient::string")]
    pub pveversion: String,
    /// Load of all cores, 0 to 1.
    #[serde(deserialize_with = "lenient::opt_f64")]
    pub cpu: Option<f64>,
    /// Load averages over 1, 5 and 15 minutes, as text.
    #[serde(deserialize_with = "lenient::strings")]
    pub loadavg: Vec<String>,
    /// Seconds since the boot.
    #[serde(deserialize_with = "lenient::opt_u64")]
    pub uptime: Option<u64>,
    /// The processors.
    pub cpuinfo: CpuInfo,
    /// Main memory.
    pub memory: Usage,
    /// Swap.
    pub swap: Usage,
    /// The root file system.
    pub rootfs: Usage,
}

impl Client {
    /// The nodes of the cluster.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn nodes(&self) -> Result<Vec<NodeEntry>, Error> {
        let List(nodes) = Resource::new(self, "nodes").get(()).await?;
        Ok(nodes)
    }

    /// A node.
    pub fn node(&self, name: &str) -> Node {
        Node(Resource::new(self, "nodes").join(name))
    }
}

impl Node {
    pub(crate) fn resource(&self) -> &Resource {
        &self.0
    }

    /// The node's state.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn status(&self) -> Result<NodeStatus, Error> {
        self.0.sub("status").get(()).await
    }

    /// Tasks that the node ran or runs.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn tasks(&self, filter: &TaskFilter) -> Result<TaskPage, Error> {
        let reply = self.0.sub("tasks").send(http::Method::GET, filter).await?;
        let (List(tasks), total) = reply.with_total()?;
        Ok(TaskPage { tasks, total })
    }

    /// The virtual machines on the node. One that the caller may not see is
    /// left out without a word, so absence proves nothing.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn qemu_list(&self) -> Result<Vec<QemuEntry>, Error> {
        let List(list) = self.0.sub("qemu").get(()).await?;
        Ok(list)
    }

    /// A virtual machine on this node.
    pub fn qemu(&self, vmid: VmId) -> Qemu {
        Qemu(self.0.sub("qemu").join(vmid))
    }

    /// Makes a virtual machine with this configuration (`name`, `memory`,
    /// `net0`, …), or restores one (`archive`). The id may be taken by somebody
    /// else in the meantime: [`Error::already_exists`].
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn create_qemu(&self, vmid: VmId, config: impl Into<Params>) -> Result<Upid, Error> {
        let params = Params::new().set("vmid", vmid).and(config);
        self.0.sub("qemu").post(params).await?.started()
    }

    /// The storages that the node can reach, with their space.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn storages(&self) -> Result<Vec<StorageEntry>, Error> {
        let List(list) = self.0.sub("storage").get(()).await?;
        Ok(list)
    }

    /// A storage as this node sees it.
    pub fn storage(&self, name: &str) -> NodeStorage {
        NodeStorage(self.0.sub("storage").join(name))
    }
}
