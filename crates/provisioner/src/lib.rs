//! Use cases, access, workflows, placement, seeds for guests, the observer and
//! the read model: everything between the doors and the store, and nothing that
//! knows a protocol or a hypervisor.

mod expiry;
pub mod guest;
mod house;
mod names;
mod observer;
mod placement;
mod random;
mod read_model;
#[cfg(feature = "testing")]
pub mod testing;
mod use_cases;
mod watch;
mod workflows;

pub use expiry::Expiry;
pub use guest::SeedDocuments;
pub use guest::quoted;
pub use house::{Core, House, HouseSettings, StartError};
pub use observer::Observer;
pub use placement::{HostChoice, Placement, Preference};
pub use random::SystemRandom;
pub use read_model::{InstanceFilter, ReadModel};
pub use store::{AuditEntry, AuditFilter, Event, Quota, Webhook, WebhookProgress};
pub use use_cases::{
    Accepted, AdoptInstance, Answered, CallCounts, CreateInstance, DeviceInfo, EditInstance,
    EventQuery, Figures, HostInfo, LogLine, Looked, NewFlavour, NewSnapshot, NewToken, Numbered,
    OperationFilter, OrphanInfo, OrphanReport, PlannedCreate, PowerChange, ProjectInfo,
    ResizeInstance, TakeOver, TokenInfo,
};
pub use watch::ProviderWatch;
pub use workflows::{
    CollectInput, CreateInput, DeleteInput, IntentInput, collect_kind, create_kind, delete_kind,
    instance_claim, power_kind, registry,
};
