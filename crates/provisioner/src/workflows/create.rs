//! Making an instance: place it, plan it, carry out the provider's actions.
//!
//! Everything before the end can be taken back, so that a creation that fails
//! or is cancelled leaves its row (as failed) and nothing else.

use std::sync::Arc;

use async_trait::async_trait;
use engine::{Applied, History, Kind, Mode, Outcome, StepContext, StepDef, StepError};
use model::{
    AttemptId, CreateIntent, EditIntent, HostId, Instance, InstanceId, InstanceSpec, Intent,
    Observed, Phase, PowerState, ProviderId, SeedAccess, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Change, IdReservation, InstanceUpdate};

use super::actions::{self, Subject};
use super::runner::{OverPlan, planned, trouble};
use super::{mark_of, read, row, store_error, write};
use crate::house::Core;

/// What the workflow is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateInput {
    /// The instance; its row holds the rest.
    pub instance: InstanceId,
    /// Where it is made.
    pub provider: ProviderId,
    /// Whether it is powered on at the end.
    pub power_on: bool,
}

/// The output of the step `place`.
#[derive(Debug, Serialize, Deserialize)]
struct Placed {
    host: HostId,
    /// The mark's attempt; journalled here, before anything carries it.
    attempt: AttemptId,
    /// Every host with its score or the reason why not.
    explanation: Vec<String>,
}

/// The name and version of the workflow that makes an instance.
pub fn create_kind() -> Kind {
    Kind::new("instance.create", 1)
}

pub(super) struct Create {
    core: Arc<Core>,
}

impl Create {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    fn input(history: &History) -> Result<CreateInput, StepError> {
        read("input", &history.input).map_err(StepError::permanent)
    }

    fn placed(history: &History) -> Result<Placed, StepError> {
        let output = history.output("place").ok_or_else(|| StepError::permanent("no place"))?;
        read("place", output).map_err(StepError::permanent)
    }

    async fn place(&self, context: &StepContext<'_>) -> Result<Applied<Change>, StepError> {
        let input = Self::input(context.history)?;
        let instance = row(&self.core, input.instance).await?;
        let placement = self.core.place(&instance)?;
        let attempt = match context.history.restarts {
            0 => instance.attempt,
            _ => AttemptId::generate(&*self.core.clock, &*self.core.random),
        };
        tracing::info!(
            instance = %input.instance,
            host = %placement.host,
            explanation = placement.explanation.join("; "),
            "placed"
        );
        let update = InstanceUpdate {
            attempt: Some(attempt),
            attempts: Some(context.history.restarts + 1),
            observed: Some(Some(seen(&placement.host, PowerState::Unknown, context.now))),
            ..InstanceUpdate::default()
        };
        let placed = Placed { host: placement.host, attempt, explanation: placement.explanation };
        Ok(Applied::Done {
            output: write(&placed)?,
            changes: vec![Change::UpdateInstance { id: input.instance, update: Box::new(update) }],
        })
    }

    async fn plan(&self, context: &StepContext<'_>) -> Result<Applied<Change>, StepError> {
        let input = Self::input(context.history)?;
        let placed = Self::placed(context.history)?;
        let instance = row(&self.core, input.instance).await?;
        let provider = self.core.provider(&input.provider)?;
        let seed = self.core.seed_access(&input.provider);
        let intent = intent(&instance, &placed.host, input.power_on, seed)?;
        let mark = mark_of(&self.core, input.instance, placed.attempt);
        let facts = self.core.facts(&instance, Some(&placed.host), mark);
        let requests = provider.ids_needed(&intent, &facts).map_err(actions::step_error)?;
        let reservations: Vec<IdReservation> = requests
            .iter()
            .map(|request| IdReservation {
                pool: request.pool.clone(),
                range: request.range.clone(),
                taken: request.taken.clone(),
                retire_for: request.retire_for,
            })
            .collect();
        let values = self
            .core
            .store
            .reserve_ids(input.instance, placed.attempt, &mark, &reservations)
            .await
            .map_err(store_error)?;
        let ids: Vec<provider::ReservedId> = requests
            .into_iter()
            .zip(values)
            .map(|(request, value)| provider::ReservedId { pool: request.pool, value })
            .collect();
        let plan = provider.plan(&intent, &facts, &ids).map_err(actions::step_error)?;
        let update =
            InstanceUpdate { native: Some(plan.reference.clone()), ..InstanceUpdate::default() };
        planned(plan, vec![Change::UpdateInstance { id: input.instance, update: Box::new(update) }])
    }
}

