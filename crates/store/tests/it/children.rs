//! Children: promotion, policies, cancel, claims.

use engine::{
    Cause, Entry, JournalStore, NewWorkflow, Outcome, Policy, Spawn, Status, Wait, WaitResult,
    WorkflowId,
};
use store::{CancelAnswer, Error};

use super::world::{World, failed, lines, running, spawning, stuck};

struct Family {
    world: World,
    epoch: engine::EpochId,
    parent: WorkflowId,
    children: Vec<WorkflowId>,
}

/// A parent that waits for these children.
async fn begin(world: World, children: Vec<NewWorkflow>, at_most: u32, policy: Policy) -> Family {
    let epoch = world.epoch().await;
    let parent = world.start(world.workflow(Some("group/1"))).await.unwrap();
    assert_eq!(world.claimed(epoch).await, [parent]);
    let ids = children.iter().map(|child| child.id).collect();
    let spawn = Spawn { children, at_most, policy };
    world.append(epoch, parent, 0, spawning(spawn, world.later(600))).await.unwrap();
    Family { world, epoch, parent, children: ids }
}

async fn family(count: usize, at_most: u32, policy: Policy) -> Family {
    let world = World::new().await;
    let children =
        (0..count).map(|number| world.workflow(Some(&format!("child/{number}")))).collect();
    begin(world, children, at_most, policy).await
}

impl Family {
    /// Takes up what is due; by number.
    async fn due(&self) -> Vec<usize> {
        let claimed = self.world.claimed(self.epoch).await;
        let number = |id: &WorkflowId| self.children.iter().position(|child| child == id);
        claimed.iter().map(|id| number(id).unwrap()).collect()
    }

    async fn end(&self, child: usize, outcome: Outcome) {
        self.world.end(self.epoch, self.children[child], 0, outcome).await;
    }

    /// What the parent is woken with.
    async fn result(&self) -> Vec<&'static str> {
        let claimed = self.world.claim(self.epoch).await;
        assert_eq!(claimed.len(), 1);
        assert_eq!(claimed[0].id, self.parent);
        let Some(WaitResult::Children { children }) = &claimed[0].wait_result else {
            panic!("{:?}", claimed[0].wait_result)
        };
        let ids: Vec<_> = children.iter().map(|child| child.id).collect();
        assert_eq!(ids, self.children);
        children.iter().map(|child| child.outcome.name()).collect()
    }
}

#[tokio::test]
async fn only_so_many_children_run_at_once_and_the_parent_hears_of_all_in_order() {
    let family = family(5, 2, Policy::Collect).await;
    assert_eq!(family.due().await, [0, 1]);
    family.end(1, Outcome::Done).await;
    assert_eq!(family.due().await, [2]);
    family.end(2, failed()).await;
    assert_eq!(family.due().await, [3]);
    family.world.append(family.epoch, family.children[0], 0, stuck()).await.unwrap();
    assert_eq!(family.due().await, [4]);
    family.end(3, Outcome::Done).await;
    assert!(family.due().await.is_empty());
    family.end(4, Outcome::Done).await;
    assert_eq!(family.result().await, ["stuck", "done", "unwound", "done", "done"]);
    let ends = family.world.store.child_ends(family.parent).await.unwrap();
    assert_eq!(ends.len(), 5);
    // What the parent has heard is there until it has written something.
    let next = family.world.later_epoch().await;
    assert!(family.world.claim(next).await[0].wait_result.is_some());
    family.world.append(next, family.parent, 1, running()).await.unwrap();
    family.world.store.release(next, family.parent).await.unwrap();
    assert!(family.world.claim(next).await[0].wait_result.is_none());
}

#[tokio::test]
async fn one_success_is_enough_and_a_failure_touches_no_sibling() {
    let family = family(3, 1, Policy::AtLeastOne).await;
    assert_eq!(family.due().await, [0]);
    family.end(0, failed()).await;
    assert_eq!(family.due().await, [1]);
    family.end(1, Outcome::Done).await;
    assert_eq!(family.due().await, [2]);
    family.end(2, failed()).await;
    assert_eq!(family.result().await, ["unwound", "done", "unwound"]);
}

