//! The types of the native API, version 1.
//!
//! Requests refuse unknown fields. Amounts carry their unit in the name
//! (`memory_bytes`, `timeout_seconds`), times are RFC 3339 texts, and answers
//! may gain fields without a new version.

mod catalogue;
mod change;
mod error;
mod event;
mod instance;
mod operation;
mod orphan;
mod project;
mod secret;
mod time;
mod token;
mod webhook;
mod words;

pub use catalogue::{Device, Flavour, FlavourList, Image, ImageList, NewFlavour};
pub use change::{
    AdoptInstance, DestinationList, EditInstance, HostScore, Migrate, NewSnapshot, Resize,
    Snapshot, SnapshotList,
};
pub use error::{ErrorBody, ErrorDetail};
pub use event::{AuditEntry, AuditList, AuditQuery, Event, EventList, EventQuery};
pub use instance::{
    Accepted, Address, CreateInstance, CreateQuery, Disk, DryRun, Fault, Instance, InstanceList,
    InstanceQuery, Named, Nic, Reboot, RunningOperation, Shutdown,
};
pub use operation::{
    LogLine, Operation, OperationList, OperationLog, OperationQuery, Progress, Step,
};
pub use orphan::{AcceptedOperation, Looked, Orphan, OrphanList};
pub use project::{Project, ProjectList, Quota, SetProject, Usage};
pub use secret::Secret;
pub use time::{ParseTimeError, Time};
pub use token::{CreatedToken, NewToken, Token, TokenList};
pub use webhook::{CreatedWebhook, NewWebhook, Webhook, WebhookList};
pub use words::{
    Door, InstanceState, OperationKind, OperationState, Ownership, Phase, PowerState, Role,
    StepState,
};

/// How many rows a list answers when the request does not say.
pub const LIST_DEFAULT: usize = 100;
/// How many rows a list answers at most.
pub const LIST_MOST: usize = 1000;
/// The header by which a changing request can be sent again.
pub const IDEMPOTENCY_KEY_HEADER: &str = "idempotency-key";
/// The header of an answer that was given before.
pub const IDEMPOTENCY_REPLAYED_HEADER: &str = "idempotency-replayed";
/// The header that carries a request's id, in both directions.
pub const REQUEST_ID_HEADER: &str = "x-request-id";
