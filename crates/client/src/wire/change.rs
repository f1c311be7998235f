//! Changes of an instance that is there: size, name and tags, snapshots, host.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::Time;

/// A new size. What is absent stays, or comes from the flavour.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// The flavour: its id or its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flavour: Option<String>,
    /// Virtual processor cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
    /// Memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// The root disk; it only ever grows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
}

/// What people call an instance, and what protects it. What is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditInstance {
    /// Its name: a DNS name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What people say about it, at most 4096 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// All its tags, instead of those that it has: 1 to 64 lower-case letters,
    /// digits, `_`, `-`, `+`, `.`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeSet<String>>,
    /// Whether it is protected against deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protected: Option<bool>,
    /// When it is deleted by itself; `null`: never. It can be put off also while
    /// the hypervisor is away.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schema(value_type = Option<Time>)]
    pub expires_at: Option<Option<Time>>,
}

/// A value that is there, be it `null`.
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<Time>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// A guest to adopt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdoptInstance {
    /// The provider where it is.
    pub provider: String,
    /// What its provider calls it; on Proxmox VE its vmid.
    pub guest: String,
    /// Whether it becomes ours: it gets our mark, may be changed, and is removed
    /// when the instance is deleted. Otherwise it is watched, started and
    /// stopped, and stays when the instance is deleted.
    #[serde(default)]
    pub owned: bool,
    /// When it is deleted (or let go) by itself; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Another project than the caller's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
}

/// A snapshot to take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSnapshot {
    /// Its name: 2 to 40 letters, digits, `-` and `_`, beginning with a letter.
    pub name: String,
    /// What people say about it, at most 4096 bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whether the memory of a running guest is saved, too.
    #[serde(default)]
    pub memory: bool,
}

/// A snapshot of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// What people say about it.
    pub description: String,
    /// Whether it was taken with the guest's memory.
    pub memory: bool,
    /// The snapshot that the guest stood on when it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Whether the guest stands on it now.
    pub current: bool,
    /// When it was taken.
    pub created_at: Time,
}

/// The snapshots of an instance, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SnapshotList {
    /// The snapshots.
    pub snapshots: Vec<Snapshot>,
}

/// How to move an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Migrate {
    /// The host; the best one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Whether a running guest goes on running meanwhile. Otherwise a running
    /// guest is refused.
    #[serde(default)]
    pub online: bool,
}

/// A host, and what speaks for or against an instance there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostScore {
    /// The host.
    pub host: String,
    /// Its score: more is better. Absent when it will not do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Why it will not do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// The hosts where an instance is not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DestinationList {
    /// The hosts.
    pub destinations: Vec<HostScore>,
}
