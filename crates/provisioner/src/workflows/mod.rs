//! The workflows: what carries out an operation, step by step.
//!
//! They know no hypervisor. The provider gives a plan; each of its actions
//! becomes a step.

mod actions;
mod adopt;
mod by_intent;
mod collect;
mod create;
mod delete;
mod edit;
mod migrate;
mod power;
mod resize;
mod runner;
mod snapshot;

use std::sync::Arc;

use engine::{Registry, RegistryError};
use model::{
    AttemptId, Instance, InstanceId, InstanceSpec, Intent, Mark, OperationKind, ProviderId,
    Snapshots,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use store::Change;

use crate::house::Core;

pub use adopt::{AdoptInput, adopt_kind};
pub use by_intent::IntentInput;
pub use collect::{CollectInput, collect_kind, collect_orphan_kind, collection};
pub(crate) use create::intent as create_intent;
pub use create::{CreateInput, create_kind};
pub use delete::{DeleteInput, delete_kind, release_kind};
pub use edit::edit_kind;
pub use migrate::{MigrateInput, migrate_kind};
pub use power::power_kind;
pub use resize::resize_kind;
use runner::Runner;
pub use snapshot::snapshot_kind;

/// All workflows of the house.
///
/// # Errors
/// [`RegistryError`] when two have the same kind.
pub fn registry(core: &Arc<Core>) -> Result<Registry<Change>, RegistryError> {
    let mut registry = Registry::default();
    registry.add(Arc::new(Runner(create::Create::new(Arc::clone(core)))))?;
    registry.add(power::workflow(core))?;
    registry.add(Arc::new(Runner(adopt::Adopt::new(Arc::clone(core)))))?;
    registry.add(Arc::new(Runner(delete::Delete::new(Arc::clone(core)))))?;
    registry.add(Arc::new(Runner(delete::Delete::release(Arc::clone(core)))))?;
    registry.add(Arc::new(Runner(collect::Collect::late(Arc::clone(core)))))?;
    registry.add(Arc::new(Runner(collect::Collect::asked(Arc::clone(core)))))?;
    registry.add(resize::workflow(core))?;
    registry.add(edit::workflow(core))?;
    registry.add(snapshot::workflow(core))?;
    registry.add(Arc::new(Runner(migrate::Migrate::new(Arc::clone(core)))))?;
    Ok(registry)
}

/// The resource that an operation on an instance claims.
pub fn instance_claim(id: InstanceId) -> String {
    format!("instance/{id}")
}

/// The resource that the collection of a guest claims.
pub fn guest_claim(provider: &ProviderId, key: &str) -> String {
    format!("guest/{provider}/{key}")
}

/// The output of a step that asks the provider for its plan.
#[derive(Debug, Serialize, Deserialize)]
struct Planned {
    plan: provider::Plan,
    /// What the row becomes when all of it is done.
    #[serde(default, skip_serializing_if = "Next::is_nothing")]
    next: Next,
}

/// What an instance's row becomes, worked out while nobody else can change it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Next {
    /// The generation that is replaced, and the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spec: Option<(u64, Box<InstanceSpec>)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    snapshots: Option<Snapshots>,
}

impl Next {
    const fn is_nothing(&self) -> bool {
        self.spec.is_none() && self.snapshots.is_none()
    }

    /// A new spec in place of that of this row.
    fn spec(instance: &Instance, change: impl FnOnce(&mut InstanceSpec)) -> Self {
        let mut spec = Box::new(instance.spec.clone());
        change(&mut spec);
        Self { spec: Some((instance.generation, spec)), snapshots: None }
    }
}

/// Reads a value that the journal holds.
fn read<T: DeserializeOwned>(what: &str, value: &Value) -> Result<T, String> {
    serde_json::from_value(value.clone()).map_err(|error| format!("{what}: {error}"))
}

/// Writes a value for the journal. The types that go there have no map with
/// keys that are not texts, which is all that could fail.
fn write<T: Serialize>(value: &T) -> Result<Value, engine::StepError> {
    serde_json::to_value(value)
        .map_err(|error| engine::StepError::permanent(format!("cannot be written down: {error}")))
}

/// What the kind of an operation is for an intent.
pub fn operation_kind(intent: &Intent) -> OperationKind {
    match intent {
        Intent::Create(_) => OperationKind::Create,
        Intent::Start => OperationKind::Start,
        Intent::Stop => OperationKind::Stop,
        Intent::Shutdown { .. } => OperationKind::Shutdown,
        Intent::Reboot { .. } => OperationKind::Reboot,
        Intent::Destroy | Intent::DestroyGently { .. } => OperationKind::Delete,
        Intent::Resize(_) => OperationKind::Resize,
        Intent::Edit(_) | Intent::DropSeed => OperationKind::Edit,
        Intent::TakeSnapshot { .. } => OperationKind::Snapshot,
        Intent::RollBack { .. } => OperationKind::Rollback,
        Intent::DropSnapshot { .. } => OperationKind::Discard,
        Intent::Migrate { .. } => OperationKind::Migrate,
        Intent::Adopt { .. } => OperationKind::Adopt,
        Intent::Release => OperationKind::Release,
    }
}

/// The mark of an instance's guest.
fn mark_of(core: &Core, instance: InstanceId, attempt: AttemptId) -> Mark {
    Mark { installation: core.installation, instance, attempt }
}

/// An instance's row, straight from the store: a step must not act on what a
/// replica's memory has not heard of yet.
async fn row(core: &Core, id: InstanceId) -> Result<Instance, engine::StepError> {
    core.store.instance(id).await.map_err(store_error)?.ok_or_else(|| {
        engine::StepError::permanent(format!("instance {id} is not in the store any more"))
    })
}

/// What a store error means for a step.
fn store_error(error: store::Error) -> engine::StepError {
    match error {
        store::Error::Corrupt(_) | store::Error::Constraint(_) => {
            engine::StepError::permanent(error.to_string())
        }
        other => engine::StepError::unavailable(other.to_string()),
    }
}
