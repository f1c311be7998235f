//! What happens, in order, and who asked for what.

use model::{Door, OperationKind, Phase, Principal, Role, Timestamp};
use store::{AuditEntry, AuditFilter, Change, EventFilter, InstanceUpdate};

use super::world::World;

async fn kinds(world: &World, after: u64) -> Vec<(u64, String)> {
    let filter = EventFilter { after, limit: 100, ..EventFilter::default() };
    let events = world.store.events_after(&filter).await.unwrap();
    events.into_iter().map(|event| (event.sequence, event.kind)).collect()
}

#[tokio::test]
async fn every_change_that_shows_is_an_event_in_its_order() {
    let world = World::new().await;
    let instance = world.instance();
    let id = instance.id;
    let operation = world.operate(&instance, OperationKind::Create).await.unwrap();
    let update = |update| vec![Change::UpdateInstance { id, update: Box::new(update) }];
    let ready = InstanceUpdate { phase: Some(Phase::Ready), ..Default::default() };
    world.store.commit(update(ready.clone())).await.unwrap();
    // The same again, and what does not show, are no news.
    world.store.commit(update(ready)).await.unwrap();
    let native = InstanceUpdate { native: Some(serde_json::json!({"a": 1})), ..Default::default() };
    world.store.commit(update(native)).await.unwrap();
    world.store.commit(vec![Change::RemoveInstance(id)]).await.unwrap();
    let all = kinds(&world, 0).await;
    let names: Vec<&str> = all.iter().map(|(_, kind)| kind.as_str()).collect();
    assert_eq!(
        names,
        ["operation.running", "instance.created", "instance.changed", "instance.deleted"]
    );
    assert!(all.windows(2).all(|pair| pair[0].0 < pair[1].0), "{all:?}");
    assert_eq!(kinds(&world, all[1].0).await, all[2..]);
    let filter = EventFilter { limit: 1, after: all[1].0, ..EventFilter::default() };
    let changed = world.store.events_after(&filter).await.unwrap().remove(0);
    assert_eq!((changed.instance, changed.project), (Some(id), Some(instance.project.clone())));
    assert_eq!(changed.data["changed"], serde_json::json!(["phase"]));
    let other = EventFilter { project: "other".parse().ok(), limit: 9, ..EventFilter::default() };
    assert!(world.store.events_after(&other).await.unwrap().is_empty());
    let first = world.store.events_after(&EventFilter { limit: 1, ..EventFilter::default() }).await;
    assert_eq!(first.unwrap()[0].operation, Some(operation));

    assert_eq!(world.store.events_forgotten().await.unwrap(), 0);
    world.store.compact(world.later(10)).await.unwrap();
    assert!(kinds(&world, 0).await.is_empty());
    assert_eq!(world.store.events_forgotten().await.unwrap(), all[3].0);
}

#[tokio::test]
async fn the_audit_log_is_read_back_by_what_it_says() {
    let world = World::new().await;
    let entry = |action: &str, outcome: &str| AuditEntry {
        sequence: 0,
        at: Timestamp::default(),
        principal: Principal { id: "t-1".to_owned(), name: "ci".to_owned() },
        role: Role::Member,
        project: "default".parse().unwrap(),
        door: Door::Native,
        request_id: "r".to_owned(),
        action: action.to_owned(),
        target: "thing".to_owned(),
        operation: None,
        outcome: outcome.to_owned(),
        detail: None,
    };
    for (action, outcome) in [("a", "accepted"), ("b", "forbidden"), ("a", "conflict")] {
        world.store.commit(vec![Change::Audit(Box::new(entry(action, outcome)))]).await.unwrap();
    }
    let list = async |filter: AuditFilter| {
        let filter = AuditFilter { limit: 10, ..filter };
        let rows = world.store.audit(&filter).await.unwrap();
        rows.into_iter().map(|row| (row.action, row.outcome)).collect::<Vec<_>>()
    };
    let all = list(AuditFilter::default()).await;
    assert_eq!(
        all.iter().map(|row| row.1.as_str()).collect::<Vec<_>>(),
        ["conflict", "forbidden", "accepted"]
    );
    let of_a = AuditFilter { action: Some("a".to_owned()), ..AuditFilter::default() };
    assert_eq!(list(of_a).await.len(), 2);
    let refused = AuditFilter { outcome: Some("forbidden".to_owned()), ..AuditFilter::default() };
    assert_eq!(list(refused).await, [("b".to_owned(), "forbidden".to_owned())]);
    let newest =
        world.store.audit(&AuditFilter { limit: 1, ..AuditFilter::default() }).await.unwrap();
    assert_eq!((newest[0].at, newest[0].role), (world.later(0), Role::Member));
    let older = AuditFilter { before: Some(newest[0].sequence), ..AuditFilter::default() };
    assert_eq!(list(older).await.len(), 2);
}