#[tokio::test]
async fn under_all_a_failure_begins_no_more_and_cancels_those_that_run() {
    let family = family(6, 3, Policy::All).await;
    assert_eq!(family.due().await, [0, 1, 2]);
    let (world, epoch) = (&family.world, family.epoch);
    // One waits, one is in hand and past its point of no return.
    let wait = Wait::Signal { name: "never".to_owned() };
    let waiting = lines(vec![], Status::Waiting { wait, until: world.later(600) });
    world.append(epoch, family.children[1], 0, waiting).await.unwrap();
    let pivot = engine::Commit { cancellable: false, ..running() };
    world.append(epoch, family.children[2], 0, pivot).await.unwrap();
    family.end(0, failed()).await;
    let claimed = world.claim(epoch).await;
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].id, family.children[1]);
    assert!(claimed[0].cancel_requested);
    family.end(1, Outcome::Unwound { cause: Cause::Cancelled }).await;
    assert!(family.due().await.is_empty());
    world.end(epoch, family.children[2], 1, Outcome::Done).await;
    assert_eq!(
        family.result().await,
        ["unwound", "unwound", "done", "unwound", "unwound", "unwound"]
    );
    let last = world.store.child_ends(family.parent).await.unwrap().pop().unwrap();
    assert_eq!(last.outcome, Outcome::Unwound { cause: Cause::Cancelled });
    // Those that never began have given their claims back.
    world.start(world.workflow(Some("child/5"))).await.unwrap();
}

#[tokio::test]
async fn a_stuck_child_fails_its_siblings_under_all() {
    let family = family(3, 1, Policy::All).await;
    assert_eq!(family.due().await, [0]);
    family.world.append(family.epoch, family.children[0], 0, stuck()).await.unwrap();
    assert_eq!(family.result().await, ["stuck", "unwound", "unwound"]);
    // It can still be resumed; the parent has heard already.
    let id = family.children[0].as_operation();
    assert_eq!(family.world.store.resume(id, family.world.later(60), vec![]).await, Ok(true));
    assert_eq!(family.due().await, [0]);
    family.world.end(family.epoch, family.children[0], 2, Outcome::Done).await;
    assert!(family.due().await.is_empty());
}

#[tokio::test]
async fn a_parent_without_children_to_wait_for_goes_on_at_once() {
    let family = family(0, 1, Policy::All).await;
    assert!(family.result().await.is_empty());
}

#[tokio::test]
async fn cancel_reaches_children_before_their_parent() {
    let family = family(3, 2, Policy::Collect).await;
    assert_eq!(family.due().await, [0, 1]);
    let (world, epoch) = (&family.world, family.epoch);
    world.store.release(epoch, family.children[1]).await.unwrap();
    let parent = family.parent.as_operation();
    assert_eq!(world.store.request_cancel(parent).await, Ok(CancelAnswer::Requested));
    // Child 0 is in hand and hears of it with its next line; child 2 has ended
    // without having begun; the parent waits.
    let claimed = world.claim(epoch).await;
    assert_eq!(claimed.iter().map(|c| c.id).collect::<Vec<_>>(), [family.children[1]]);
    assert!(claimed[0].cancel_requested);
    let answer = world.append(epoch, family.children[0], 0, running()).await.unwrap();
    assert_eq!(answer, engine::Appended::Written { cancel_requested: true });
    let cancelled = || Outcome::Unwound { cause: Cause::Cancelled };
    world.end(epoch, family.children[0], 1, cancelled()).await;
    assert!(family.due().await.is_empty());
    family.end(1, cancelled()).await;
    assert_eq!(family.result().await, ["unwound", "unwound", "unwound"]);
}

#[tokio::test]
async fn a_parent_that_was_cancelled_before_it_began_its_children_cancels_them() {
    let world = World::new().await;
    let epoch = world.epoch().await;
    let parent = world.start(world.workflow(None)).await.unwrap();
    world.claim(epoch).await;
    world.store.request_cancel(parent.as_operation()).await.unwrap();
    let children: Vec<_> = (0..2).map(|_| world.workflow(None)).collect();
    let first = children[0].id;
    let spawn = Spawn { children, at_most: 1, policy: Policy::Collect };
    world.append(epoch, parent, 0, spawning(spawn, world.later(600))).await.unwrap();
    let claimed = world.claim(epoch).await;
    assert_eq!(claimed.len(), 1);
    assert_eq!((claimed[0].id, claimed[0].cancel_requested), (first, true));
    world.end(epoch, first, 0, failed()).await;
    assert_eq!(world.claimed(epoch).await, [parent]);
}

#[tokio::test]
async fn unwinding_and_ending_leave_no_child_running() {
    let family = family(2, 1, Policy::Collect).await;
    assert_eq!(family.due().await, [0]);
    let (world, epoch) = (&family.world, family.epoch);
    // The parent's wait is over by its deadline.
    world.clock.advance(std::time::Duration::from_secs(50));
    world.store.renew_epoch(epoch, std::time::Duration::from_secs(1000)).await.unwrap();
    world.clock.advance(std::time::Duration::from_secs(550));
    assert_eq!(world.claimed(epoch).await, [family.parent]);
    let cause = Cause::Deadline { reason: "too slow".to_owned() };
    let unwinding = lines(vec![Entry::Unwinding { cause }], Status::Running);
    world.append(epoch, family.parent, 1, unwinding).await.unwrap();
    let answer = world.append(epoch, family.children[0], 0, running()).await.unwrap();
    assert_eq!(answer, engine::Appended::Written { cancel_requested: true });
    let ends = world.store.child_ends(family.parent).await.unwrap();
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0].id, family.children[1]);
}

