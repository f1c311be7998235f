//! Taking on a guest that is there: read it, and mark it if it is to be ours.

use std::sync::Arc;

use async_trait::async_trait;
use engine::{Applied, History, Kind, Mode, Outcome, StepContext, StepDef, StepError};
use model::{
    AttemptId, DiskSpec, Instance, InstanceId, InstanceSpec, Intent, Mark, Observed, Ownership,
    Phase, PowerState, ProviderId, Timestamp,
};
use provider::GuestDetails;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Change, InstanceUpdate, SpecUpdate};

use super::actions::{self, Subject};
use super::runner::{OverPlan, nothing_to_do, planned, trouble};
use super::{mark_of, read, row, store_error, write};
use crate::house::Core;

/// What the workflow is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdoptInput {
    /// The instance that it becomes; its row is there.
    pub instance: InstanceId,
    /// Where the guest is.
    pub provider: ProviderId,
    /// What its provider calls it.
    pub guest: String,
    /// Whether it becomes ours.
    pub owned: bool,
    /// The attempt that the mark names.
    pub attempt: AttemptId,
}

/// The output of the step `find`.
#[derive(Debug, Serialize, Deserialize)]
struct Found {
    /// The reference to the guest.
    native: Value,
    /// A mark of ours that it carries, of an instance that is gone.
    replaces: Option<Mark>,
    /// The generation that is replaced, and the spec by what the guest is.
    generation: u64,
    spec: Box<InstanceSpec>,
}

/// The name and version of the workflow that adopts a guest.
pub fn adopt_kind() -> Kind {
    Kind::new("instance.adopt", 1)
}

pub(super) struct Adopt {
    core: Arc<Core>,
}

impl Adopt {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    fn input(history: &History) -> Result<AdoptInput, StepError> {
        read("input", &history.input).map_err(StepError::permanent)
    }

    fn found(history: &History) -> Result<Option<Found>, StepError> {
        let output = history.output("find");
        output.map(|output| read("find", output).map_err(StepError::permanent)).transpose()
    }

    /// Refuses a guest that another instance has. Asked again once this one is
    /// written down as having it: of two that adopt at once, at most one goes on.
    async fn refuse_claimed(&self, input: &AdoptInput) -> Result<(), StepError> {
        let provider = self.core.provider(&input.provider)?;
        self.core.read_model.catch_up(&self.core.store).await.map_err(store_error)?;
        let rows = self.core.read_model.of_provider(&input.provider);
        let other = rows.iter().find(|row| {
            row.id != input.instance
                && provider.guest_key(&row.native).as_ref() == Some(&input.guest)
        });
        match other {
            None => Ok(()),
            Some(other) => Err(StepError::permanent(format!(
                "the guest {} belongs to the instance {}",
                input.guest, other.id
            ))),
        }
    }

    async fn find(&self, context: &StepContext<'_>) -> Result<Applied<Change>, StepError> {
        let input = Self::input(context.history)?;
        let instance = row(&self.core, input.instance).await?;
        self.refuse_claimed(&input).await?;
        let provider = self.core.provider(&input.provider)?;
        let found = provider.describe(&input.guest).await.map_err(actions::step_error)?;
        let guest = found.ok_or_else(|| {
            StepError::permanent(format!("there is no guest {} any more", input.guest))
        })?;
        let replaces = self.replaceable(&guest, input.owned)?;
        let native = if input.owned { &guest.native } else { &guest.unmarked }.clone();
        if native.is_null() {
            return Err(StepError::permanent(
                "nothing but our mark could tell the guest from another: it can only be adopted \
                 with ownership",
            ));
        }
        let view = self.core.read_model.provider_view(&input.provider);
        let power = view.guests.get(&input.guest).map_or(PowerState::Unknown, |seen| seen.power);
        let observed = Observed {
            power,
            host: guest.host.clone(),
            addresses: Vec::new(),
            at: context.now,
            pending: Vec::new(),
        };
        let update = InstanceUpdate {
            native: Some(native.clone()),
            observed: Some(Some(observed)),
            ..InstanceUpdate::default()
        };
        let generation = instance.generation;
        let found = Found { native, replaces, generation, spec: spec_of(instance, guest) };
        Ok(Applied::Done {
            output: write(&found)?,
            changes: vec![Change::UpdateInstance { id: input.instance, update: Box::new(update) }],
        })
    }

