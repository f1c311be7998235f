//! Operations through their lives: cancel, resume, abandon, waits.

use std::time::Duration;

use engine::{
    Cause, Commit, Entry, HandleState, JournalStore, OpenHandle, Outcome, Status, Wait, WaitResult,
};
use model::{Clock, OperationKind, OperationState};
use serde_json::json;
use store::{CancelAnswer, Change, Error, InstanceUpdate, OperationFilter};

use super::world::{World, begun, failed, lines, running, stuck};

#[tokio::test]
async fn an_operation_is_shown_as_what_its_journal_says() {
    let world = World::new().await;
    let instance = world.instance();
    let id = world.operate(&instance, OperationKind::Create).await.unwrap();
    assert_eq!(world.state(id).await, OperationState::Running);
    let epoch = world.epoch().await;
    world.claim(epoch).await;
    assert_eq!(world.state(id).await, OperationState::Running);
    world.append(epoch, id, 0, running()).await.unwrap();
    let Outcome::Unwound { cause } = failed() else { unreachable!() };
    let unwinding = lines(vec![Entry::Unwinding { cause }], Status::Running);
    world.append(epoch, id, 1, unwinding).await.unwrap();
    let shown = world.store.operation(id).await.unwrap().unwrap();
    assert_eq!(shown.state, OperationState::Unwinding);
    assert_eq!(shown.reason.as_deref(), Some("one: broken"));
    world.append(epoch, id, 2, lines(vec![Entry::Restarted], Status::Running)).await.unwrap();
    let shown = world.store.operation(id).await.unwrap().unwrap();
    assert_eq!((shown.state, shown.reason), (OperationState::Running, None));
    world.append(epoch, id, 3, stuck()).await.unwrap();
    let shown = world.store.operation(id).await.unwrap().unwrap();
    assert_eq!(shown.state, OperationState::Stuck);
    assert_eq!(shown.reason.as_deref(), Some("no power"));
    assert_eq!(shown.left, ["vm 100"]);
    assert_eq!(shown.ended_at, None);
    assert!(world.claimed(epoch).await.is_empty());

    assert_eq!(world.store.resume(id, world.later(60), vec![]).await, Ok(true));
    assert_eq!(world.store.resume(id, world.later(60), vec![]).await, Ok(false));
    let shown = world.store.operation(id).await.unwrap().unwrap();
    assert_eq!((shown.state, shown.left.len()), (OperationState::Running, 0));
    let record = world.claim(epoch).await.pop().unwrap();
    let deadline = world.later(60);
    assert_eq!(record.entries.last().unwrap().entry, Entry::Resumed { deadline });
    assert_eq!(record.entries.last().unwrap().sequence, 5);
    world.end(epoch, id, 5, failed()).await;
    let shown = world.store.operation(id).await.unwrap().unwrap();
    assert_eq!(shown.state, OperationState::Failed);
    assert_eq!(shown.reason.as_deref(), Some("one: broken"));
    assert_eq!(shown.ended_at, Some(world.clock.now()));

    let list = async |filter| world.store.operations(&filter).await.unwrap();
    let of = |instance| OperationFilter { instance, ..OperationFilter::default() };
    assert_eq!(list(of(Some(instance.id))).await, [shown]);
    assert!(list(of(Some(world.instance().id))).await.is_empty());
    let state = Some(OperationState::Running);
    assert!(list(OperationFilter { state, ..OperationFilter::default() }).await.is_empty());
}

#[tokio::test]
async fn one_that_was_stuck_while_unwinding_goes_on_unwinding() {
    let world = World::new().await;
    let instance = world.instance();
    let id = world.operate(&instance, OperationKind::Create).await.unwrap();
    let epoch = world.epoch().await;
    world.claim(epoch).await;
    let cause = Cause::Cancelled;
    world
        .append(epoch, id, 0, lines(vec![Entry::Unwinding { cause }], Status::Running))
        .await
        .unwrap();
    world.append(epoch, id, 1, stuck()).await.unwrap();
    world.store.resume(id, world.later(60), vec![]).await.unwrap();
    assert_eq!(world.state(id).await, OperationState::Unwinding);
}

