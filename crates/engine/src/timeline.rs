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
            if let Some(step) = stuck_at(steps) {
                step.detail = Some(reason.clone());
            }
        }
        Entry::Resumed { .. } | Entry::Ended { .. } => {}
    }
}

/// The step that did not go on: the last one, or while everything is taken back
/// the last one that has not been.
fn stuck_at(steps: &mut [StepView]) -> Option<&mut StepView> {
    let not_undone =
        |step: &StepView| !matches!(step.state, StepState::Undone | StepState::Pending);
    let index = steps.iter().rposition(not_undone)?;
    let step = &mut steps[index];
    let back = step.ended_at.is_some();
    if back {
        step.state = StepState::Undoing;
    }
    Some(step)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Cause;

    fn journal(entries: Vec<Entry>) -> Vec<Recorded> {
        let at = |line: usize| Timestamp::from_millis(1000 * line as i64);
        let record = |(line, entry)| Recorded { sequence: line as u64 + 1, at: at(line), entry };
        entries.into_iter().enumerate().map(record).collect()
    }

    fn begun(step: &str) -> Entry {
        Entry::Begun { step: step.to_owned() }
    }

    fn done(step: &str) -> Entry {
        Entry::Done { step: step.to_owned(), output: serde_json::Value::Null }
    }

    fn refused(step: &str) -> Entry {
        let (step, reason) = (step.to_owned(), "no".to_owned());
        Entry::Unwinding { cause: Cause::Failed { step, reason, again: false } }
    }

    fn states(entries: Vec<Entry>) -> Vec<StepState> {
        let planned = ["clone", "start"].map(str::to_owned);
        timeline(&journal(entries), &planned).into_iter().map(|step| step.state).collect()
    }

    #[test]
    fn steps_that_are_planned_are_shown_before_they_begin() {
        assert_eq!(states(vec![begun("clone")]), [StepState::Running, StepState::Pending]);
        assert_eq!(states(vec![begun("clone"), done("clone")])[0], StepState::Done);
    }

    #[test]
    fn what_is_stuck_while_it_is_taken_back_is_shown_at_its_step() {
        let stuck = Entry::Stuck { reason: "locked".to_owned(), left: Vec::new() };
        let undone = Entry::Undone { step: "start".to_owned() };
        let entries =
            vec![begun("clone"), done("clone"), begun("start"), refused("start"), undone, stuck];
        let steps = timeline(&journal(entries), &[]);
        assert_eq!(steps[0].state, StepState::Undoing);
        assert_eq!(steps[0].detail.as_deref(), Some("locked"));
        assert_eq!(steps[1].state, StepState::Undone);
    }

    #[test]
    fn a_restart_begins_the_list_anew() {
        assert_eq!(
            states(vec![begun("clone"), refused("clone"), Entry::Restarted, begun("clone")]),
            [StepState::Running, StepState::Pending]
        );
    }
}
