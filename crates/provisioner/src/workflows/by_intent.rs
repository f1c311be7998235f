//! What changes an instance by one intent to its provider and no more: the plan
//! that the provider makes of the intent, and what its end makes of the row.

use std::sync::Arc;

use async_trait::async_trait;
use engine::{Applied, History, Kind, Outcome, StepContext, StepError};
use model::{AttemptId, Instance, InstanceId, Intent, ProviderId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Change, InstanceUpdate, SpecUpdate};

use super::actions::{self, Subject};
use super::runner::{OverPlan, Runner, nothing_to_do, trouble};
use super::{Next, Planned, mark_of, read, row, write};
use crate::house::Core;

/// What such a workflow is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IntentInput {
    /// The instance.
    pub instance: InstanceId,
    /// Where it is.
    pub provider: ProviderId,
    /// The attempt whose mark its guest carries.
    pub attempt: AttemptId,
    /// The reference to its guest.
    pub native: Value,
    /// What is asked for.
    pub intent: Intent,
}

impl IntentInput {
    /// The input for this instance, as its row stands.
    pub fn of(instance: &Instance, intent: Intent) -> Self {
        Self {
            instance: instance.id,
            provider: instance.provider.clone(),
            attempt: instance.attempt,
            native: instance.native.clone(),
            intent,
        }
    }
}

/// The workflow of one kind.
pub(super) struct ByIntent {
    core: Arc<Core>,
    does: Does,
}

/// What one kind does of its own.
#[derive(Clone)]
pub(super) struct Does {
    /// Its name and version.
    pub(super) kind: Kind,
    /// What success makes of spec and snapshots, by the row as it stands before.
    pub(super) next: fn(&Instance, &Intent, Timestamp) -> Next,
    /// What else it makes of the row.
    pub(super) done: fn(&Intent) -> InstanceUpdate,
}

impl ByIntent {
    pub(super) fn runner(core: &Arc<Core>, does: Does) -> Arc<Runner<Self>> {
        Arc::new(Runner(Self { core: Arc::clone(core), does }))
    }

    fn input(history: &History) -> Result<IntentInput, StepError> {
        read("input", &history.input).map_err(StepError::permanent)
    }
}

fn next_of(history: &History) -> Next {
    let planned = history.output("plan").and_then(|output| read::<Planned>("plan", output).ok());
    planned.map(|planned| planned.next).unwrap_or_default()
}

#[async_trait]
impl OverPlan for ByIntent {
    fn kind(&self) -> Kind {
        self.does.kind.clone()
    }

    fn core(&self) -> &Arc<Core> {
        &self.core
    }

    fn subject(&self, history: &History) -> Result<Subject, StepError> {
        let input = Self::input(history)?;
        Ok(Subject {
            provider: input.provider,
            mark: mark_of(&self.core, input.instance, input.attempt),
            native: input.native,
            instance: Some(input.instance),
        })
    }

    async fn local(&self, context: &StepContext<'_>) -> Result<Applied<Change>, StepError> {
        let input = Self::input(context.history)?;
        let instance = row(&self.core, input.instance).await?;
        let provider = self.core.provider(&input.provider)?;
        let mark = mark_of(&self.core, input.instance, input.attempt);
        let facts = self.core.facts(&instance, None, mark);
        let plan = match &input.intent {
            // An expiry is put off also while the hypervisor is away.
            Intent::Edit(edit) if edit.is_empty() => nothing_to_do(),
            intent => provider.plan(intent, &facts, &[]).map_err(actions::step_error)?,
        };
        let next = (self.does.next)(&instance, &input.intent, context.now);
        Ok(Applied::Done { output: write(&Planned { plan, next })?, changes: Vec::new() })
    }

    fn ended(&self, history: &History, outcome: &Outcome, now: Timestamp) -> Vec<Change> {
        let Ok(input) = Self::input(history) else { return Vec::new() };
        let update = match outcome {
            Outcome::Done => {
                let next = next_of(history);
                let done = (self.does.done)(&input.intent);
                Some(InstanceUpdate {
                    fault: Some(None),
                    pending: actions::pending_of(history).or(done.pending.clone()),
                    spec: next.spec.map(|(replaces, spec)| SpecUpdate { replaces, spec }),
                    snapshots: next.snapshots,
                    ..done
                })
            }
            other => trouble(input.intent.name(), other, now),
        };
        update
            .map(|update| Change::UpdateInstance { id: input.instance, update: Box::new(update) })
            .into_iter()
            .collect()
    }
}