#[tokio::test]
async fn an_abandoned_operation_says_what_it_left_and_frees_its_instance() {
    let world = World::new().await;
    let instance = world.instance();
    let id = world.operate(&instance, OperationKind::Create).await.unwrap();
    assert_eq!(world.store.abandon(id, vec![]).await, Ok(false));
    let epoch = world.epoch().await;
    world.claim(epoch).await;
    world.append(epoch, id, 0, stuck()).await.unwrap();
    assert_eq!(world.store.abandon(id, vec![]).await, Ok(true));
    assert_eq!(world.store.abandon(id, vec![]).await, Ok(false));
    let shown = world.store.operation(id).await.unwrap().unwrap();
    assert_eq!((shown.state, shown.left), (OperationState::Abandoned, vec!["vm 100".to_owned()]));
    assert_eq!(world.store.instance(instance.id).await.unwrap().unwrap().operation, None);
    world.operate(&instance, OperationKind::Start).await.unwrap();
    let nobody = world.workflow(None).id.as_operation();
    assert!(matches!(world.store.abandon(nobody, vec![]).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn cancel_makes_a_waiting_workflow_due_and_is_refused_after_the_pivot() {
    let world = World::new().await;
    let epoch = world.epoch().await;
    let instance = world.instance();
    let id = world.operate(&instance, OperationKind::Create).await.unwrap();
    world.claim(epoch).await;
    let until = world.later(600);
    let waiting = |cancellable| {
        let wait = Wait::Until { at: until };
        let commit = lines(vec![begun()], Status::Waiting { wait, until });
        Commit { cancellable, ..commit }
    };
    world.append(epoch, id, 0, waiting(true)).await.unwrap();
    assert!(world.claimed(epoch).await.is_empty());
    assert_eq!(world.store.request_cancel(id).await, Ok(CancelAnswer::Requested));
    assert!(world.store.operation(id).await.unwrap().unwrap().cancel_requested);
    assert!(world.claim(epoch).await[0].cancel_requested);
    // An append that must not cross a cancel does not.
    let pivot = Commit { unless_cancelled: true, ..running() };
    assert_eq!(world.append(epoch, id, 1, pivot).await.unwrap(), engine::Appended::Cancelled);
    // Resting once more without having heard of it makes it due again.
    world.append(epoch, id, 1, waiting(true)).await.unwrap();
    assert_eq!(world.claimed(epoch).await, [id.into()]);
    world.append(epoch, id, 2, waiting(false)).await.unwrap();
    assert!(world.claimed(epoch).await.is_empty());
    assert_eq!(world.store.request_cancel(id).await, Ok(CancelAnswer::NotCancellable));
    assert!(world.claimed(epoch).await.is_empty());
}

#[tokio::test]
async fn a_stuck_workflow_that_is_cancelled_is_taken_up_and_rests_when_given_back() {
    let world = World::new().await;
    let epoch = world.epoch().await;
    let id = world.start(world.workflow(None)).await.unwrap();
    world.claim(epoch).await;
    world.append(epoch, id, 0, stuck()).await.unwrap();
    world.store.request_cancel(id.as_operation()).await.unwrap();
    assert!(world.claim(epoch).await[0].cancel_requested);
    world.store.release(epoch, id).await.unwrap();
    assert!(world.claimed(epoch).await.is_empty());
    assert_eq!(world.store.resume(id.as_operation(), world.later(60), vec![]).await, Ok(true));
    assert_eq!(world.claimed(epoch).await, [id]);
}

#[tokio::test]
async fn handles_are_open_until_they_are_resolved() {
    let world = World::new().await;
    let epoch = world.epoch().await;
    let id = world.start(world.workflow(None)).await.unwrap();
    world.claim(epoch).await;
    let since = world.clock.now();
    let wait =
        |task: &str| Wait::Handle { group: "lab/a".to_owned(), handle: json!({"z": 1, "a": task}) };
    let waiting = |task, until| lines(vec![begun()], Status::Waiting { wait: wait(task), until });
    world.append(epoch, id, 0, waiting("one", world.later(30))).await.unwrap();
    let open = world.store.open_handles().await.unwrap();
    let handle = json!({"z": 1, "a": "one"});
    let expected = OpenHandle { workflow: id, group: "lab/a".to_owned(), handle, since };
    assert_eq!(open, vec![expected.clone()]);
    assert_eq!(world.store.next_due().await.unwrap(), Some(world.later(30)));

    // Looking in between and waiting on is not a new wait.
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(world.claimed(epoch).await, [id]);
    assert_eq!(world.store.next_due().await.unwrap(), None);
    world.append(epoch, id, 1, waiting("one", world.later(30))).await.unwrap();
    assert_eq!(world.store.open_handles().await.unwrap(), vec![expected.clone()]);

    // Another handle's end is not this one's.
    let mut other = expected.clone();
    other.handle = json!({"z": 1, "a": "two"});
    world.store.resolve(vec![(other, HandleState::Ok)]).await.unwrap();
    assert!(world.claimed(epoch).await.is_empty());
    let text = "TASK ERROR".to_owned();
    let state = HandleState::Failed { text };
    world.store.resolve(vec![(expected, state.clone())]).await.unwrap();
    assert!(world.store.open_handles().await.unwrap().is_empty());
    let record = world.claim(epoch).await.pop().unwrap();
    assert_eq!(record.wait_result, Some(WaitResult::Handle { state }));
    world.append(epoch, id, 2, waiting("two", world.later(30))).await.unwrap();
    assert_eq!(world.store.open_handles().await.unwrap()[0].since, world.clock.now());
}

#[tokio::test]
async fn a_signal_ends_the_wait_for_it_and_no_other() {
    let world = World::new().await;
    let epoch = world.epoch().await;
    let id = world.start(world.workflow(None)).await.unwrap();
    world.claim(epoch).await;
    let signal = |name: &str| world.store.signal(id, name.to_owned(), json!(7));
    assert_eq!(signal("go").await, Ok(false));
    let wait = Wait::Signal { name: "go".to_owned() };
    let until = world.later(60);
    world.append(epoch, id, 0, lines(vec![], Status::Waiting { wait, until })).await.unwrap();
    assert_eq!(signal("stop").await, Ok(false));
    assert_eq!(signal("go").await, Ok(true));
    let record = world.claim(epoch).await.pop().unwrap();
    assert_eq!(record.wait_result, Some(WaitResult::Signal { payload: json!(7) }));
}

#[tokio::test]
async fn a_workflow_is_due_at_its_time_and_somebody_is_told() {
    let world = World::new().await;
    let epoch = world.epoch().await;
    let hint = world.store.hint();
    let hinted = hint.notified();
    tokio::pin!(hinted);
    hinted.as_mut().enable();
    let id = world.start(world.workflow(None)).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), hinted).await.unwrap();
    world.claim(epoch).await;
    let at = world.later(10);
    world.append(epoch, id, 0, lines(vec![begun()], Status::RunAt(at))).await.unwrap();
    assert_eq!(world.store.next_due().await.unwrap(), Some(at));
    world.clock.advance(Duration::from_millis(9_999));
    assert!(world.claimed(epoch).await.is_empty());
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.claimed(epoch).await, [id]);
    assert_eq!(world.store.next_due().await.unwrap(), None);
}

