//! A provider's actions as steps of a workflow.

use engine::{
    Applied, History, Limit, Mode, Probed, Retry, StepContext, StepDef, StepError, Undone, Wait,
};
use model::{InstanceId, Mark, ProviderId, SeedAccess};
use provider::{Action, ActionContext, Handle, Plan, Probe};
use secrecy::SecretString;
use serde_json::Value;
use std::time::Duration;
use store::{Change, InstanceUpdate};

use super::{Planned, read};
use crate::house::Core;

/// Tries of an action that count.
const ATTEMPTS: u32 = 6;
/// The member of an action's output that is not part of the reference to the
/// guest; see [`provider::Applied::Done`].
const PENDING: &str = "pending";
/// How long a step pauses before it looks again at what is still going on.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// The plan in the journal, once its step is done.
pub(super) fn plan_of(history: &History) -> Result<Option<Plan>, String> {
    let Some(output) = history.output("plan") else { return Ok(None) };
    read::<Planned>("plan", output).map(|planned| Some(planned.plan))
}

/// The steps of a plan. The first action that cannot be taken back is the
/// pivot, unless `pivoted` says that the pivot is behind already.
pub(super) fn steps_of(plan: &Plan, mut pivoted: bool) -> Result<Vec<StepDef>, String> {
    let mut steps = Vec::new();
    for action in &plan.actions {
        let mode = match (action.reversible, pivoted) {
            (_, true) => Mode::Forward,
            (true, false) => Mode::Reversible,
            (false, false) => Mode::Pivot,
        };
        pivoted |= !action.reversible;
        let payload =
            serde_json::to_value(action).map_err(|error| format!("{}: {error}", action.name))?;
        let limits = action
            .limits
            .iter()
            .map(|limit| Limit { key: limit.key.clone(), at_most: limit.at_most });
        steps.push(StepDef {
            name: action.name.clone(),
            mode,
            effect: true,
            payload,
            limits: limits.collect(),
            request_timeout: action.request_timeout,
            settle: action.settle,
            deadline: action.deadline,
            retry: Retry { attempts: action.attempts.unwrap_or(ATTEMPTS), ..Retry::default() },
        });
    }
    Ok(steps)
}

/// Which guest the actions are about.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) provider: ProviderId,
    pub(super) mark: Mark,
    /// The reference to the guest before the first action of the plan.
    pub(super) native: Value,
    /// The instance whose row follows what the actions find; none for a guest
    /// that is only removed.
    pub(super) instance: Option<InstanceId>,
}

impl Subject {
    fn changes(&self, output: &Value) -> Vec<Change> {
        let Some(id) = self.instance.filter(|_| output.is_object()) else { return Vec::new() };
        let mut native = output.clone();
        if let Value::Object(native) = &mut native {
            native.remove(PENDING);
        }
        let update = InstanceUpdate { native: Some(native), ..InstanceUpdate::default() };
        vec![Change::UpdateInstance { id, update: Box::new(update) }]
    }
}

/// What the actions that are done have left for the guest's next start; `None`
/// when none of them says.
pub(super) fn pending_of(history: &History) -> Option<Vec<String>> {
    let said = history.outputs.iter().filter_map(|(_, output)| output.get(PENDING)?.as_array());
    said.map(|names| names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect())
        .next_back()
}

