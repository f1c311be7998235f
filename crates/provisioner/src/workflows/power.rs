//! Start, stop, shutdown and reboot: one plan of the provider.

use std::sync::Arc;

use async_trait::async_trait;
use engine::{
    Applied, History, Kind, Mode, Outcome, Probed, StepContext, StepDef, StepError, Undone,
    Workflow,
};
use model::{AttemptId, Fault, InstanceId, Intent, PowerState, ProviderId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Change, InstanceUpdate};

use super::actions::{self, Subject};
use super::{Planned, mark_of, power_kind, read, row, write};
use crate::house::Core;

/// What the workflow is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PowerInput {
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

pub(super) struct Power {
    core: Arc<Core>,
}

impl Power {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    fn input(history: &History) -> Result<PowerInput, StepError> {
        read("input", &history.input).map_err(StepError::permanent)
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

    async fn plan(&self, context: &StepContext<'_>) -> Result<Applied<Change>, StepError> {
        let input = Self::input(context.history)?;
        let instance = row(&self.core, input.instance).await?;
        let provider = self.core.provider(&input.provider)?;
        let mark = mark_of(&self.core, input.instance, input.attempt);
        let facts = self.core.facts(&instance, None, mark);
        let plan = provider.plan(&input.intent, &facts, &[]).map_err(actions::step_error)?;
        Ok(Applied::Done { output: write(&Planned { plan })?, changes: Vec::new() })
    }
}

#[async_trait]
impl Workflow<Change> for Power {
    fn kind(&self) -> Kind {
        power_kind()
    }

    fn steps(&self, history: &History) -> Result<Vec<StepDef>, String> {
        let mut steps = vec![StepDef::local("plan", Mode::Reversible)];
        if let Some(plan) = actions::plan_of(history)? {
            steps.extend(actions::steps_of(&plan, false)?);
        }
        Ok(steps)
    }

    async fn apply(&self, context: &StepContext<'_>) -> Result<Applied<Change>, StepError> {
        match context.step.name.as_str() {
            "plan" => self.plan(context).await,
            _ => actions::apply(&self.core, &self.subject(context.history)?, context).await,
        }
    }

    async fn probe(&self, context: &StepContext<'_>) -> Result<Probed<Change>, StepError> {
        actions::probe(&self.core, &self.subject(context.history)?, context).await
    }

    async fn undo(&self, context: &StepContext<'_>) -> Result<Undone<Change>, StepError> {
        match context.step.name.as_str() {
            "plan" => Ok(Undone::Done { changes: Vec::new() }),
            _ => actions::undo(&self.core, &self.subject(context.history)?, context).await,
        }
    }

    fn failure(&self, context: &StepContext<'_>, text: &str) -> StepError {
        match self.subject(context.history) {
            Ok(subject) => actions::failure(&self.core, &subject, context, text),
            Err(error) => error,
        }
    }

    fn left(&self, context: &StepContext<'_>) -> Vec<String> {
        let subject = self.subject(context.history);
        subject.map(|subject| actions::left(&self.core, &subject, context)).unwrap_or_default()
    }

    fn ended(&self, history: &History, outcome: &Outcome, now: Timestamp) -> Vec<Change> {
        let Ok(input) = Self::input(history) else { return Vec::new() };
        let fault = |message: String, stuck: bool| {
            Some(Some(Fault { message, at: now, operation: None, stuck }))
        };
        let update = match outcome {
            Outcome::Done => InstanceUpdate {
                fault: Some(None),
                power: Some(match input.intent {
                    Intent::Stop | Intent::Shutdown { .. } | Intent::Destroy => PowerState::Stopped,
                    Intent::Create(_) | Intent::Start | Intent::Reboot { .. } => {
                        PowerState::Running
                    }
                }),
                ..InstanceUpdate::default()
            },
            Outcome::Unwound { cause } => InstanceUpdate {
                fault: fault(format!("{}: {}", input.intent.name(), cause.reason()), false),
                ..InstanceUpdate::default()
            },
            Outcome::Stuck { reason, .. } => InstanceUpdate {
                fault: fault(format!("{}: {reason}", input.intent.name()), true),
                ..InstanceUpdate::default()
            },
            Outcome::Abandoned { .. } | Outcome::Superseded => return Vec::new(),
        };
        vec![Change::UpdateInstance { id: input.instance, update }]
    }
}
