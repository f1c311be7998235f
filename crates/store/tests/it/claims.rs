//! One operation per resource; supersede; queue; limits.

use engine::{Appended, Cause, Commit, Entry, JournalStore, Limit, Outcome, Status, Wait};
use model::{OperationId, OperationKind, OperationState};
use std::time::Duration;
use store::{CancelAnswer, Change, Error};

use super::world::{World, begun, failed, lines, running, stuck};

async fn shown(world: &World, id: model::InstanceId) -> Option<(OperationId, OperationKind)> {
    world.store.instance(id).await.unwrap().unwrap().operation
}

#[tokio::test]
async fn a_second_operation_is_refused_with_the_first_ones_id() {
    let world = World::new().await;
    let instance = world.instance();
    let create = world.operate(&instance, OperationKind::Create).await.unwrap();
    assert_eq!(shown(&world, instance.id).await, Some((create, OperationKind::Create)));
    let refused = world.operate(&instance, OperationKind::Start).await;
    assert_eq!(refused, Err(Error::ClaimHeld { by: create }));
    assert_eq!(world.store.operations(&Default::default()).await.unwrap().len(), 1);

    let epoch = world.epoch().await;
    world.claim(epoch).await;
    world.end(epoch, create, 0, Outcome::Done).await;
    assert_eq!(shown(&world, instance.id).await, None);
    let start = world.operate(&instance, OperationKind::Start).await.unwrap();
    assert_eq!(shown(&world, instance.id).await, Some((start, OperationKind::Start)));
}

#[tokio::test]
async fn a_delete_cancels_the_holder_and_begins_when_that_has_ended() {
    let world = World::new().await;
    let instance = world.instance();
    let create = world.operate(&instance, OperationKind::Create).await.unwrap();
    let epoch = world.epoch().await;
    assert_eq!(world.claimed(epoch).await, [create.into()]);
    let wait = Wait::Signal { name: "never".to_owned() };
    let until = world.later(600);
    let waiting = lines(vec![begun()], Status::Waiting { wait, until });
    world.append(epoch, create, 0, waiting).await.unwrap();

    let delete = world.operate(&instance, OperationKind::Delete).await.unwrap();
    assert_eq!(shown(&world, instance.id).await, Some((delete, OperationKind::Delete)));
    assert_eq!(world.state(delete).await, OperationState::Queued);
    let again = world.operate(&instance, OperationKind::Delete).await;
    assert_eq!(again, Err(Error::ClaimHeld { by: delete }));
    let other = world.operate(&instance, OperationKind::Start).await;
    assert_eq!(other, Err(Error::ClaimHeld { by: delete }));

    // The holder is due at once, although it waits, and only the holder.
    let claimed = world.claim(epoch).await;
    assert_eq!(claimed.len(), 1);
    assert_eq!((claimed[0].id, claimed[0].cancel_requested), (create.into(), true));
    let cause = Cause::Cancelled;
    let unwinding = lines(vec![Entry::Unwinding { cause }], Status::Running);
    world.append(epoch, create, 1, unwinding).await.unwrap();
    assert_eq!(world.state(create).await, OperationState::Unwinding);
    assert!(world.claimed(epoch).await.is_empty());
    world.end(epoch, create, 2, Outcome::Unwound { cause: Cause::Cancelled }).await;
    assert_eq!(world.state(create).await, OperationState::Cancelled);

    assert_eq!(world.claimed(epoch).await, [delete.into()]);
    assert_eq!(world.state(delete).await, OperationState::Running);
    // A delete that runs is joined, not superseded.
    let again = world.operate(&instance, OperationKind::Delete).await;
    assert_eq!(again, Err(Error::ClaimHeld { by: delete }));
    assert!(!world.store.operation(delete).await.unwrap().unwrap().cancel_requested);
}

