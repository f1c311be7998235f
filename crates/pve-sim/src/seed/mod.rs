//! The description of a cluster: what a simulator starts with. As values for
//! tests, or as a TOML file for `innkeeper pve-sim --seed`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::machine::DirectKernel;
use crate::schema::Version;

mod plant;
#[cfg(test)]
mod tests;

pub(crate) use plant::prepare;

/// Why a description cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The text is no TOML, or has a member that is unknown or of another type.
    #[error("the seed file cannot be read")]
    Toml(#[from] toml::de::Error),
    /// A member has a value that makes no sense.
    #[error("{0}")]
    Invalid(String),
}

fn invalid(text: impl Into<String>) -> SeedError {
    SeedError::Invalid(text.into())
}

/// A cluster. Without nodes it has one, `pve1`; without storages it has `local`
/// (directory) and `local-lvm` (thin LVM).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Seed {
    /// The release that is played.
    pub version: Version,
    /// The cluster's name; without one the node stands alone.
    pub cluster: Option<String>,
    /// `root@pam`'s password; without one only tokens can be used.
    pub root_password: Option<String>,
    /// The hosts. The first answers the API.
    #[serde(rename = "node")]
    pub nodes: Vec<NodeSeed>,
    /// The storages.
    #[serde(rename = "storage")]
    pub storages: Vec<StorageSeed>,
    /// Templates.
    #[serde(rename = "template")]
    pub templates: Vec<GuestSeed>,
    /// Guests that are no templates.
    #[serde(rename = "guest")]
    pub guests: Vec<GuestSeed>,
    /// Volumes that are no guest's disk: images, ISO files, templates of containers.
    #[serde(rename = "volume")]
    pub volumes: Vec<VolumeSeed>,
    /// Groups of users.
    #[serde(rename = "group")]
    pub groups: Vec<GroupSeed>,
    /// Users beside `root@pam`.
    #[serde(rename = "user")]
    pub users: Vec<UserSeed>,
    /// API tokens.
    #[serde(rename = "token")]
    pub tokens: Vec<TokenSeed>,
    /// Entries of the access control list.
    #[serde(rename = "acl")]
    pub acl: Vec<AclSeed>,
    /// Roles beside the built-in ones: name to privileges.
    #[serde(rename = "role")]
    pub roles: BTreeMap<String, Vec<String>>,
    /// Names of pools.
    pub pools: Vec<String>,
    /// Names of firewall security groups.
    pub firewall_groups: Vec<String>,
}

/// A host.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSeed {
    /// Its name.
    pub name: String,
    /// Processors.
    #[serde(default = "default_cpus")]
    pub cpus: u32,
    /// Memory in MiB.
    #[serde(default = "default_memory")]
    pub memory_mib: u64,
    /// Network bridges.
    #[serde(default = "default_bridges")]
    pub bridges: Vec<String>,
    /// Interfaces by name, with their options as the API names them (`type`,
    /// `cidr`, `gateway`, `bridge_ports`, …). They take the place of those that
    /// a node has by itself: `eno1` and its bridges.
    #[serde(default)]
    pub interfaces: BTreeMap<String, BTreeMap<String, String>>,
    /// Whether it can be reached.
    #[serde(default = "yes")]
    pub online: bool,
}

fn default_cpus() -> u32 {
    16
}

fn default_memory() -> u64 {
    64 << 10
}

fn default_bridges() -> Vec<String> {
    vec!["vmbr0".into()]
}

fn yes() -> bool {
    true
}

impl NodeSeed {
    /// A host with 16 processors, 64 GiB of memory and `vmbr0`.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            cpus: default_cpus(),
            memory_mib: default_memory(),
            bridges: default_bridges(),
            interfaces: BTreeMap::new(),
            online: true,
        }
    }
}

/// A storage.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageSeed {
    /// Its id.
    pub name: String,
    /// `dir`, `nfs`, `lvmthin`, `lvm`, `zfspool`, `rbd`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Content types; empty takes all that the type allows.
    #[serde(default)]
    pub content: Vec<String>,
    /// Whether all nodes see the same volumes; `nfs`, `cifs`, `cephfs` and `rbd` always are.
    #[serde(default)]
    pub shared: bool,
    /// The nodes that have it; empty is all.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// Capacity in GiB (of each node, unless shared).
    #[serde(default = "default_capacity")]
    pub capacity_gib: u64,
}

fn default_capacity() -> u64 {
    500
}