#[tokio::test]
async fn a_fault_names_the_operation_that_committed_it() {
    let world = World::new().await;
    let epoch = world.epoch().await;
    let instance = world.instance();
    let id = world.operate(&instance, OperationKind::Create).await.unwrap();
    world.claim(epoch).await;
    let at = world.clock.now();
    let fault = model::Fault { message: "no power".to_owned(), at, operation: None, stuck: true };
    let update = InstanceUpdate { fault: Some(Some(fault)), ..InstanceUpdate::default() };
    let mut commit = stuck();
    commit.changes = vec![Change::UpdateInstance { id: instance.id, update: Box::new(update) }];
    world.append(epoch, id, 0, commit).await.unwrap();
    let seen = world.store.instance(instance.id).await.unwrap().unwrap();
    assert_eq!(seen.fault.unwrap().operation, Some(id));
}

#[tokio::test]
async fn compaction_forgets_what_ended_and_keeps_what_is_stuck_or_goes_on() {
    let world = World::new().await;
    let began = world.clock.now();
    let epoch = world.epoch().await;
    let mut ids = Vec::new();
    for number in 0..3 {
        let instance = world.instance();
        let id = world.operate(&instance, OperationKind::Create).await.unwrap();
        world.claim(epoch).await;
        match number {
            0 => world.end(epoch, id, 0, Outcome::Done).await,
            1 => drop(world.append(epoch, id, 0, stuck()).await.unwrap()),
            _ => drop(world.append(epoch, id, 0, running()).await.unwrap()),
        }
        ids.push(id);
    }
    let note = Change::Note { instance: None, text: "hello".to_owned() };
    world.store.commit(vec![note]).await.unwrap();
    let before = world.store.sequence().await.unwrap();
    world.store.compact(began).await.unwrap();
    assert!(world.store.operation(ids[0]).await.unwrap().is_some(), "it ended later");
    world.clock.advance(Duration::from_secs(3600));
    world.store.compact(world.clock.now()).await.unwrap();
    assert!(world.store.operation(ids[0]).await.unwrap().is_none());
    assert!(world.store.operation_journal(ids[0]).await.unwrap().is_none());
    assert_eq!(world.state(ids[1]).await, OperationState::Stuck);
    assert_eq!(world.store.operation_journal(ids[2]).await.unwrap().unwrap().entries.len(), 1);
    assert!(world.store.events(None, 10).await.unwrap().is_empty());
    // The read model is told that it is gone.
    let items = world.store.changes_since(before).await.unwrap();
    assert_eq!(items[0].id, ids[0].to_string());
}