#[tokio::test]
async fn a_child_whose_claim_is_taken_has_failed_before_it_began() {
    let world = World::new().await;
    let holder = world.start(world.workflow(Some("child/0"))).await.unwrap();
    let epoch = world.epoch().await;
    assert_eq!(world.claimed(epoch).await, [holder]);
    let resting = lines(vec![], Status::RunAt(world.later(600)));
    world.append(epoch, holder, 0, resting).await.unwrap();
    let children = vec![world.workflow(Some("child/0")), world.workflow(Some("child/1"))];
    let family = begin(world, children, 1, Policy::Collect).await;
    let claimed = family.world.claimed(family.epoch).await;
    assert_eq!(claimed, [family.children[1]]);
    family.end(1, Outcome::Done).await;
    assert_eq!(family.result().await, ["unwound", "done"]);
    let ends = family.world.store.child_ends(family.parent).await.unwrap();
    let Outcome::Unwound { cause } = &ends[0].outcome else { panic!("{ends:?}") };
    assert_eq!(
        cause.reason(),
        format!("claim: operation {} is changing child/0", holder.as_operation())
    );
}

#[tokio::test]
async fn a_child_that_supersedes_waits_for_its_claim_and_its_turn() {
    let world = World::new().await;
    let holders = [
        world.start(world.workflow(Some("child/0"))).await.unwrap(),
        world.start(world.workflow(Some("child/1"))).await.unwrap(),
    ];
    let children = vec![world.superseder("child/0"), world.superseder("child/1")];
    let world_epoch = world.epoch().await;
    assert_eq!(world.claimed(world_epoch).await, holders);
    let parent = world.start(world.workflow(None)).await.unwrap();
    world.claim(world_epoch).await;
    let ids: Vec<_> = children.iter().map(|child| child.id).collect();
    let spawn = Spawn { children, at_most: 1, policy: Policy::Collect };
    world.append(world_epoch, parent, 0, spawning(spawn, world.later(600))).await.unwrap();
    // The second one's claim is free first, but it is not its turn.
    world.end(world_epoch, holders[1], 0, failed()).await;
    assert!(world.claimed(world_epoch).await.is_empty());
    world.end(world_epoch, holders[0], 0, failed()).await;
    assert_eq!(world.claimed(world_epoch).await, [ids[0]]);
    world.end(world_epoch, ids[0], 0, Outcome::Done).await;
    assert_eq!(world.claimed(world_epoch).await, [ids[1]]);
    // Whoever wants what a child holds is told the operation that users know.
    let refused = world.start(world.workflow(Some("child/1"))).await;
    assert_eq!(refused, Err(Error::ClaimHeld { by: parent.as_operation() }));
}

#[tokio::test]
async fn children_that_are_begun_again_are_begun_once() {
    let world = World::new().await;
    let children: Vec<_> = (0..3).map(|_| world.workflow(None)).collect();
    let family = begin(world, children.clone(), 3, Policy::Collect).await;
    assert_eq!(family.due().await, [0, 1, 2]);
    family.end(0, Outcome::Done).await;
    let world = &family.world;
    world.clock.advance(std::time::Duration::from_secs(30));
    world.store.renew_epoch(family.epoch, std::time::Duration::from_secs(1000)).await.unwrap();
    world.clock.advance(std::time::Duration::from_secs(570));
    assert_eq!(world.claimed(family.epoch).await, [family.parent]);
    let spawn = Spawn { children, at_most: 3, policy: Policy::Collect };
    world.append(family.epoch, family.parent, 1, spawning(spawn, world.later(600))).await.unwrap();
    assert!(family.due().await.is_empty());
    family.end(1, Outcome::Done).await;
    family.end(2, Outcome::Done).await;
    assert_eq!(family.result().await, ["done", "done", "done"]);
}

#[tokio::test]
async fn five_hundred_children_are_begun_a_few_at_a_time() {
    let family = family(500, 20, Policy::All).await;
    let mut done = 0;
    loop {
        let due = family.world.claim(family.epoch).await;
        assert!(due.len() <= 20);
        if due[0].id == family.parent {
            break;
        }
        // The last of each turn fails once most are done.
        for (number, record) in due.iter().enumerate() {
            let fails = done >= 400 && number + 1 == due.len();
            let outcome = if fails { failed() } else { Outcome::Done };
            family.world.end(family.epoch, record.id, 0, outcome).await;
            done += 1;
        }
    }
    let ends = family.world.store.child_ends(family.parent).await.unwrap();
    assert_eq!(ends.len(), 500);
    let good = ends.iter().filter(|end| end.outcome.is_done()).count();
    assert!((400..500).contains(&good), "{good}");
    assert_eq!(family.world.store.dump().await.unwrap()["claims"].as_array().unwrap().len(), 1);
}
