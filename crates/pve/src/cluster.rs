//! The cluster as a whole: `/cluster`.

mod ha;
mod jobs;
mod mapping;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

pub use ha::{
    Ha, HaGroup, HaGroupHandle, HaGroupRequest, HaResource, HaResourceHandle, HaResourceRequest,
    HaRule, HaRuleHandle, HaRuleRequest, HaStatusEntry,
};
pub use jobs::{
    BackupJob, BackupJobHandle, BackupJobRequest, ReplicationHandle, ReplicationJob,
    ReplicationRequest,
};
pub use mapping::{Mapping, MappingHandle, MappingKind, MappingRequest};

use crate::firewall::Rules;
use crate::lenient::List;
use crate::resource::{Resource, handle};
use crate::tasks::TaskEntry;
use crate::upid::opt_vmid;
use crate::{Client, Error, Params, VmId, lenient};

/// `/cluster`.
#[derive(Clone, Debug)]
pub struct Cluster(Resource);
handle!(Cluster, ClusterFirewall);

/// One line of the cluster's status.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct ClusterNode {
    /// The node's name.
    pub name: String,
    /// Does it take part in the cluster?
    #[serde(default, deserialize_with = "lenient::bool")]
    pub online: bool,
    /// Is it the one that answered?
    #[serde(default, deserialize_with = "lenient::bool")]
    pub local: bool,
    /// Its number; 0 without a cluster.
    #[serde(default, deserialize_with = "lenient::opt_u32")]
    pub nodeid: Option<u32>,
    /// Its address in the cluster's network.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub ip: Option<String>,
}

/// The cluster's status.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ClusterStatus {
    /// The cluster's name; `None` for a node that is in no cluster.
    pub name: Option<String>,
    /// Is there a majority? `None` for a node that is in no cluster.
    pub quorate: Option<bool>,
    /// The nodes.
    pub nodes: Vec<ClusterNode>,
}

impl ClusterStatus {
    /// Can the cluster's configuration be trusted and changed? A lone node
    /// always can.
    pub fn is_quorate(&self) -> bool {
        self.quorate.unwrap_or(self.name.is_none())
    }

    /// Is every node online?
    pub fn all_online(&self) -> bool {
        self.nodes.iter().all(|node| node.online)
    }
}

impl<'de> Deserialize<'de> for ClusterStatus {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Name {
            #[serde(default, deserialize_with = "lenient::opt_string")]
            name: Option<String>,
            #[serde(default, deserialize_with = "lenient::opt_bool")]
            quorate: Option<bool>,
        }
        let mut status = Self::default();
        for row in lenient::list::<D, Value>(d)? {
            let error = serde::de::Error::custom;
            match row.get("type").and_then(Value::as_str) {
                Some("cluster") => {
                    let row: Name = serde_json::from_value(row).map_err(error)?;
                    (status.name, status.quorate) = (row.name, row.quorate);
                }
                Some("node") => status.nodes.push(serde_json::from_value(row).map_err(error)?),
                _ => {}
            }
        }
        Ok(status)
    }
}

/// Which lines of the bulk list are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResourceFilter {
    /// Virtual machines and containers.
    Guests,
    /// Storages.
    Storages,
    /// Nodes.
    Nodes,
}

/// One line of the bulk list: a guest, a node, a storage, a pool, a network
/// zone. Which fields are set depends on `kind`. A new guest is listed without
/// name, template flag and load, as `unknown`, for up to ten seconds; what the
/// caller may not see is left out without a word.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct ClusterResource {
    /// `qemu/100`, `node/pve1`, `storage/pve1/local`, …
    #[serde(default, deserialize_with = "lenient::string")]
    pub id: String,
    /// `qemu`, `lxc`, `node`, `storage`, `pool`, `sdn`, `network`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The node.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub node: Option<String>,
    /// `running`, `stopped`, `online`, `available`, `unknown`, …
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub status: Option<String>,
    /// The guest's id.
    #[serde(default, deserialize_with = "opt_vmid")]
    pub vmid: Option<VmId>,
    /// The guest's name.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub name: Option<String>,
    /// The guest's tags as stored; see [`split_tags`](crate::qemu::split_tags).
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub tags: Option<String>,
    /// The pool, of a guest or storage or as itself.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub pool: Option<String>,
    /// Is the guest a template?
    #[serde(default, deserialize_with = "lenient::opt_bool")]
    pub template: Option<bool>,
    /// The lock in the guest's configuration.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub lock: Option<String>,
    /// The state that high availability wants or sees.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub hastate: Option<String>,
    /// Seconds since the start.
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    pub uptime: Option<u64>,
    /// Load, 0 to 1 (of all its cores).
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
    /// Disk in use, bytes; always 0 for virtual machines.
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    pub disk: Option<u64>,
    /// Disk size, bytes.
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    pub maxdisk: Option<u64>,
    /// The storage's name.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub storage: Option<String>,
    /// The storage's type: `dir`, `lvmthin`, `rbd`, …
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub plugintype: Option<String>,
    /// What the storage may hold: a comma list.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub content: Option<String>,
    /// Is the storage the same on all nodes?
    #[serde(default, deserialize_with = "lenient::opt_bool")]
    pub shared: Option<bool>,
}

