//! To another host: which ones will do, and then the provider's plan.

use std::sync::Arc;

use async_trait::async_trait;
use engine::{Applied, History, Kind, Mode, Outcome, StepContext, StepDef, StepError};
use model::{AttemptId, HostId, InstanceId, Intent, ProviderId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Change, InstanceUpdate};

use super::actions::{self, Subject};
use super::runner::{OverPlan, planned, trouble};
use super::{mark_of, read, row, write};
use crate::house::Core;

/// The name and version of the workflow that moves an instance.
pub fn migrate_kind() -> Kind {
    Kind::new("instance.migrate", 1)
}

/// What the workflow is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MigrateInput {
    /// The instance.
    pub instance: InstanceId,
    /// Where it is.
    pub provider: ProviderId,
    /// The attempt whose mark its guest carries.
    pub attempt: AttemptId,
    /// The reference to its guest.
    pub native: Value,
    /// The host asked for; the best when none was.
    pub host: Option<HostId>,
    /// Whether a running guest goes on running; otherwise it is refused.
    pub online: bool,
}

/// The output of the step `place`.
#[derive(Debug, Serialize, Deserialize)]
struct Placed {
    host: HostId,
    /// Every host with its score or the reason why not.
    explanation: Vec<String>,
}

pub(super) struct Migrate {
    core: Arc<Core>,
}

impl Migrate {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    fn input(history: &History) -> Result<MigrateInput, StepError> {
        read("input", &history.input).map_err(StepError::permanent)
    }

    fn placed(history: &History) -> Result<Placed, StepError> {
        let output = history.output("place").ok_or_else(|| StepError::permanent("no place"))?;
        read("place", output).map_err(StepError::permanent)
    }

    /// Asks the hypervisor what stands against each host, and chooses among the
    /// others as for a new instance.
    async fn place(&self, context: &StepContext<'_>) -> Result<Applied<Change>, StepError> {
        let input = Self::input(context.history)?;
        let instance = row(&self.core, input.instance).await?;
        let provider = self.core.provider(&input.provider)?;
        let mark = mark_of(&self.core, input.instance, input.attempt);
        let found =
            provider.destinations(&instance.native, &mark).await.map_err(actions::step_error)?;
        if found.running && !input.online {
            let text = "the guest is running: ask for an online migration, or stop it first";
            return Err(StepError::permanent(text));
        }
        let placement = self
            .core
            .destination(&instance, &found, input.host.as_ref())
            .map_err(StepError::permanent)?;
        let placed = Placed { host: placement.host, explanation: placement.explanation };
        Ok(Applied::Done { output: write(&placed)?, changes: Vec::new() })
    }

    async fn plan(&self, context: &StepContext<'_>) -> Result<Applied<Change>, StepError> {
        let input = Self::input(context.history)?;
        let host = Self::placed(context.history)?.host;
        let instance = row(&self.core, input.instance).await?;
        let provider = self.core.provider(&input.provider)?;
        let mark = mark_of(&self.core, input.instance, input.attempt);
        let facts = self.core.facts(&instance, None, mark);
        let intent = Intent::Migrate { host, online: input.online };
        planned(provider.plan(&intent, &facts, &[]).map_err(actions::step_error)?, Vec::new())
    }
}

#[async_trait]
impl OverPlan for Migrate {
    fn kind(&self) -> Kind {
        migrate_kind()
    }

    fn core(&self) -> &Arc<Core> {
        &self.core
    }

    fn before(&self) -> Vec<StepDef> {
        ["place", "plan"].map(|name| StepDef::local(name, Mode::Reversible)).into()
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
        match context.step.name.as_str() {
            "place" => self.place(context).await,
            _ => self.plan(context).await,
        }
    }

    fn ended(&self, history: &History, outcome: &Outcome, now: Timestamp) -> Vec<Change> {
        let Ok(input) = Self::input(history) else { return Vec::new() };
        let update = match outcome {
            Outcome::Done => Some(InstanceUpdate {
                fault: Some(None),
                host: Self::placed(history).ok().map(|placed| placed.host),
                ..InstanceUpdate::default()
            }),
            other => trouble("migrate", other, now),
        };
        let change =
            |update| Change::UpdateInstance { id: input.instance, update: Box::new(update) };
        update.map(change).into_iter().collect()
    }
}