fn seen(host: &HostId, power: PowerState, at: Timestamp) -> Observed {
    Observed { power, host: host.clone(), addresses: Vec::new(), at, pending: Vec::new() }
}

/// What differs from the image's: nothing is said of what was not asked for.
fn about(spec: &InstanceSpec) -> EditIntent {
    EditIntent {
        description: Some(spec.description.clone()).filter(|text| !text.is_empty()),
        tags: Some(spec.tags.clone()).filter(|tags| !tags.is_empty()),
        protected: spec.protected.then_some(true),
        ..EditIntent::default()
    }
}

pub(crate) fn intent(
    instance: &Instance,
    host: &HostId,
    power_on: bool,
    seed: SeedAccess,
) -> Result<Intent, StepError> {
    let spec = &instance.spec;
    let image = spec.image.ok_or_else(|| StepError::permanent("it has no image"))?;
    Ok(Intent::Create(Box::new(CreateIntent {
        name: spec.name.clone(),
        image,
        host: host.clone(),
        cores: spec.cores,
        memory: spec.memory,
        root_disk: spec.disks.first().map(|disk| disk.size),
        nics: spec.nics.clone(),
        devices: spec.devices.clone(),
        security_groups: spec.security_groups.clone(),
        seed,
        power_on,
        about: about(spec),
    })))
}

#[async_trait]
impl OverPlan for Create {
    fn kind(&self) -> Kind {
        create_kind()
    }

    fn core(&self) -> &Arc<Core> {
        &self.core
    }

    fn before(&self) -> Vec<StepDef> {
        vec![StepDef::local("place", Mode::Reversible), StepDef::local("plan", Mode::Reversible)]
    }

    fn subject(&self, history: &History) -> Result<Subject, StepError> {
        let input = Self::input(history)?;
        let placed = Self::placed(history)?;
        let plan = actions::plan_of(history).map_err(StepError::permanent)?;
        Ok(Subject {
            provider: input.provider,
            mark: mark_of(&self.core, input.instance, placed.attempt),
            native: plan.map_or(Value::Null, |plan| plan.reference),
            instance: Some(input.instance),
        })
    }

    async fn local(&self, context: &StepContext<'_>) -> Result<Applied<Change>, StepError> {
        match context.step.name.as_str() {
            "place" => self.place(context).await,
            _ => self.plan(context).await,
        }
    }

    /// The ids that `plan` reserves go with the attempt: `plan` may have been
    /// interrupted between reserving them and its journal line.
    fn undo_local(&self, context: &StepContext<'_>) -> Result<Vec<Change>, StepError> {
        if context.step.name != "place" {
            return Ok(Vec::new());
        }
        let owner = Self::input(context.history)?.instance;
        let attempt = Some(Self::placed(context.history)?.attempt);
        let update = InstanceUpdate {
            native: Some(Value::Null),
            observed: Some(None),
            ..InstanceUpdate::default()
        };
        Ok(vec![
            Change::RetireIds { owner, attempt, watch: true },
            Change::UpdateInstance { id: owner, update: Box::new(update) },
        ])
    }

    fn ended(&self, history: &History, outcome: &Outcome, now: Timestamp) -> Vec<Change> {
        let Ok(input) = Self::input(history) else { return Vec::new() };
        let id = input.instance;
        if *outcome == Outcome::Done {
            let power = if input.power_on { PowerState::Running } else { PowerState::Stopped };
            let host = Self::placed(history).ok().map(|placed| placed.host);
            let update = InstanceUpdate {
                phase: Some(Phase::Ready),
                fault: Some(None),
                observed: host.map(|host| Some(seen(&host, power, now))),
                ..InstanceUpdate::default()
            };
            return vec![Change::UpdateInstance { id, update: Box::new(update) }];
        }
        let Some(mut update) = trouble("create", outcome, now) else { return Vec::new() };
        let mut changes = Vec::new();
        if let Outcome::Unwound { .. } = outcome {
            update.phase = Some(Phase::Failed);
            changes.push(Change::RetireIds { owner: id, attempt: None, watch: true });
            changes.push(Change::RemoveSeed { instance: id });
        }
        changes.push(Change::UpdateInstance { id, update: Box::new(update) });
        changes
    }

    fn restarts(&self) -> u32 {
        2
    }
}