/// Merges what an action has found into the reference to the guest.
pub(super) fn merge(native: &mut Value, output: &Value) {
    match (native, output) {
        (Value::Object(native), Value::Object(output)) => {
            native.extend(output.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        (native, output @ Value::Object(_)) => *native = output.clone(),
        _ => {}
    }
}

fn action_of(step: &StepDef) -> Result<Action, StepError> {
    read(&step.name, &step.payload).map_err(StepError::permanent)
}

async fn context(
    core: &Core,
    subject: &Subject,
    context: &StepContext<'_>,
) -> Result<ActionContext, StepError> {
    let mut native = subject.native.clone();
    let plan = plan_of(context.history).map_err(StepError::permanent)?;
    for action in plan.iter().flat_map(|plan| &plan.actions) {
        if let Some(output) = context.history.output(&action.name) {
            merge(&mut native, output);
        }
    }
    let seed_url: Option<SecretString> = match subject.instance {
        Some(instance) => core.seed_url(instance).await.map_err(super::store_error)?,
        None => None,
    };
    let seed_medium = match (subject.instance, core.seed_access(&subject.provider)) {
        (Some(instance), SeedAccess::Medium) => {
            core.seed_medium(instance).await.map_err(super::store_error)?
        }
        _ => None,
    };
    Ok(ActionContext {
        mark: subject.mark,
        native,
        seed_url,
        seed_medium,
        in_doubt_since: context.in_doubt_since,
    })
}

fn wait_for(core_provider: &ProviderId, handle: &Handle) -> Result<Wait, StepError> {
    Ok(Wait::Handle {
        group: format!("{core_provider}/{}", handle.host),
        handle: super::write(handle)?,
    })
}

pub(super) async fn apply(
    core: &Core,
    subject: &Subject,
    step: &StepContext<'_>,
) -> Result<Applied<Change>, StepError> {
    let (provider, action) = (core.provider(&subject.provider)?, action_of(step.step)?);
    let context = context(core, subject, step).await?;
    let answer = provider.apply(&action, &context).await;
    core.calls.count(&subject.provider, "apply", answer.is_ok());
    match answer.map_err(step_error)? {
        provider::Applied::Done(output) => {
            let changes = subject.changes(&output);
            Ok(Applied::Done { output, changes })
        }
        provider::Applied::Started(handle) => {
            Ok(Applied::Wait { on: wait_for(&subject.provider, &handle)?, changes: Vec::new() })
        }
    }
}

pub(super) async fn probe(
    core: &Core,
    subject: &Subject,
    step: &StepContext<'_>,
) -> Result<Probed<Change>, StepError> {
    let (provider, action) = (core.provider(&subject.provider)?, action_of(step.step)?);
    let context = context(core, subject, step).await?;
    let answer = provider.probe(&action, &context).await;
    core.calls.count(&subject.provider, "probe", answer.is_ok());
    match answer.map_err(step_error)? {
        Probe::NotDone => Ok(Probed::NotDone),
        Probe::InProgress(None) => Ok(Probed::InProgress(None)),
        Probe::InProgress(Some(handle)) => {
            Ok(Probed::InProgress(Some(wait_for(&subject.provider, &handle)?)))
        }
        Probe::Done(output) => {
            let changes = subject.changes(&output);
            Ok(Probed::Done { output, changes })
        }
        Probe::Foreign(reason) => Ok(Probed::Foreign(reason)),
    }
}

pub(super) async fn undo(
    core: &Core,
    subject: &Subject,
    step: &StepContext<'_>,
) -> Result<Undone<Change>, StepError> {
    let (provider, action) = (core.provider(&subject.provider)?, action_of(step.step)?);
    let context = context(core, subject, step).await?;
    let answer = provider.undo(&action, &context).await;
    core.calls.count(&subject.provider, "undo", answer.is_ok());
    match answer.map_err(step_error)? {
        provider::Undone::Done => Ok(Undone::Done { changes: Vec::new() }),
        provider::Undone::Tombstone(why) => {
            // The id is retired with its mark when the attempt ends; the
            // observer removes what appears there under that mark.
            tracing::info!(workflow = %step.workflow, why, "left a tombstone");
            Ok(Undone::Done { changes: Vec::new() })
        }
        provider::Undone::Started(handle) => {
            Ok(Undone::Wait { on: wait_for(&subject.provider, &handle)? })
        }
        provider::Undone::InProgress => {
            Ok(Undone::Wait { on: Wait::Until { at: step.now.plus(LOOK_AGAIN) } })
        }
    }
}

/// What is left of a guest when one of its steps is stuck, and what to do.
pub(super) fn left(core: &Core, subject: &Subject, step: &StepContext<'_>) -> Vec<String> {
    let mut native = subject.native.clone();
    let plan = plan_of(step.history).ok().flatten();
    for action in plan.iter().flat_map(|plan| &plan.actions) {
        if let Some(output) = step.history.output(&action.name) {
            merge(&mut native, output);
        }
    }
    let key = core.provider(&subject.provider).ok().and_then(|p| p.guest_key(&native));
    match key {
        None => Vec::new(),
        Some(key) => vec![format!(
            "guest {key} on {} ({}): resume the operation, or delete the instance",
            subject.provider, subject.mark
        )],
    }
}

pub(super) fn failure(
    core: &Core,
    subject: &Subject,
    step: &StepContext<'_>,
    text: &str,
) -> StepError {
    match (core.provider(&subject.provider), action_of(step.step)) {
        (Ok(provider), Ok(action)) => step_error(provider.failure(&action, text)),
        (Err(error), _) | (_, Err(error)) => error,
    }
}

/// What a provider's error means for a step.
pub(super) fn step_error(error: provider::Error) -> StepError {
    use provider::{Error, Rejection};
    let reason = error.to_string();
    match error {
        // What is away or locked is waited for: that ends at the step's deadline.
        Error::NotSent(_) | Error::Busy(_) | Error::Unavailable(_) => {
            StepError::unavailable(reason)
        }
        Error::Failed(_) => StepError::transient(reason),
        Error::Ambiguous { settle, .. } => StepError::Ambiguous { reason, settle },
        // Somebody else has taken the id: another one may do.
        Error::Rejected { why: Rejection::Exists, .. } => {
            StepError::Permanent { reason, again: true }
        }
        Error::Rejected { why: Rejection::Denied(Some(privilege)), text } => {
            StepError::permanent(format!("{text} (missing privilege: {privilege})"))
        }
        Error::Rejected { .. } | Error::Malformed(_) => StepError::permanent(reason),
        Error::NeedsAdministrator { text, commands } => {
            StepError::Stuck { reason: text, left: commands }
        }
    }
}
