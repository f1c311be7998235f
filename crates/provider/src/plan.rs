//! Plans: ordered lists of actions, as data.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An id that a plan needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdRequest {
    /// The pool, unique within the house, for example `proxmox/lab/vmid`.
    pub pool: String,
    /// The range to take it from.
    pub range: RangeInclusive<u64>,
    /// Ids that are known to be in use by others.
    pub taken: Vec<u64>,
    /// How long the id stays retired after it is given back: longer than the
    /// lease plus the longest timeout of a request that names it.
    pub retire_for: Duration,
}

/// An id that the house has reserved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservedId {
    /// The pool.
    pub pool: String,
    /// The id.
    pub value: u64,
}

/// A limit on how many effects are in flight under one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// What is limited, for example `host/lab/pve1`.
    pub key: String,
    /// How many at once, at least 1.
    pub at_most: u32,
}

/// One effect outside, as data. Opaque to everyone but its provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Its name, unique within its plan.
    pub name: String,
    /// The version of its payload.
    pub version: u32,
    /// What the provider needs to carry it out.
    pub payload: Value,
    /// Whether it can be taken back. An action that cannot is the plan's pivot
    /// or comes after it.
    pub reversible: bool,
    /// Limits that it counts against while it is in flight.
    pub limits: Vec<Limit>,
    /// How long one request of it may take to be sent and answered.
    pub request_timeout: Duration,
    /// How long after a lost answer its effect may still appear.
    pub settle: Duration,
    /// How long it may take as a whole, with all its retries and waits.
    pub deadline: Duration,
    /// How many tries that fail it has; `None`: as many as usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
}

/// An ordered list of actions that carries out one intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The provider's kind.
    pub provider: String,
    /// What is known of the guest before the first action (create plans: the
    /// reserved id): enough for a destroy plan to find and remove whatever an
    /// attempt may have left. `Null` for other plans.
    pub reference: Value,
    /// The actions in order.
    pub actions: Vec<Action>,
}