#[tokio::test]
async fn a_holder_past_its_point_of_no_return_is_waited_for() {
    let world = World::new().await;
    let instance = world.instance();
    let stop = world.operate(&instance, OperationKind::Create).await.unwrap();
    let epoch = world.epoch().await;
    world.claim(epoch).await;
    let commit = Commit { cancellable: false, ..running() };
    world.append(epoch, stop, 0, commit).await.unwrap();
    let delete = world.operate(&instance, OperationKind::Delete).await.unwrap();
    assert!(!world.store.operation(stop).await.unwrap().unwrap().cancel_requested);
    assert!(world.claimed(epoch).await.is_empty());
    world.end(epoch, stop, 1, Outcome::Done).await;
    assert_eq!(world.claimed(epoch).await, [delete.into()]);
}

#[tokio::test]
async fn a_stuck_holder_is_taken_over_at_once_and_one_that_gets_stuck_later_then() {
    let world = World::new().await;
    let epoch = world.epoch().await;
    for stuck_before in [true, false] {
        let instance = world.instance();
        let create = world.operate(&instance, OperationKind::Create).await.unwrap();
        world.claim(epoch).await;
        if stuck_before {
            world.append(epoch, create, 0, stuck()).await.unwrap();
            assert_eq!(world.state(create).await, OperationState::Stuck);
            let refused = world.operate(&instance, OperationKind::Start).await;
            assert_eq!(refused, Err(Error::ClaimHeld { by: create }));
        }
        let delete = world.operate(&instance, OperationKind::Delete).await.unwrap();
        if !stuck_before {
            assert!(world.claimed(epoch).await.is_empty());
            world.append(epoch, create, 0, stuck()).await.unwrap();
        }
        let operation = world.store.operation(create).await.unwrap().unwrap();
        assert_eq!(operation.state, OperationState::Cancelled);
        assert_eq!(operation.reason, Some(format!("operation {delete} took over")));
        assert_eq!(operation.ended_at, Some(model::Clock::now(&world.clock)));
        let journal = world.store.operation_journal(create).await.unwrap().unwrap();
        let last = journal.entries.last().unwrap();
        assert_eq!(last.entry, Entry::Ended { outcome: Outcome::Superseded });
        assert_eq!(last.sequence, 2);
        assert_eq!(world.claimed(epoch).await, [delete.into()]);
        world.end(epoch, delete, 0, Outcome::Done).await;
        assert_eq!(shown(&world, instance.id).await, None);
    }
}

#[tokio::test]
async fn an_executor_that_comes_back_to_a_superseded_workflow_is_fenced() {
    let world = World::new().await;
    let instance = world.instance();
    let create = world.operate(&instance, OperationKind::Create).await.unwrap();
    let epoch = world.epoch().await;
    world.claim(epoch).await;
    world.append(epoch, create, 0, stuck()).await.unwrap();
    // Cancelled while stuck, and so taken up again ...
    assert_eq!(world.store.request_cancel(create).await, Ok(CancelAnswer::Requested));
    assert_eq!(world.claimed(epoch).await, [create.into()]);
    // ... when a delete takes over what is left.
    world.operate(&instance, OperationKind::Delete).await.unwrap();
    let unwinding = lines(vec![Entry::Unwinding { cause: Cause::Cancelled }], Status::Running);
    assert!(world.append(epoch, create, 1, unwinding).await.is_err());
}

#[tokio::test]
async fn a_queued_operation_that_is_cancelled_ends_and_frees_its_place() {
    let world = World::new().await;
    let instance = world.instance();
    let create = world.operate(&instance, OperationKind::Create).await.unwrap();
    let delete = world.operate(&instance, OperationKind::Delete).await.unwrap();
    assert_eq!(world.store.request_cancel(delete).await, Ok(CancelAnswer::Requested));
    assert_eq!(world.state(delete).await, OperationState::Cancelled);
    assert_eq!(world.store.request_cancel(delete).await, Ok(CancelAnswer::AlreadyEnded));
    assert_eq!(shown(&world, instance.id).await, Some((create, OperationKind::Create)));
    let delete = world.operate(&instance, OperationKind::Delete).await.unwrap();
    let epoch = world.epoch().await;
    world.claim(epoch).await;
    world.end(epoch, create, 0, failed()).await;
    assert_eq!(world.claimed(epoch).await, [delete.into()]);
}