impl Client {
    /// The cluster as a whole.
    pub fn cluster(&self) -> Cluster {
        Cluster(Resource::new(self, "cluster"))
    }
}

impl Cluster {
    pub(crate) fn resource(&self) -> &Resource {
        &self.0
    }

    /// Name, quorum and nodes. Needs `Sys.Audit` on `/`.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn status(&self) -> Result<ClusterStatus, Error> {
        self.0.sub("status").get(()).await
    }

    /// The bulk list of everything, or of one kind.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn resources(
        &self,
        filter: Option<ResourceFilter>,
    ) -> Result<Vec<ClusterResource>, Error> {
        let filter = filter.map(|filter| match filter {
            ResourceFilter::Guests => "vm",
            ResourceFilter::Storages => "storage",
            ResourceFilter::Nodes => "node",
        });
        let params = Params::new().opt("type", filter);
        let List(rows) = self.0.sub("resources").get(params).await?;
        Ok(rows)
    }

    /// A guest id that is free now. It is not reserved.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn next_id(&self) -> Result<VmId, Error> {
        self.0.sub("nextid").get(()).await
    }

    /// Is this guest id free now?
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn is_free(&self, vmid: VmId) -> Result<bool, Error> {
        let params = Params::new().set("vmid", vmid);
        match self.0.sub("nextid").get::<VmId>(params).await {
            Ok(_) => Ok(true),
            Err(error) if error.already_exists() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Recent tasks of all nodes, running and finished. A short list: for one
    /// node's history see [`Node::tasks`](crate::nodes::Node::tasks).
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn tasks(&self) -> Result<Vec<TaskEntry>, Error> {
        let List(rows) = self.0.sub("tasks").get(()).await?;
        Ok(rows)
    }

    /// The options of the data centre, as they are.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn options(&self) -> Result<BTreeMap<String, Value>, Error> {
        self.0.sub("options").get(()).await
    }

    /// Changes options of the data centre; `delete` resets some.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn set_options(&self, params: impl Into<Params>) -> Result<(), Error> {
        self.0.sub("options").put(params).await.map(drop)
    }

    /// The firewall of the data centre.
    pub fn firewall(&self) -> ClusterFirewall {
        ClusterFirewall(self.0.sub("firewall"))
    }
}

/// `/cluster/firewall`.
#[derive(Clone, Debug)]
pub struct ClusterFirewall(pub(crate) Resource);

/// A security group.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct SecurityGroup {
    /// Its name, at most 18 characters.
    pub group: String,
    /// A comment.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub comment: Option<String>,
    /// The digest of the file that holds all groups.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub digest: Option<String>,
}

impl ClusterFirewall {
    /// The security groups.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn groups(&self) -> Result<Vec<SecurityGroup>, Error> {
        let List(rows) = self.0.sub("groups").get(()).await?;
        Ok(rows)
    }

    /// Makes an empty security group.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::already_exists`].
    pub async fn create_group(&self, name: &str, comment: Option<&str>) -> Result<(), Error> {
        let params = Params::new().set("group", name).opt("comment", comment);
        self.0.sub("groups").post(params).await.map(drop)
    }

    /// Deletes a security group, which must be empty.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn delete_group(&self, name: &str) -> Result<(), Error> {
        let group = self.0.sub("groups").join(name);
        group.delete(()).await.map(drop)
    }

    /// The rules of a security group.
    pub fn group_rules(&self, name: &str) -> Rules {
        Rules(self.0.sub("groups").join(name))
    }
}
