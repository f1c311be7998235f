//! Guests that carry our mark and belong to no instance.

use model::{InstanceId, OperationId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{PowerState, Time};

/// A guest that carries our mark and belongs to no instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Orphan {
    /// The provider where it is.
    pub provider: String,
    /// What its provider calls it.
    pub guest: String,
    /// Its name on the hypervisor.
    pub name: String,
    /// The host that carries it.
    pub host: String,
    /// Whether it is powered, as last seen.
    pub power: PowerState,
    /// The instance that its mark names.
    #[schema(value_type = String, format = "uuid")]
    pub instance: InstanceId,
    /// Whether that instance is there, with another guest: then this one is most
    /// likely a copy of that guest.
    pub copy: bool,
    /// When it was found first.
    pub found_at: Time,
    /// How long ago that was when this answer was made.
    pub age_seconds: u64,
}

/// How old and how whole what is known of a provider's guests is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Looked {
    /// The provider.
    pub provider: String,
    /// When all of it was last seen; absent: not since the server began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete_at: Option<Time>,
    /// How long ago that was when this answer was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<u64>,
    /// Why the last look did not show everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
}

/// The report on orphans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrphanList {
    /// The orphans, by provider and guest.
    pub orphans: Vec<Orphan>,
    /// How far the report can be trusted: each provider's last looks.
    pub looked: Vec<Looked>,
}

/// An accepted request that is not about an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AcceptedOperation {
    /// The operation to follow.
    #[schema(value_type = String, format = "uuid")]
    pub operation: OperationId,
}
