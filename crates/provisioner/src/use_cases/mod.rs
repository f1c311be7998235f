//! The use cases: what a door may ask for. Each takes a [`model::Caller`], does
//! one thing, and answers without waiting for a hypervisor.

mod adoption;
pub(crate) mod audit;
mod changes;
mod checks;
mod dialect;
mod dry_run;
mod events;
pub(crate) mod figures;
mod flavours;
mod images;
mod instances;
mod keys;
mod operations;
mod orphans;
mod power;
mod projects;
mod take_over;
pub(crate) mod tokens;
mod webhooks;

use model::Error;

pub use adoption::AdoptInstance;
pub use changes::{EditInstance, NewSnapshot, ResizeInstance};
pub use checks::InstanceLimits;
pub use dialect::{DeviceInfo, HostInfo};
pub use dry_run::PlannedCreate;
pub use events::EventQuery;
pub use figures::{CallCounts, Figures};
pub use flavours::NewFlavour;
pub use instances::{Accepted, CreateInstance};
pub use keys::Answered;
pub use operations::{LogLine, OperationFilter};
pub use orphans::{Looked, OrphanInfo, OrphanReport};
pub use power::PowerChange;
pub use projects::ProjectInfo;
pub use take_over::{Numbered, TakeOver};
pub use tokens::{NewToken, TokenInfo};

/// What a store error means to whoever called.
fn public(error: store::Error) -> Error {
    match error {
        store::Error::ClaimHeld { by } => Error::Conflict {
            message: "another operation is changing it".to_owned(),
            operation: Some(by),
        },
        store::Error::Moved(sequence) => Error::PreconditionFailed {
            message: format!("it has been changed meanwhile: it stands at {sequence}"),
        },
        store::Error::Quota { what, used, asked, limit } => {
            Error::QuotaExceeded { message: quota_text(what, used, asked, limit) }
        }
        store::Error::KeyUsed => Error::Conflict {
            message: "a request with this idempotency key is being carried out".to_owned(),
            operation: None,
        },
        store::Error::Busy | store::Error::Unavailable(_) => Error::Unavailable {
            message: "the store does not answer".to_owned(),
            context: Some(model::PrivateContext::new(error)),
        },
        other => Error::internal(other),
    }
}

fn quota_text(what: &str, used: u64, asked: u64, limit: u64) -> String {
    match what {
        "memory" | "disk" => {
            let [used, asked, limit] = [used, asked, limit].map(model::ByteCount::bytes);
            format!("{what}: {used} used, {asked} asked for, the project has at most {limit}")
        }
        _ => format!("{what}: {used} used, {asked} asked for, the project has at most {limit}"),
    }
}
