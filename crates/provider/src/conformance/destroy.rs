//! Removal, and what must never be removed.

use model::{Intent, Mark};

use super::Harness;
use super::hand::{Made, same};
use crate::{Applied, Error, Existence, HandleState, Probe, Undone};

pub(super) async fn a_guest_is_removed_once_and_again(harness: &dyn Harness) {
    let before = harness.dump().await;
    let mut made = Made::made(harness).await;
    let plan = made.other_plan(harness, &Intent::Destroy).await;
    for round in ["once", "again"] {
        for action in &plan.actions {
            made.carry_out(harness, action).await;
        }
        let fact = format!("a guest that is removed {round} leaves nothing");
        same(&before, &harness.dump().await, &fact);
    }
    made.destroy(harness).await;
    same(&before, &harness.dump().await, "the removal of a guest that is gone succeeds");
}

/// A plan's reference finds what an attempt left whose clone was in doubt.
pub(super) async fn the_reserved_id_is_enough(harness: &dyn Harness) {
    let before = harness.dump().await;
    let mut made = Made::made(harness).await;
    if made.plan.reference.is_null() {
        made.destroy(harness).await;
        return;
    }
    made.native = made.plan.reference.clone();
    made.destroy(harness).await;
    same(&before, &harness.dump().await, "the plan's reference is enough to remove the guest");
}

pub(super) async fn foreign_guests_are_left_alone(harness: &dyn Harness) {
    // Where the cloud gives all ids, nobody can take ours.
    if Made::planned(harness).await.ids.is_empty() {
        return;
    }
    for other_attempt in [false, true] {
        a_foreign_guest_at_the_reserved_id(harness, other_attempt).await;
    }
    for copied in [false, true] {
        a_foreign_guest_in_the_place_of_ours(harness, copied).await;
    }
}

/// While nothing is known of the guest but its id, only the whole mark makes it
/// ours, attempt included.
async fn a_foreign_guest_at_the_reserved_id(harness: &dyn Harness, other_attempt: bool) {
    let provider = harness.provider();
    let made = Made::planned(harness).await;
    let (Some(id), Some(first)) = (made.ids.first(), made.plan.actions.first()) else { return };
    let mark = Mark { attempt: harness.mark().attempt, ..made.mark };
    harness.plant(id, other_attempt.then_some(mark)).await;
    let before = harness.dump().await;
    let probe = provider.probe(first, &made.context()).await;
    assert!(matches!(probe, Ok(Probe::Foreign(_))), "a foreign guest is seen as one: {probe:?}");
    match provider.apply(first, &made.context()).await {
        Err(Error::Rejected { .. }) => {}
        Ok(Applied::Started(handle)) => {
            let end = super::hand::follow(harness, &handle, first.deadline).await;
            let failed = matches!(end, HandleState::Failed { .. });
            assert!(failed, "nothing is made where a foreign guest stands: {end:?}");
        }
        other => panic!("nothing is made where a foreign guest stands: {other:?}"),
    }
    for context in [made.context(), made.in_doubt()] {
        let undone = provider.undo(first, &context).await;
        assert!(
            matches!(undone, Ok(Undone::Done | Undone::Tombstone(_))),
            "there is nothing of ours to take back: {undone:?}"
        );
    }
    same(&before, &harness.dump().await, "a foreign guest at the reserved id is left alone");
    harness.uproot(id).await;
}

/// Ours was removed and somebody else's made, or restored from a backup of
/// ours, at the same id.
async fn a_foreign_guest_in_the_place_of_ours(harness: &dyn Harness, copied: bool) {
    let provider = harness.provider();
    let made = Made::made(harness).await;
    let Some(id) = made.ids.first() else { return };
    // Planned before and after: what matters is what is read before each effect.
    let mut plans = vec![];
    for intent in [Intent::Destroy, Intent::Stop, Intent::Start] {
        plans.push(made.other_plan(harness, &intent).await);
    }
    harness.plant(id, copied.then_some(made.mark)).await;
    let before = harness.dump().await;
    plans.push(made.other_plan(harness, &Intent::Destroy).await);
    for action in plans.iter().flat_map(|plan| &plan.actions) {
        let name = &action.name;
        let applied = provider.apply(action, &made.context()).await;
        assert!(
            matches!(applied, Err(Error::Rejected { .. })),
            "{name} is refused for a foreign guest (a copy of ours: {copied}): {applied:?}"
        );
        let probe = provider.probe(action, &made.context()).await;
        assert!(
            matches!(probe, Ok(Probe::Foreign(_)) | Err(Error::Rejected { .. })),
            "{name}: a foreign guest is seen as one (a copy of ours: {copied}): {probe:?}"
        );
    }
    for action in made.plan.actions.iter().rev() {
        let undone = provider.undo(action, &made.context()).await;
        assert!(undone == Ok(Undone::Done), "{} has nothing to undo: {undone:?}", action.name);
    }
    let exists = provider.exists(&made.native, &made.mark).await;
    assert!(exists == Ok(Existence::Foreign), "a foreign guest is foreign: {exists:?}");
    let fact = format!("a foreign guest (a copy of ours: {copied}) is left alone");
    same(&before, &harness.dump().await, &fact);
    harness.uproot(id).await;
}
