//! Projects and what they may use.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Time;

/// The most that a project's instances may have together. What is absent has no
/// limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<u64>,
    /// Virtual processor cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<u64>,
    /// Memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Disks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
}

/// What a project's instances have together, with what is being added to them.
/// Instances whose creation failed do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Instances.
    pub instances: u64,
    /// Virtual processor cores.
    pub cores: u64,
    /// Memory.
    pub memory_bytes: u64,
    /// Disks.
    pub disk_bytes: u64,
}

/// What a project is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetProject {
    /// What people say about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What it may use.
    #[serde(default)]
    pub quota: Quota,
}

/// A project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// What people say about it.
    #[serde(default)]
    pub description: String,
    /// What it may use.
    pub quota: Quota,
    /// What it uses.
    pub used: Usage,
    /// When its limits were set first; now, when nobody has set any.
    pub created_at: Time,
}

/// Projects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProjectList {
    /// The projects, by name.
    pub projects: Vec<Project>,
}
