//! Instances.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use model::{InstanceId, OperationId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Door, HostScore, InstanceState, OperationKind, Ownership, Phase, PowerState, Secret, Time,
};

/// A request for an instance. Cores, memory and the root disk come from the
/// flavour unless they are given.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateInstance {
    /// The guest's name and host name: a DNS name.
    pub name: String,
    /// The image: its id, or its name when only one image has it.
    pub image: String,
    /// The flavour: its id or its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flavour: Option<String>,
    /// Virtual processor cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
    /// Memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Disks; the first is the image's root disk and only ever grows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<Disk>,
    /// Interfaces; empty keeps the image's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nics: Vec<Nic>,
    /// Security groups to attach, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub security_groups: Vec<String>,
    /// The host, when it must be that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Whether the guest is powered on once it is made.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub start: bool,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The guest's cloud-init user-data, for example a `#cloud-config` document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_data: Option<Secret>,
    /// The guest's network configuration, as cloud-init takes it: a document of
    /// version 1 or 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_config: Option<Secret>,
    /// Lines of `authorized_keys` that may log in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ssh_authorized_keys: Vec<String>,
    /// What people say about it, at most 4096 bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The guest's tags: 1 to 64 lower-case letters, digits, `_`, `-`, `+`, `.`;
    /// empty keeps the image's.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
    /// Whether it is protected against deletion.
    #[serde(default)]
    pub protected: bool,
    /// When it is deleted by itself, unless it is protected; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Another project than the caller's (administrators only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
}

impl CreateInstance {
    /// A request with nothing but a name and an image.
    pub fn new(name: impl Into<String>, image: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            image: image.into(),
            flavour: None,
            cores: None,
            memory_bytes: None,
            disks: Vec::new(),
            nics: Vec::new(),
            security_groups: Vec::new(),
            host: None,
            start: true,
            labels: BTreeMap::new(),
            user_data: None,
            network_config: None,
            ssh_authorized_keys: Vec::new(),
            description: String::new(),
            tags: BTreeSet::new(),
            protected: false,
            expires_at: None,
            project: None,
        }
    }
}

const fn yes() -> bool {
    true
}

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// Its size.
    pub size_bytes: u64,
}

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nic {
    /// The network it is attached to; absent: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
}

/// How to shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {
    /// How long the guest may take, 1 to 3600.
    #[serde(default = "sixty")]
    #[schema(default = 60)]
    pub timeout_seconds: u64,
    /// Whether to power it off when it has not shut down by then. Otherwise the
    /// operation fails.
    #[serde(default)]
    pub force: bool,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { timeout_seconds: sixty(), force: false }
    }
}

/// How to restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reboot {
    /// How long the guest may take to go down, 1 to 3600.
    #[serde(default = "sixty")]
    #[schema(default = 60)]
    pub timeout_seconds: u64,
}

impl Default for Reboot {
    fn default() -> Self {
        Self { timeout_seconds: sixty() }
    }
}

const fn sixty() -> u64 {
    60
}

/// An accepted request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Accepted {
    /// The instance; readable at once.
    #[schema(value_type = String, format = "uuid")]
    pub instance: InstanceId,
    /// The operation to follow.
    #[schema(value_type = String, format = "uuid")]
    pub operation: OperationId,
}

/// How to take a request for an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CreateQuery {
    /// Answer what would be done (200), and do nothing of it.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a creation would do now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DryRun {
    /// Whether it would be made.
    pub possible: bool,
    /// Why it would not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// For which project.
    pub project: String,
    /// Virtual processor cores.
    pub cores: u32,
    /// Memory.
    pub memory_bytes: u64,
    /// Disks; empty: the image's.
    pub disks: Vec<Disk>,
    /// The host that would be chosen now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Every host with its score, or the reason why not.
    pub hosts: Vec<HostScore>,
    /// The names of what would be done on the hypervisor, in order.
    pub actions: Vec<String>,
}

/// Which instances to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct InstanceQuery {
    /// Only those with this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Only those in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub state: Option<InstanceState>,
    /// Only those on this host, as last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Only those of this provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Only those made from this image: its id or its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Only those of this flavour: its id or its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flavour: Option<String>,
    /// Only those with this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Only those with this label: `key` or `key=value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Only those that this door manages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub managed_by: Option<Door>,
    /// Only those of this project (administrators see all).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Only those after this one: the `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>, format = "uuid")]
    pub after: Option<InstanceId>,
    /// At most this many: 1 to 1000, 100 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

/// One page of instances, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InstanceList {
    /// The instances.
    pub instances: Vec<Instance>,
    /// What to give as `after` for the next page; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub next: Option<InstanceId>,
}

/// A thing with an id, and its name when it still has one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Named {
    /// Its id.
    pub id: String,
    /// Its name; absent once the thing is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// An address of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Address {
    /// The address, IPv4 or IPv6.
    #[schema(value_type = String)]
    pub ip: IpAddr,
    /// The MAC address of the interface that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
}

/// Why an instance is as it should not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fault {
    /// The reason, for people.
    pub message: String,
    /// When.
    pub at: Time,
    /// The operation that failed or is stuck.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub operation: Option<OperationId>,
    /// Whether something of it may be left on the hypervisor.
    pub stuck: bool,
}

/// The operation that is changing an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunningOperation {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    pub id: OperationId,
    /// What it does.
    pub kind: OperationKind,
}

/// An instance: what was asked for, and what was last seen, with its age.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Instance {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    pub id: InstanceId,
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub project: String,
    /// The one word for its state.
    pub state: InstanceState,
    /// Where it is in its life.
    pub phase: Phase,
    /// Whether it was powered when last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<PowerState>,
    /// What it was made from; absent when it was adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Named>,
    /// The flavour it was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flavour: Option<Named>,
    /// Virtual processor cores.
    pub cores: u32,
    /// Memory.
    pub memory_bytes: u64,
    /// Disks as asked for; empty: the image's.
    pub disks: Vec<Disk>,
    /// Addresses as last seen, global ones first.
    pub addresses: Vec<Address>,
    /// The provider where it lives.
    pub provider: String,
    /// The host that carries it, as last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// What is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// The operation that is changing it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<RunningOperation>,
    /// When it was last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Time>,
    /// How long ago that was when this answer was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<u64>,
    /// When it was asked for.
    pub created_at: Time,
    /// The door that manages it.
    pub managed_by: Door,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What people say about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Its tags on the hypervisor, but for the one of guests that Innkeeper made.
    #[serde(default)]
    pub tags: BTreeSet<String>,
    /// Whether it is protected against deletion.
    #[serde(default)]
    pub protected: bool,
    /// How its guest came to be ours, if it is.
    pub ownership: Ownership,
    /// When it is deleted by itself, unless it is protected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Whether that is soon, or over.
    #[serde(default)]
    pub expiring: bool,
    /// What was accepted and waits for the guest's next start.
    #[serde(default)]
    pub pending: Vec<String>,
    /// How many snapshots it has.
    #[serde(default)]
    pub snapshots: u32,
    /// Counts accepted specifications, from 1.
    pub generation: u64,
}
