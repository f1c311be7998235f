//! Planning, applying and taking back.

use std::collections::BTreeSet;
use std::time::Duration;

use model::Intent;

use super::Harness;
use super::hand::{Made, same};
use crate::{Applied, Error, Plan, Probe, Undone};

pub(super) async fn planning_is_a_function(harness: &dyn Harness) {
    let made = Made::planned(harness).await;
    let wish = Intent::Create(Box::new(made.intent.clone()));
    let again = harness.provider().plan(&wish, &made.facts, &made.ids);
    assert!(again.as_ref() == Ok(&made.plan), "the same arguments give the same plan: {again:?}");
    assert!(
        harness.provider().ids_needed(&wish, &made.facts)
            == harness.provider().ids_needed(&wish, &made.facts),
        "the same arguments need the same ids"
    );
    let text = serde_json::to_string(&made.plan);
    let back = text.and_then(|text| serde_json::from_str::<Plan>(&text));
    assert!(
        back.as_ref().is_ok_and(|back| *back == made.plan),
        "a plan survives being written down: {back:?}"
    );
    assert!(
        made.plan.provider == harness.provider().kind(),
        "a plan names its provider's kind, not {:?}",
        made.plan.provider
    );
    let names: BTreeSet<_> = made.plan.actions.iter().map(|action| &action.name).collect();
    assert!(names.len() == made.plan.actions.len(), "the names of a plan's actions are unique");
    for action in &made.plan.actions {
        let name = &action.name;
        assert!(action.reversible, "{name}: a create plan can be taken back");
        assert!(!action.request_timeout.is_zero(), "{name} has a request timeout");
        assert!(action.deadline > action.request_timeout, "{name} has a deadline");
        assert!(action.limits.iter().all(|limit| limit.at_most > 0), "{name} is limited above 0");
    }
}

pub(super) async fn what_never_happened_is_taken_back(harness: &dyn Harness) {
    let made = Made::planned(harness).await;
    let before = harness.dump().await;
    let Some(first) = made.plan.actions.first() else { return };
    let probe = harness.provider().probe(first, &made.context()).await;
    assert!(probe == Ok(Probe::NotDone), "the probe before apply says not done: {probe:?}");
    for _ in 0..2 {
        let undone = harness.provider().undo(first, &made.context()).await;
        assert!(undone == Ok(Undone::Done), "what never happened is taken back: {undone:?}");
    }
    let undone = harness.provider().undo(first, &made.in_doubt()).await;
    assert!(
        matches!(undone, Ok(Undone::Done | Undone::Tombstone(_))),
        "what is in doubt and not there is done, or watched: {undone:?}"
    );
    same(&before, &harness.dump().await, "taking back what never happened changes nothing");
}

/// For each number of actions that were carried out, and the next one begun
/// and not waited for.
pub(super) async fn every_beginning_is_taken_back(harness: &dyn Harness) {
    let before = harness.dump().await;
    let all = Made::planned(harness).await.plan.actions.len();
    for count in 0..=all {
        let mut made = Made::planned(harness).await;
        for action in made.plan.actions.clone().iter().take(count) {
            made.carry_out(harness, action).await;
        }
        let mut touched = count;
        if let Some(next) = made.plan.actions.get(count) {
            let begun = harness.provider().apply(next, &made.context()).await;
            assert!(begun.is_ok(), "{} can be begun: {begun:?}", next.name);
            touched += 1;
        }
        made.undo_first(harness, touched).await;
        // Tasks that found their guest gone may still be ending.
        harness.advance(Duration::from_secs(1)).await;
        let fact = format!("undoing {touched} actions, {count} done, leaves the cloud as before");
        same(&before, &harness.dump().await, &fact);
        if let Some(first) = made.plan.actions.first() {
            let again = harness.provider().undo(first, &made.context()).await;
            assert!(again == Ok(Undone::Done), "undo may be called again: {again:?}");
        }
        same(&before, &harness.dump().await, "undoing twice changes nothing more");
    }
}

pub(super) async fn actions_may_be_applied_twice(harness: &dyn Harness) {
    let mut made = Made::planned(harness).await;
    for action in made.plan.actions.clone() {
        let name = &action.name;
        let first = harness.provider().apply(&action, &made.context()).await;
        assert!(first.is_ok(), "{name} can be begun: {first:?}");
        let second = harness.provider().apply(&action, &made.in_doubt()).await;
        assert!(
            matches!(second, Ok(_) | Err(Error::Busy(_))),
            "{name} may be sent again while it goes on: {second:?}"
        );
        made.carry_out(harness, &action).await;
        let done = harness.dump().await;
        let third = harness.provider().apply(&action, &made.context()).await;
        assert!(
            matches!(third, Ok(Applied::Done(_))),
            "{name} may be sent again when it is done, and has nothing to do: {third:?}"
        );
        same(&done, &harness.dump().await, &format!("{name} sent again changes nothing"));
    }
    made.destroy(harness).await;
}
