//! The words of the house: ids, specifications, states, intents, callers,
//! errors, and the traits behind which time and chance hide.
//!
//! This crate does no input or output, starts no thread and knows no protocol.
//! Every other crate of the house may depend on it.
#![warn(missing_docs)]

mod bytes;
mod caller;
mod error;
mod ids;
mod image;
mod instance;
mod intent;
mod operation;
pub mod random;
mod secret;
mod snapshot;
pub mod time;

pub use bytes::ByteCount;
pub use caller::{Caller, Door, IdempotencyKey, Principal, RequestTerms, Role};
pub use error::{Error, PrivateContext};
pub use ids::{
    AttemptId, FlavourId, HostId, ImageId, InstallationId, InstanceId, OperationId, ParseIdError,
    ProjectId, ProviderId, SecretId, TokenId, WebhookId,
};
pub use image::{DeviceRequest, Flavour, Image, ImagePresence};
pub use instance::{
    Address, DiskSpec, ExpiryNotes, Fault, Instance, InstanceSpec, InstanceState, NicSpec,
    Observed, Ownership, Phase, PowerState, check_name, check_tag,
};
pub use intent::{CreateIntent, EditIntent, Intent, Mark, ResizeIntent, SeedAccess};
pub use operation::{Operation, OperationKind, OperationState, StepState, StepView};
pub use random::Random;
pub use secret::Sealed;
pub use snapshot::{Snapshot, Snapshots, check_snapshot_name};
pub use time::{Clock, Sleep, Timestamp};
