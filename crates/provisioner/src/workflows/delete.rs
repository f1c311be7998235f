//! Deleting an instance, or letting its guest go: the point of no return comes
//! first, and then it only goes forward until nothing of ours is left.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use engine::{Applied, History, Kind, Mode, Outcome, StepContext, StepDef, StepError};
use model::{AttemptId, InstanceId, Intent, Ownership, Phase, ProviderId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Change, InstanceUpdate};

use super::actions::{self, Subject};
use super::runner::{OverPlan, nothing_to_do, planned, trouble};
use super::{mark_of, read, row, write};
use crate::house::Core;

/// How long a provider is waited for that is away.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// What the workflow is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteInput {
    /// The instance.
    pub instance: InstanceId,
    /// Where it is.
    pub provider: ProviderId,
    /// How long a running guest may take to shut down before it is powered off;
    /// `None` does not ask it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<Duration>,
}

/// The output of the step `mark`: what is to be removed, as the row had it once
/// nothing else could change it any more.
#[derive(Debug, Serialize, Deserialize)]
struct Marked {
    attempt: AttemptId,
    native: Value,
    /// Whether its guest was ever finished. One that was can come back only from
    /// a backup, and then it is not ours to remove.
    lived: bool,
    /// How its guest came to be ours, if it is.
    #[serde(default)]
    ownership: Ownership,
}

/// The name and version of the workflow that deletes an instance.
pub fn delete_kind() -> Kind {
    Kind::new("instance.delete", 1)
}

/// The name and version of the workflow that lets a guest go.
pub fn release_kind() -> Kind {
    Kind::new("instance.release", 1)
}

pub(super) struct Delete {
    core: Arc<Core>,
    releases: bool,
}

impl Delete {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core, releases: false }
    }

    /// The guest stays.
    pub(super) fn release(core: Arc<Core>) -> Self {
        Self { core, releases: true }
    }

    fn input(history: &History) -> Result<DeleteInput, StepError> {
        read("input", &history.input).map_err(StepError::permanent)
    }

    fn marked(history: &History) -> Result<Marked, StepError> {
        let output = history.output("mark").ok_or_else(|| StepError::permanent("not marked"))?;
        read("mark", output).map_err(StepError::permanent)
    }

    async fn mark(&self, context: &StepContext<'_>) -> Result<Applied<Change>, StepError> {
        let input = Self::input(context.history)?;
        let instance = row(&self.core, input.instance).await?;
        let update = InstanceUpdate {
            phase: Some(Phase::Deleting),
            fault: Some(None),
            ..InstanceUpdate::default()
        };
        Ok(Applied::Done {
            output: write(&Marked {
                attempt: instance.attempt,
                native: instance.native,
                lived: matches!(instance.phase, Phase::Ready | Phase::Lost),
                ownership: instance.ownership,
            })?,
            changes: vec![Change::UpdateInstance { id: input.instance, update: Box::new(update) }],
        })
    }

    /// Whether somebody else's guest stands where ours was: then ours is gone.
    async fn is_replaced(
        &self,
        provider: &Arc<dyn provider::Provider>,
        native: &Value,
        mark: &model::Mark,
    ) -> Result<bool, StepError> {
        let existence = provider.exists(native, mark).await.map_err(actions::step_error)?;
        Ok(existence == provider::Existence::Foreign)
    }

    fn let_go(&self, input: &DeleteInput) -> Result<Applied<Change>, StepError> {
        let text = "another guest stands in its place and was left alone".to_owned();
        planned(nothing_to_do(), vec![Change::Note { instance: Some(input.instance), text }])
    }

    async fn plan(&self, context: &StepContext<'_>) -> Result<Applied<Change>, StepError> {
        let (input, marked) = (Self::input(context.history)?, Self::marked(context.history)?);
        let instance = row(&self.core, input.instance).await?;
        let plan = if marked.native.is_null() {
            // Nothing was ever begun, or all of it has been taken back.
            nothing_to_do()
        } else {
            let provider = self.core.provider(&input.provider)?;
            let mark = mark_of(&self.core, input.instance, marked.attempt);
            // Somebody else's guest stays, whatever was asked for.
            let releases = self.releases || marked.ownership == Ownership::Observed;
            // Taking a mark off looks for itself whether the guest is there.
            let may_be_gone = marked.lived && !releases;
            if may_be_gone && self.is_replaced(provider, &marked.native, &mark).await? {
                return self.let_go(&input);
            }
            let facts = self.core.facts(&instance, None, mark);
            let running = instance.observed.as_ref().is_some_and(|seen| seen.power.is_on());
            let intent = match input.grace {
                _ if releases => Intent::Release,
                Some(timeout) if running && marked.lived => Intent::DestroyGently { timeout },
                _ => Intent::Destroy,
            };
            provider.plan(&intent, &facts, &[]).map_err(actions::step_error)?
        };
        planned(plan, Vec::new())
    }
}

#[async_trait]
impl OverPlan for Delete {
    fn kind(&self) -> Kind {
        if self.releases { release_kind() } else { delete_kind() }
    }

    fn core(&self) -> &Arc<Core> {
        &self.core
    }

    fn before(&self) -> Vec<StepDef> {
        // It asks the provider, which may be away for as long as it likes.
        let plan = StepDef { deadline: PATIENCE, ..StepDef::local("plan", Mode::Forward) };
        vec![StepDef::local("mark", Mode::Pivot), plan]
    }

    fn after(&self) -> Vec<StepDef> {
        vec![StepDef::local("forget", Mode::Forward)]
    }

    fn subject(&self, history: &History) -> Result<Subject, StepError> {
        let (input, marked) = (Self::input(history)?, Self::marked(history)?);
        Ok(Subject {
            provider: input.provider,
            mark: mark_of(&self.core, input.instance, marked.attempt),
            native: marked.native,
            instance: None,
        })
    }

    async fn local(&self, context: &StepContext<'_>) -> Result<Applied<Change>, StepError> {
        match context.step.name.as_str() {
            "mark" => self.mark(context).await,
            "plan" => self.plan(context).await,
            _ => {
                let id = Self::input(context.history)?.instance;
                let watch = !Self::marked(context.history)?.lived;
                let retire = Change::RetireIds { owner: id, attempt: None, watch };
                let changes = vec![retire, Change::RemoveInstance(id)];
                Ok(Applied::Done { output: Value::Null, changes })
            }
        }
    }

    fn ended(&self, history: &History, outcome: &Outcome, now: Timestamp) -> Vec<Change> {
        let Ok(input) = Self::input(history) else { return Vec::new() };
        let verb = if self.releases { "release" } else { "delete" };
        let update = trouble(verb, outcome, now);
        update
            .map(|update| Change::UpdateInstance { id: input.instance, update: Box::new(update) })
            .into_iter()
            .collect()
    }
}
