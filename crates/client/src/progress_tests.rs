#![allow(clippy::unwrap_used)]
use model::random::SeededRandom;
use model::time::ManualClock;
use model::{InstanceId, Timestamp};

use super::*;
use crate::wire::{OperationKind, Progress};

fn step(name: &str, state: StepState) -> Step {
    let at = |millis| Some(Time(Timestamp::from_millis(millis)));
    Step {
        name: name.to_owned(),
        state,
        attempts: 1,
        began_at: at(1_000),
        ended_at: (state == StepState::Done).then(|| at(1_500)).flatten(),
        detail: None,
        percent: None,
    }
}

fn operation(state: OperationState, steps: Vec<Step>) -> Operation {
    let (clock, random) = (ManualClock::default(), SeededRandom::new(3));
    let done = steps.iter().filter(|step| step.state == StepState::Done).count();
    Operation {
        id: OperationId::generate(&clock, &random),
        kind: OperationKind::Create,
        instance: InstanceId::generate(&clock, &random),
        instance_name: "web-1".to_owned(),
        project: "default".to_owned(),
        state,
        reason: None,
        left: Vec::new(),
        cancel_requested: false,
        asked_by: "ann".to_owned(),
        created_at: Time(Timestamp::from_millis(1_000)),
        ended_at: state.is_settled().then(|| Time(Timestamp::from_millis(4_200))),
        progress: Some(Progress {
            done: u32::try_from(done).unwrap(),
            total: u32::try_from(steps.len()).unwrap(),
        }),
        steps,
    }
}

#[test]
fn plain_progress_is_one_line_for_each_change() {
    let mut out = Vec::new();
    let mut sink = Plain::new(&mut out);
    let looks = [
        vec![step("place", StepState::Running), step("clone", StepState::Pending)],
        vec![step("place", StepState::Done), step("clone", StepState::Running)],
        vec![step("place", StepState::Done), step("clone", StepState::Waiting)],
        vec![
            step("place", StepState::Done),
            Step {
                percent: Some(40),
                detail: Some("40 of 100\n".into()),
                ..step("clone", StepState::Waiting)
            },
        ],
    ];
    for steps in looks {
        let now = operation(OperationState::Running, steps);
        sink.update(&now);
        sink.update(&now);
    }
    let mut end = operation(
        OperationState::Failed,
        vec![
            step("place", StepState::Undone),
            Step { detail: Some("storage full".into()), ..step("clone", StepState::Failed) },
        ],
    );
    end.reason = Some("storage full".to_owned());
    sink.update(&end);
    sink.finish(&end);
    let expected = "\
create web-1: place running
create web-1: place done (0.5s)
create web-1: clone running
create web-1: clone waiting - 40 %, 40 of 100
create web-1: place undone
create web-1: clone failed - storage full
create web-1: failed (3.2s)
";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn a_stuck_operation_says_why() {
    let mut end = operation(OperationState::Stuck, Vec::new());
    end.reason = Some("the host is gone".to_owned());
    assert_eq!(ending(&end), "create web-1: stuck (3.2s): the host is gone");
    end.state = OperationState::Failed;
    let text = "create web-1: failed (3.2s): the host is gone; everything was taken back";
    assert_eq!(ending(&end), text);
}

#[test]
fn live_progress_survives_a_plan_that_shrinks() {
    let mut sink = Live::new();
    let steps = vec![step("place", StepState::Done), step("clone", StepState::Running)];
    sink.update(&operation(OperationState::Running, steps));
    let end = operation(OperationState::Succeeded, vec![step("place", StepState::Done)]);
    sink.update(&end);
    sink.finish(&end);
    assert_eq!(sink.steps.len(), 1);
}
