//! A journal as the user sees it: steps with their states.

use model::{StepState, StepView, Timestamp};

use crate::journal::{Entry, Wait};
use crate::store::Recorded;

/// The steps of a journal, in order, followed by those in `planned` that have
/// not begun. A restart begins the list anew.
pub fn timeline(entries: &[Recorded], planned: &[String]) -> Vec<StepView> {
    let mut steps: Vec<StepView> = Vec::new();
    for recorded in entries {
        take(&mut steps, recorded);
    }
    for name in planned {
        if !steps.iter().any(|step| &step.name == name) {
            steps.push(pending(name));
        }
    }
    steps
}

fn pending(name: &str) -> StepView {
    StepView {
        name: name.to_owned(),
        state: StepState::Pending,
        attempts: 0,
        began_at: None,
        ended_at: None,
        detail: None,
        percent: None,
    }
}

fn take(steps: &mut Vec<StepView>, recorded: &Recorded) {
    let at = recorded.at;
    match &recorded.entry {
        Entry::Begun { step } => {
            let step = touch(steps, step, at);
            step.state = StepState::Running;
            step.attempts += 1;
        }
        Entry::Waiting { step, wait } => {
            let step = touch(steps, step, at);
            if step.state != StepState::Undoing {
                step.state = StepState::Waiting;
            }
            step.detail = match wait {
                Wait::Handle { .. } => Some("waiting for the hypervisor".to_owned()),
                Wait::Children { .. } => Some("waiting for its parts".to_owned()),
                Wait::Signal { name } => Some(format!("waiting for {name}")),
                Wait::Until { .. } => step.detail.take(),
            };
        }
        Entry::Done { step, .. } => {
            let step = touch(steps, step, at);
            step.state = StepState::Done;
            step.attempts = step.attempts.max(1);
            step.ended_at = Some(at);
            step.detail = None;
        }
        Entry::InDoubt { step, reason, .. } => {
            let step = touch(steps, step, at);
            step.state = StepState::Waiting;
            step.detail = Some(format!("checking what has happened: {reason}"));
        }
        Entry::Retry { step, reason, .. } => {
            let step = touch(steps, step, at);
            step.state = StepState::Waiting;
            step.detail = Some(format!("trying again: {reason}"));
        }
        Entry::Unwinding { cause } => {
            let reason = cause.reason();
            for step in steps.iter_mut().filter(|step| step.state != StepState::Done) {
                step.state = StepState::Failed;
                step.ended_at = Some(at);
                step.detail = Some(reason.clone());
            }
        }
        Entry::UndoRetry { step, reason, .. } => {
            let step = touch(steps, step, at);
            step.state = StepState::Undoing;
            step.detail = Some(format!("undoing again: {reason}"));
        }
        Entry::Undone { step } => {
            let step = touch(steps, step, at);
            step.state = StepState::Undone;
            step.ended_at = Some(at);
        }
        Entry::Restarted => steps.clear(),
        Entry::Stuck { reason, .. } => {
            if let Some(step) = steps.last_mut() {
                step.detail = Some(reason.clone());
            }
        }
        Entry::Resumed { .. } | Entry::Ended { .. } => {}
    }
}

fn touch<'s>(steps: &'s mut Vec<StepView>, name: &str, at: Timestamp) -> &'s mut StepView {
    let index = steps.iter().position(|step| step.name == name).unwrap_or_else(|| {
        steps.push(pending(name));
        steps.len() - 1
    });
    let step = &mut steps[index];
    step.began_at.get_or_insert(at);
    step
}