impl StorageSeed {
    /// A storage of 500 GiB on every node, with every content type.
    pub fn new(name: &str, kind: &str) -> Self {
        Self {
            name: name.into(),
            kind: kind.into(),
            content: Vec::new(),
            shared: false,
            nodes: Vec::new(),
            capacity_gib: default_capacity(),
        }
    }

    /// Makes it shared.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self
    }
}

/// A guest or template.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuestSeed {
    /// Its id.
    pub vmid: u32,
    /// Its node; empty is the first.
    pub node: String,
    /// Its name.
    pub name: Option<String>,
    /// Whether it is a container.
    pub container: bool,
    /// Memory in MiB; 0 is 512.
    pub memory_mib: u64,
    /// Processors; 0 is 1.
    pub cores: u32,
    /// The storage of its disk (`scsi0`, of a container `rootfs`); without one it has no disk.
    pub storage: Option<String>,
    /// Size of that disk in MiB; 0 is 2048.
    pub disk_mib: u64,
    /// Format of that disk on file storages; `qcow2` unless told otherwise.
    pub format: Option<String>,
    /// Whether the backend has the disk's content already: then it is not allocated.
    pub disk_prepared: bool,
    /// Whether it has a cloud-init drive (`ide2`).
    pub cloudinit: bool,
    /// Whether the guest agent is enabled.
    pub agent: bool,
    /// The bridge of `net0`; without one it has no network card.
    pub bridge: Option<String>,
    /// More options, in Proxmox's own form. They win over the members above.
    pub config: BTreeMap<String, String>,
    /// The pool it is in.
    pub pool: Option<String>,
    /// A kernel to boot directly (kept by clones).
    pub boot: Option<DirectKernel>,
    /// Whether it runs from the beginning.
    pub running: bool,
}

impl GuestSeed {
    /// A guest with agent, 512 MiB, one processor, `net0` on `vmbr0` and no disk.
    pub fn new(vmid: u32, name: &str) -> Self {
        Self {
            vmid,
            name: Some(name.into()),
            agent: true,
            bridge: Some("vmbr0".into()),
            ..Self::default()
        }
    }

    /// Puts it on a node.
    #[must_use]
    pub fn on(mut self, node: &str) -> Self {
        self.node = node.into();
        self
    }

    /// Gives it a disk.
    #[must_use]
    pub fn disk(mut self, storage: &str, mib: u64) -> Self {
        self.storage = Some(storage.into());
        self.disk_mib = mib;
        self
    }

    /// Sets an option.
    #[must_use]
    pub fn option(mut self, key: &str, value: &str) -> Self {
        self.config.insert(key.into(), value.into());
        self
    }
}

/// A volume that is no guest's disk.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeSeed {
    /// Its id: `local:import/debian.qcow2`, `local:iso/x.iso`.
    pub id: String,
    /// Its node; empty is the first. Shared storages ignore it.
    #[serde(default)]
    pub node: String,
    /// Its size in MiB.
    pub size_mib: u64,
}

/// A user.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSeed {
    /// `name@realm`
    pub id: String,
    /// The password; without one there is no log-in.
    #[serde(default)]
    pub password: Option<String>,
    /// The groups that the user is in.
    #[serde(default)]
    pub groups: Vec<String>,
    /// A comment.
    #[serde(default)]
    pub comment: Option<String>,
}

impl UserSeed {
    /// A user without a password.
    pub fn new(id: &str) -> Self {
        Self { id: id.into(), password: None, groups: Vec::new(), comment: None }
    }
}

/// A group of users.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSeed {
    /// Its id.
    pub id: String,
    /// A comment.
    #[serde(default)]
    pub comment: Option<String>,
}

/// An API token.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSeed {
    /// `name@realm!token`; the user must exist.
    pub id: String,
    /// The secret.
    pub secret: String,
    /// Whether the token has only its own rights (those that its user has, too).
    #[serde(default = "yes")]
    pub privilege_separation: bool,
}

/// An entry of the access control list.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AclSeed {
    /// The path, such as `/vms`.
    pub path: String,
    /// `name@realm`, `name@realm!token`, or `@group`.
    pub subject: String,
    /// The role.
    pub role: String,
    /// Whether it counts below the path.
    #[serde(default = "yes")]
    pub propagate: bool,
}

impl Seed {
    /// Reads a TOML description.
    pub fn from_toml(text: &str) -> Result<Self, SeedError> {
        Ok(toml::from_str(text)?)
    }
}