    /// The mark of ours that the guest carries and that may be replaced. That of
    /// an instance which has another guest may: then this one is a copy.
    fn replaceable(&self, guest: &GuestDetails, owned: bool) -> Result<Option<Mark>, StepError> {
        match guest.mark {
            None => Ok(None),
            Some(mark) if mark.installation != self.core.installation => {
                let installation = mark.installation;
                Err(StepError::permanent(format!(
                    "the guest carries the mark of another installation ({installation})"
                )))
            }
            Some(mark) if owned => Ok(Some(mark)),
            Some(_) => Err(StepError::permanent(
                "the guest carries our mark and belongs to no instance: adopt it with ownership, \
                 or collect it as an orphan",
            )),
        }
    }

    async fn plan(&self, context: &StepContext<'_>) -> Result<Applied<Change>, StepError> {
        let input = Self::input(context.history)?;
        let found = Self::found(context.history)?;
        let found = found.ok_or_else(|| StepError::permanent("it was not found"))?;
        self.refuse_claimed(&input).await?;
        let instance = row(&self.core, input.instance).await?;
        if !input.owned {
            return planned(nothing_to_do(), Vec::new());
        }
        let provider = self.core.provider(&input.provider)?;
        let mark = mark_of(&self.core, input.instance, input.attempt);
        let facts = self.core.facts(&instance, None, mark);
        let intent = Intent::Adopt { replaces: found.replaces };
        planned(provider.plan(&intent, &facts, &[]).map_err(actions::step_error)?, Vec::new())
    }
}

/// The spec by what the guest is.
fn spec_of(instance: Instance, guest: GuestDetails) -> Box<InstanceSpec> {
    let name = Some(guest.name).filter(|name| !name.is_empty());
    Box::new(InstanceSpec {
        name: name.unwrap_or(instance.spec.name.clone()),
        cores: guest.cores,
        memory: guest.memory,
        disks: guest.root_disk.into_iter().map(|size| DiskSpec { size }).collect(),
        description: guest.description,
        tags: guest.tags,
        protected: guest.protected,
        security_groups: guest.security_groups,
        ..instance.spec
    })
}

#[async_trait]
impl OverPlan for Adopt {
    fn kind(&self) -> Kind {
        adopt_kind()
    }

    fn core(&self) -> &Arc<Core> {
        &self.core
    }

    fn before(&self) -> Vec<StepDef> {
        ["find", "plan"].map(|name| StepDef::local(name, Mode::Reversible)).into()
    }

    fn subject(&self, history: &History) -> Result<Subject, StepError> {
        let input = Self::input(history)?;
        Ok(Subject {
            provider: input.provider,
            mark: mark_of(&self.core, input.instance, input.attempt),
            native: Self::found(history)?.map_or(Value::Null, |found| found.native),
            instance: Some(input.instance),
        })
    }

    async fn local(&self, context: &StepContext<'_>) -> Result<Applied<Change>, StepError> {
        match context.step.name.as_str() {
            "find" => self.find(context).await,
            _ => self.plan(context).await,
        }
    }

    fn undo_local(&self, context: &StepContext<'_>) -> Result<Vec<Change>, StepError> {
        if context.step.name != "find" {
            return Ok(Vec::new());
        }
        let id = Self::input(context.history)?.instance;
        let update = InstanceUpdate {
            native: Some(Value::Null),
            observed: Some(None),
            ..InstanceUpdate::default()
        };
        Ok(vec![Change::UpdateInstance { id, update: Box::new(update) }])
    }

    fn ended(&self, history: &History, outcome: &Outcome, now: Timestamp) -> Vec<Change> {
        let Ok(input) = Self::input(history) else { return Vec::new() };
        let found = Self::found(history).ok().flatten();
        let update = match (outcome, found) {
            (Outcome::Done, Some(found)) => Some(InstanceUpdate {
                phase: Some(Phase::Ready),
                fault: Some(None),
                ownership: input.owned.then_some(Ownership::Adopted),
                spec: Some(SpecUpdate { replaces: found.generation, spec: found.spec }),
                ..InstanceUpdate::default()
            }),
            (other, _) => trouble("adopt", other, now).map(|mut update| {
                if let Outcome::Unwound { .. } = other {
                    update.phase = Some(Phase::Failed);
                }
                update
            }),
        };
        let change =
            |update| Change::UpdateInstance { id: input.instance, update: Box::new(update) };
        update.map(change).into_iter().collect()
    }
}
