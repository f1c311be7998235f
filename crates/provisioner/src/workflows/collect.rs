//! Removing a guest that no row claims.
//!
//! One that appeared after its creation had been unwound (a request whose answer
//! was lost was carried out late) is removed by itself: the only automatic
//! collection. Any other is removed only because somebody asked for it.

use std::sync::Arc;

use async_trait::async_trait;
use engine::{Applied, History, Kind, Mode, Outcome, StepContext, StepDef, StepError};
use model::{
    Intent, Mark, Operation, OperationId, OperationKind, OperationState, ProviderId, Timestamp,
};
use provider::{Existence, Facts};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::Change;

use super::actions::{self, Subject};
use super::runner::{OverPlan, nothing_to_do, planned};
use super::{read, store_error};
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

/// The name and version of the workflow that removes an orphan.
pub fn collect_orphan_kind() -> Kind {
    Kind::new("orphan.collect", 1)
}

/// The operation that a collection is shown as: it is listed under the instance
/// that the guest's mark names, which may be gone.
///
/// # Errors
/// Never: the house's own project has a valid name.
pub fn collection(
    core: &Core,
    id: OperationId,
    mark: &Mark,
    guest: &str,
    asked_by: &str,
) -> Result<Operation, model::ParseIdError> {
    let row = core.read_model.instance(mark.instance);
    Ok(Operation {
        id,
        kind: OperationKind::Collect,
        instance: mark.instance,
        instance_name: guest.to_owned(),
        project: match &row {
            Some(row) => row.project.clone(),
            None => "default".parse()?,
        },
        state: OperationState::Running,
        reason: None,
        left: Vec::new(),
        cancel_requested: false,
        asked_by: asked_by.to_owned(),
        created_at: core.clock.now(),
        ended_at: None,
        steps: Vec::new(),
    })
}

pub(super) struct Collect {
    core: Arc<Core>,
    /// Whether somebody asked for it: then it is proven first that it is what
    /// was asked for.
    asked: bool,
}

impl Collect {
    /// Of a guest that appeared late.
    pub(super) fn late(core: Arc<Core>) -> Self {
        Self { core, asked: false }
    }

    /// Of an orphan, because somebody asked for it.
    pub(super) fn asked(core: Arc<Core>) -> Self {
        Self { core, asked: true }
    }

    fn input(history: &History) -> Result<CollectInput, StepError> {
        read("input", &history.input).map_err(StepError::permanent)
    }

    /// Whether the guest is there, is the one that was reported, and belongs to
    /// no instance.
    async fn prove(&self, input: &CollectInput) -> Result<bool, StepError> {
        let provider = self.core.provider(&input.provider)?;
        self.core.read_model.catch_up(&self.core.store).await.map_err(store_error)?;
        let key = provider.guest_key(&input.native);
        let rows = self.core.read_model.of_provider(&input.provider);
        if let Some(row) = rows.iter().find(|row| provider.guest_key(&row.native) == key) {
            let text = format!("the guest belongs to the instance {}", row.id);
            return Err(StepError::permanent(text));
        }
        let existence = provider.exists(&input.native, &input.mark).await;
        match existence.map_err(actions::step_error)? {
            Existence::Ours => Ok(true),
            Existence::Gone => Ok(false),
            Existence::Foreign => {
                Err(StepError::permanent("another guest stands in its place, and was left alone"))
            }
        }
    }
}

#[async_trait]
impl OverPlan for Collect {
    fn kind(&self) -> Kind {
        if self.asked { collect_orphan_kind() } else { collect_kind() }
    }

    fn core(&self) -> &Arc<Core> {
        &self.core
    }

    // What appeared late goes, as with every deletion: the point of no return
    // comes first. What somebody asked for may still be refused.
    fn before(&self) -> Vec<StepDef> {
        let mode = if self.asked { Mode::Reversible } else { Mode::Pivot };
        vec![StepDef::local("plan", mode)]
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
        if self.asked && !self.prove(&input).await? {
            return planned(nothing_to_do(), Vec::new());
        }
        let provider = self.core.provider(&input.provider)?;
        let facts = Facts { native: input.native, mark: Some(input.mark), ..Facts::default() };
        let plan = provider.plan(&Intent::Destroy, &facts, &[]).map_err(actions::step_error)?;
        planned(plan, Vec::new())
    }

    fn ended(&self, history: &History, outcome: &Outcome, _now: Timestamp) -> Vec<Change> {
        let Ok(input) = Self::input(history) else { return Vec::new() };
        let what = if self.asked { "an orphan" } else { "a guest that appeared late" };
        let text = match outcome {
            Outcome::Done => format!("removed {what}: {}", input.mark),
            other => format!("{what} is left ({}): {}", other.name(), input.mark),
        };
        let mut changes = vec![Change::Note { instance: None, text }];
        let provider = self.core.provider(&input.provider).ok();
        let key = provider.and_then(|provider| provider.guest_key(&input.native));
        if let (true, Outcome::Done, Some(guest)) = (self.asked, outcome, key) {
            changes.push(Change::RemoveOrphan { provider: input.provider, guest });
        }
        changes
    }
}
