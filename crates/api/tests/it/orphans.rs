//! Guests with our mark that belong to no instance, through the typed client.

use std::time::Duration;

use client::Client;
use client::wire::{CreateInstance, OperationKind, OperationState, OrphanList};
use model::{Mark, Role};

use crate::support::{Doors, ended};

async fn until(client: &Client, count: usize) -> OrphanList {
    for _ in 0..200 {
        let list = client.orphans().await.unwrap();
        if list.orphans.len() == count {
            return list;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never {count} orphans: {:?}", client.orphans().await);
}

#[tokio::test]
async fn an_orphan_is_reported_and_removed_only_when_somebody_asks() {
    let doors = Doors::open().await;
    let client = doors.client("default", Role::Admin).await;
    let mut request = CreateInstance::new("web-1", "debian");
    (request.cores, request.memory_bytes) = (Some(1), Some(1 << 30));
    let accepted = client.create_instance(&request).await.unwrap();
    ended(&client, accepted.operation).await;
    let report = client.orphans().await.unwrap();
    assert!(report.orphans.is_empty());
    let looked = &report.looked[0];
    assert!(looked.complete_at.is_some() && looked.incomplete.is_none(), "{looked:?}");

    let row = doors.test.core.store.instance(accepted.instance).await.unwrap().unwrap();
    let installation = doors.test.core.installation;
    let mark = Mark { installation, instance: row.id, attempt: row.attempt };
    let cloud = &doors.test.cloud;
    let own = cloud.guests()[0].id;
    cloud.add_foreign(777, "copied", &"host1".parse().unwrap(), Some(mark));
    cloud.add_foreign(778, "somebody-elses", &"host1".parse().unwrap(), None);

    let orphan = until(&client, 1).await.orphans.remove(0);
    assert_eq!((orphan.guest.as_str(), orphan.name.as_str()), ("777", "copied"));
    assert!(orphan.copy && orphan.instance == accepted.instance, "{orphan:?}");
    assert!(orphan.age_seconds < 60);

    // Neither a guest of an instance nor somebody else's is an orphan.
    for guest in [own, 778, 4_000_000] {
        let refused = client.collect_orphan("lab", &guest.to_string()).await.unwrap_err();
        assert_eq!(refused.code(), Some("not_found"), "{refused:?}");
    }
    let refused = client.collect_orphan("nowhere", "777").await.unwrap_err();
    assert_eq!(refused.code(), Some("not_found"), "{refused:?}");

    let operation = client.collect_orphan("lab", "777").await.unwrap().operation;
    let end = ended(&client, operation).await;
    assert_eq!((end.state, end.kind), (OperationState::Succeeded, OperationKind::Collect));
    let left: Vec<u64> = cloud.guests().iter().map(|guest| guest.id).collect();
    assert_eq!(left, [778, own]);
    assert!(client.orphans().await.unwrap().orphans.is_empty());
}

#[tokio::test]
async fn what_has_taken_an_orphans_place_is_left_alone() {
    let doors = Doors::open().await;
    let client = doors.client("default", Role::Admin).await;
    let (clock, random) = (&doors.test.core.clock, &doors.test.core.random);
    let mark = Mark {
        installation: doors.test.core.installation,
        instance: model::InstanceId::generate(&**clock, &**random),
        attempt: model::AttemptId::generate(&**clock, &**random),
    };
    let cloud = &doors.test.cloud;
    let host = "host1".parse().unwrap();
    cloud.add_foreign(777, "old", &host, Some(mark));
    let orphan = until(&client, 1).await.orphans.remove(0);
    assert!(!orphan.copy, "{orphan:?}");
    // A guest with the same mark at the same id, and another UUID.
    cloud.add_foreign(777, "new", &host, Some(mark));
    let operation = client.collect_orphan("lab", "777").await.unwrap().operation;
    let end = ended(&client, operation).await;
    assert_eq!(end.state, OperationState::Failed, "{end:?}");
    assert!(end.reason.unwrap().contains("another guest stands in its place"));
    assert_eq!(cloud.guest(777).unwrap().name, "new");
    cloud.remove_guest(777);
    until(&client, 0).await;
}
