//! One runner for every workflow over a provider's plan: a few steps of the
//! workflow's own, which only change the store, and the actions of the plan that
//! its step `plan` gives.

use std::sync::Arc;

use async_trait::async_trait;
use engine::{
    Applied, History, Kind, Mode, Outcome, Probed, StepContext, StepDef, StepError, Undone,
    Workflow,
};
use model::{Fault, Timestamp};
use provider::Plan;
use serde_json::Value;
use store::{Change, InstanceUpdate};

use super::actions::{self, Subject};
use super::{Next, Planned, write};
use crate::house::Core;

/// What a workflow over a plan has of its own.
#[async_trait]
pub(super) trait OverPlan: Send + Sync + 'static {
    /// Its name and version.
    fn kind(&self) -> Kind;

    /// What it works with.
    fn core(&self) -> &Arc<Core>;

    /// The steps before the plan's actions; the last of them is `plan`.
    fn before(&self) -> Vec<StepDef> {
        vec![StepDef::local("plan", Mode::Reversible)]
    }

    /// The steps after the plan's actions.
    fn after(&self) -> Vec<StepDef> {
        Vec::new()
    }

    /// Which guest the plan's actions are about.
    fn subject(&self, history: &History) -> Result<Subject, StepError>;

    /// Carries out a step of its own.
    async fn local(&self, context: &StepContext<'_>) -> Result<Applied<Change>, StepError>;

    /// Takes back a step of its own.
    fn undo_local(&self, _context: &StepContext<'_>) -> Result<Vec<Change>, StepError> {
        Ok(Vec::new())
    }

    /// See [`Workflow::ended`].
    fn ended(&self, history: &History, outcome: &Outcome, now: Timestamp) -> Vec<Change>;

    /// See [`Workflow::restarts`].
    fn restarts(&self) -> u32 {
        0
    }
}

/// Runs a workflow over a plan.
pub(super) struct Runner<W>(pub(super) W);

#[async_trait]
impl<W: OverPlan> Workflow<Change> for Runner<W> {
    fn kind(&self) -> Kind {
        self.0.kind()
    }

    fn steps(&self, history: &History) -> Result<Vec<StepDef>, String> {
        let mut steps = self.0.before();
        if let Some(plan) = actions::plan_of(history)? {
            let pivoted = steps.iter().any(|step| step.mode != Mode::Reversible);
            steps.extend(actions::steps_of(&plan, pivoted)?);
            steps.extend(self.0.after());
        }
        Ok(steps)
    }

    async fn apply(&self, context: &StepContext<'_>) -> Result<Applied<Change>, StepError> {
        if !context.step.effect {
            return self.0.local(context).await;
        }
        actions::apply(self.0.core(), &self.0.subject(context.history)?, context).await
    }

    async fn probe(&self, context: &StepContext<'_>) -> Result<Probed<Change>, StepError> {
        actions::probe(self.0.core(), &self.0.subject(context.history)?, context).await
    }

    async fn undo(&self, context: &StepContext<'_>) -> Result<Undone<Change>, StepError> {
        if !context.step.effect {
            return self.0.undo_local(context).map(|changes| Undone::Done { changes });
        }
        actions::undo(self.0.core(), &self.0.subject(context.history)?, context).await
    }

    fn failure(&self, context: &StepContext<'_>, text: &str) -> StepError {
        match self.0.subject(context.history) {
            Ok(subject) => actions::failure(self.0.core(), &subject, context, text),
            Err(error) => error,
        }
    }

    fn left(&self, context: &StepContext<'_>) -> Vec<String> {
        let subject = self.0.subject(context.history);
        subject.map(|subject| actions::left(self.0.core(), &subject, context)).unwrap_or_default()
    }

    fn ended(&self, history: &History, outcome: &Outcome, now: Timestamp) -> Vec<Change> {
        self.0.ended(history, outcome, now)
    }

    fn restarts(&self) -> u32 {
        self.0.restarts()
    }
}

/// The end of the step `plan`.
pub(super) fn planned(plan: Plan, changes: Vec<Change>) -> Result<Applied<Change>, StepError> {
    Ok(Applied::Done { output: write(&Planned { plan, next: Next::default() })?, changes })
}

/// A plan without actions.
pub(super) fn nothing_to_do() -> Plan {
    Plan { provider: String::new(), reference: Value::Null, actions: Vec::new() }
}

/// What an end that is not as asked for makes of the instance's fault; nothing
/// for the other ends. `verb` says what was asked for.
pub(super) fn trouble(verb: &str, outcome: &Outcome, now: Timestamp) -> Option<InstanceUpdate> {
    let (reason, stuck) = match outcome {
        Outcome::Unwound { cause } => (cause.reason(), false),
        Outcome::Stuck { reason, .. } => (reason.clone(), true),
        Outcome::Done | Outcome::Abandoned { .. } | Outcome::Superseded => return None,
    };
    let fault = Fault { message: format!("{verb}: {reason}"), at: now, operation: None, stuck };
    Some(InstanceUpdate { fault: Some(Some(fault)), ..InstanceUpdate::default() })
}
