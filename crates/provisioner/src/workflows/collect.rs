//! Removing a guest that appeared after its creation had been unwound: a
//! request whose answer was lost was carried out late. The only automatic
//! collection.

use std::sync::Arc;

use async_trait::async_trait;
use engine::{Applied, History, Kind, Mode, Outcome, StepContext, StepDef, StepError};
use model::{Intent, Mark, ProviderId, Timestamp};
use provider::Facts;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::Change;

use super::actions::{self, Subject};
use super::read;
use super::runner::{OverPlan, planned};
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

/// The name and version of the workflow that removes a guest which appeared
/// after its creation was unwound.
pub fn collect_kind() -> Kind {
    Kind::new("guest.collect", 1)
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
}

#[async_trait]
impl OverPlan for Collect {
    fn kind(&self) -> Kind {
        collect_kind()
    }

    fn core(&self) -> &Arc<Core> {
        &self.core
    }

    // As with every deletion, the point of no return comes first.
    fn before(&self) -> Vec<StepDef> {
        vec![StepDef::local("plan", Mode::Pivot)]
    }

    fn subject(&self, history: &History) -> Result<Subject, StepError> {
        let input = Self::input(history)?;
        Ok(Subject {
            provider: input.provider,
            mark: input.mark,
            native: input.native,
            instance: None,
        })
    }

    async fn local(&self, context: &StepContext<'_>) -> Result<Applied<Change>, StepError> {
        let input = Self::input(context.history)?;
        let provider = self.core.provider(&input.provider)?;
        let facts = Facts { native: input.native, mark: Some(input.mark), ..Facts::default() };
        let plan = provider.plan(&Intent::Destroy, &facts, &[]).map_err(actions::step_error)?;
        planned(plan, Vec::new())
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
