//! Removing a guest that appeared after its creation had been unwound: a
//! request whose answer was lost was carried out late. The only automatic
//! collection.

use std::sync::Arc;

use async_trait::async_trait;
use engine::{
    Applied, History, Kind, Mode, Outcome, Probed, StepContext, StepDef, StepError, Undone,
    Workflow,
};
use model::{Intent, Mark, ProviderId, Timestamp};
use provider::Facts;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::Change;

use super::actions::{self, Subject};
use super::{Planned, collect_kind, read, write};
use crate::house::Core;

/// What the workflow is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CollectInput {
    /// Where the guest is.
    pub provider: ProviderId,
    /// The mark that it carries: that of an attempt that has been unwound.
    pub mark: Mark,
    /// The reference to it.
    pub native: Value,
}

pub(super) struct Collect {
    core: Arc<Core>,
}

impl Collect {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    fn input(history: &History) -> Result<CollectInput, StepError> {
        read("input", &history.input).map_err(StepError::permanent)
    }

    fn subject(history: &History) -> Result<Subject, StepError> {
        let input = Self::input(history)?;
        Ok(Subject {
            provider: input.provider,
            mark: input.mark,
            native: input.native,
            instance: None,
        })
    }
}

#[async_trait]
impl Workflow<Change> for Collect {
    fn kind(&self) -> Kind {
        collect_kind()
    }

    fn steps(&self, history: &History) -> Result<Vec<StepDef>, String> {
        // As with every deletion, the point of no return comes first.
        let mut steps = vec![StepDef::local("plan", Mode::Pivot)];
        if let Some(plan) = actions::plan_of(history)? {
            steps.extend(actions::steps_of(&plan, true)?);
        }
        Ok(steps)
    }

    async fn apply(&self, context: &StepContext<'_>) -> Result<Applied<Change>, StepError> {
        if context.step.name != "plan" {
            return actions::apply(&self.core, &Self::subject(context.history)?, context).await;
        }
        let input = Self::input(context.history)?;
        let provider = self.core.provider(&input.provider)?;
        let facts = Facts { native: input.native, mark: Some(input.mark), ..Facts::default() };
        let plan = provider.plan(&Intent::Destroy, &facts, &[]).map_err(actions::step_error)?;
        Ok(Applied::Done { output: write(&Planned { plan })?, changes: Vec::new() })
    }

    async fn probe(&self, context: &StepContext<'_>) -> Result<Probed<Change>, StepError> {
        actions::probe(&self.core, &Self::subject(context.history)?, context).await
    }

    async fn undo(&self, _context: &StepContext<'_>) -> Result<Undone<Change>, StepError> {
        Ok(Undone::Done { changes: Vec::new() })
    }

    fn failure(&self, context: &StepContext<'_>, text: &str) -> StepError {
        match Self::subject(context.history) {
            Ok(subject) => actions::failure(&self.core, &subject, context, text),
            Err(error) => error,
        }
    }

    fn left(&self, context: &StepContext<'_>) -> Vec<String> {
        let subject = Self::subject(context.history);
        subject.map(|subject| actions::left(&self.core, &subject, context)).unwrap_or_default()
    }

    fn ended(&self, history: &History, outcome: &Outcome, _now: Timestamp) -> Vec<Change> {
        let Ok(input) = Self::input(history) else { return Vec::new() };
        let text = match outcome {
            Outcome::Done => format!("removed a guest that appeared late: {}", input.mark),
            other => format!("a late guest is left ({}): {}", other.name(), input.mark),
        };
        vec![Change::Note { instance: None, text }]
    }
}
