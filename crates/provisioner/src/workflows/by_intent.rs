//! What changes an instance by one intent to its provider and no more: the plan
//! that the provider makes of the intent, and what its end makes of the row.

use std::sync::Arc;

use async_trait::async_trait;
use engine::{Applied, History, Kind, Outcome, StepContext, StepError};
use model::{AttemptId, Instance, InstanceId, Intent, ProviderId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Change, InstanceUpdate};

use super::actions::{self, Subject};
use super::runner::{OverPlan, Runner, planned, trouble};
use super::{mark_of, read, row};
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
    kind: Kind,
    /// What success makes of the row.
    done: fn(&IntentInput) -> InstanceUpdate,
}

impl ByIntent {
    pub(super) fn runner(
        core: &Arc<Core>,
        kind: Kind,
        done: fn(&IntentInput) -> InstanceUpdate,
    ) -> Arc<Runner<Self>> {
        Arc::new(Runner(Self { core: Arc::clone(core), kind, done }))
    }

    fn input(history: &History) -> Result<IntentInput, StepError> {
        read("input", &history.input).map_err(StepError::permanent)
    }
}

#[async_trait]
impl OverPlan for ByIntent {
    fn kind(&self) -> Kind {
        self.kind.clone()
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
        let plan = provider.plan(&input.intent, &facts, &[]).map_err(actions::step_error)?;
        planned(plan, Vec::new())
    }

    fn ended(&self, history: &History, outcome: &Outcome, now: Timestamp) -> Vec<Change> {
        let Ok(input) = Self::input(history) else { return Vec::new() };
        let update = match outcome {
            Outcome::Done => Some(InstanceUpdate { fault: Some(None), ..(self.done)(&input) }),
            other => trouble(input.intent.name(), other, now),
        };
        update
            .map(|update| Change::UpdateInstance { id: input.instance, update })
            .into_iter()
            .collect()
    }
}