fn limited(key: &str, at_most: u32) -> Commit<Change> {
    let limit = Limit { key: key.to_owned(), at_most };
    Commit { acquire: vec![limit], release: true, ..running() }
}

#[tokio::test]
async fn a_limit_without_room_makes_the_workflow_wait_in_line() {
    let world = World::new().await;
    let epoch = world.epoch().await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(world.start(world.workflow(None)).await.unwrap());
    }
    world.claim(epoch).await;
    let mut answers = Vec::new();
    for id in &ids {
        answers.push(world.append(epoch, *id, 0, limited("host/a", 2)).await.unwrap());
        world.clock.advance(Duration::from_millis(1));
    }
    assert!(matches!(answers[1], Appended::Written { .. }));
    assert_eq!(answers[2], Appended::LimitReached);
    assert_eq!(answers[3], Appended::LimitReached);
    let journal = world.store.operation_journal(ids[2].as_operation()).await.unwrap().unwrap();
    assert!(journal.entries.is_empty());
    assert!(world.claimed(epoch).await.is_empty());

    // Another key has room of its own.
    let other = world.start(world.workflow(None)).await.unwrap();
    world.claim(epoch).await;
    let answer = world.append(epoch, other, 0, limited("host/b", 2)).await.unwrap();
    assert!(matches!(answer, Appended::Written { .. }));

    // Room goes to who has waited longest: by giving back, getting stuck, or
    // ending.
    let done = Entry::Done { step: "one".to_owned(), output: serde_json::Value::Null };
    let giving_back = Commit { release: true, ..lines(vec![done], Status::Running) };
    world.append(epoch, ids[1], 1, giving_back).await.unwrap();
    assert_eq!(world.claimed(epoch).await, [ids[2]]);
    world.append(epoch, ids[2], 0, limited("host/a", 2)).await.unwrap();
    world.append(epoch, ids[0], 1, stuck()).await.unwrap();
    assert_eq!(world.claimed(epoch).await, [ids[3]]);
    let answer = world.append(epoch, ids[3], 0, limited("host/a", 2)).await.unwrap();
    assert!(matches!(answer, Appended::Written { .. }));

    // The net: whoever heard of no room looks again by itself.
    let answer = world.append(epoch, ids[1], 2, limited("host/a", 2)).await.unwrap();
    assert_eq!(answer, Appended::LimitReached);
    world.clock.advance(Duration::from_millis(999));
    assert!(world.claimed(epoch).await.is_empty());
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.claimed(epoch).await, [ids[1]]);
    assert_eq!(world.append(epoch, ids[1], 2, limited("host/a", 2)).await.unwrap(), answer);
    world.end(epoch, ids[3], 1, Outcome::Done).await;
    assert_eq!(world.claimed(epoch).await, [ids[1]]);
}

#[tokio::test]
async fn of_two_limits_none_is_taken_when_one_has_no_room() {
    let world = World::new().await;
    let epoch = world.epoch().await;
    let first = world.start(world.workflow(None)).await.unwrap();
    let second = world.start(world.workflow(None)).await.unwrap();
    let third = world.start(world.workflow(None)).await.unwrap();
    world.claim(epoch).await;
    world.append(epoch, first, 0, limited("b", 1)).await.unwrap();
    let both = ["a", "b"].map(|key| Limit { key: key.to_owned(), at_most: 1 });
    let commit = Commit { acquire: both.to_vec(), ..running() };
    assert_eq!(world.append(epoch, second, 0, commit).await.unwrap(), Appended::LimitReached);
    let answer = world.append(epoch, third, 0, limited("a", 1)).await.unwrap();
    assert!(matches!(answer, Appended::Written { .. }));
    assert_eq!(world.store.next_due().await.unwrap(), Some(world.later(1)));
}
