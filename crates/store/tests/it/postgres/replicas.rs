//! Several processes on one data base.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use engine::{Appended, JournalStore, Kind, Limit, Status, StoreError};
use model::{AttemptId, Clock};
use store::{Change, FeedItem, IdReservation, Store};
use tokio::task::JoinSet;

use super::super::world::{TTL, World, lines, open_in, running};

/// Another process that uses the same data base.
async fn replica(world: &World) -> Arc<Store> {
    let data_base = world.data_base.as_ref();
    open_in(world.folder.path(), data_base, &world.clock, &world.random).await.unwrap()
}

/// Follows the feed as a read model does, until the writers are done, and once
/// more.
async fn follow(store: Arc<Store>, done: Arc<AtomicBool>) -> Vec<FeedItem> {
    let (mut seen, mut last) = (Vec::new(), 0);
    loop {
        let over = done.load(Ordering::SeqCst);
        let items = store.changes_since(last).await.unwrap();
        last = items.last().map_or(last, |item| item.sequence);
        seen.extend(items);
        if over {
            return seen;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_miss_no_change_of_any_number_of_writers() {
    let world = World::new().await;
    let done = Arc::new(AtomicBool::new(false));
    let mut followers = JoinSet::new();
    let mut writers = JoinSet::new();
    for process in 0..4 {
        let store = replica(&world).await;
        followers.spawn(follow(Arc::clone(&store), Arc::clone(&done)));
        for task in 0..4 {
            let store = Arc::clone(&store);
            let flavours: Vec<_> = (0..25)
                .map(|number| world.flavour(&format!("f-{process}-{task}-{number}")))
                .collect();
            writers.spawn(async move {
                for flavour in flavours {
                    store.commit(vec![Change::PutFlavour(Box::new(flavour))]).await.unwrap();
                }
            });
        }
    }
    while let Some(written) = writers.join_next().await {
        written.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    while let Some(seen) = followers.join_next().await {
        let seen = seen.unwrap();
        assert_eq!(seen.len(), 400, "each change once, and all of them");
        assert!(seen.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
    }
    assert_eq!(world.store.sequence().await.unwrap(), 400, "no number is given in vain");
}

#[tokio::test]
async fn what_one_has_committed_is_heard_by_the_others() {
    let world = World::new().await;
    let other = replica(&world).await;
    let (mut sequence, hint) = (other.subscribe(), other.hint());
    let id = world.start(world.workflow(None)).await.unwrap();
    let flavour = Change::PutFlavour(Box::new(world.flavour("one")));
    let written = world.store.commit(vec![flavour]).await.unwrap();
    let heard = sequence.wait_for(|reached| *reached >= written);
    tokio::time::timeout(Duration::from_secs(20), heard).await.unwrap().unwrap();
    // A hint may be lost, for example while the other still connects: work that
    // is due is looked for without one, too.
    let mut hints = 0;
    for _ in 0..20 {
        let hinted = hint.notified();
        world.start(world.workflow(None)).await.unwrap();
        hints += usize::from(tokio::time::timeout(Duration::from_secs(1), hinted).await.is_ok());
        if hints == 3 {
            break;
        }
    }
    assert_eq!(hints, 3, "of at most 20");
    let epoch = other.begin_epoch(TTL).await.unwrap();
    assert_eq!(other.claim(epoch, &[Kind::new("toy", 1)], 1).await.unwrap()[0].id, id);
}

#[tokio::test]
async fn an_epoch_that_begins_ends_no_other() {
    let world = World::new().await;
    let other = replica(&world).await;
    let id = world.start(world.workflow(None)).await.unwrap();
    let first = world.epoch().await;
    assert_eq!(world.claimed(first).await, [id]);
    let second = other.begin_epoch(TTL).await.unwrap();
    let kinds = [Kind::new("toy", 1)];
    assert!(other.claim(second, &kinds, 9).await.unwrap().is_empty());
    world.append(first, id, 0, running()).await.unwrap();
    // The first one stands still for longer than its lease.
    world.clock.advance(TTL - Duration::from_secs(1));
    other.renew_epoch(second, TTL).await.unwrap();
    assert!(other.claim(second, &kinds, 9).await.unwrap().is_empty());
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(other.claim(second, &kinds, 9).await.unwrap()[0].id, id);
    other.append(second, id, 1, running()).await.unwrap();
    for after in [1, 2] {
        let late = world.append(first, id, after, running()).await;
        assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    }
    assert!(matches!(world.store.renew_epoch(first, TTL).await, Err(StoreError::Fenced)));
    let journal = other.operation_journal(id.as_operation()).await.unwrap().unwrap();
    assert_eq!(journal.entries.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_due_is_taken_up_by_one_of_them() {
    let world = World::new().await;
    let mut expected = Vec::new();
    for _ in 0..60 {
        expected.push(world.start(world.workflow(None)).await.unwrap());
    }
    let mut takers = JoinSet::new();
    for _ in 0..4 {
        let store = replica(&world).await;
        takers.spawn(async move {
            let epoch = store.begin_epoch(TTL).await.unwrap();
            let mut taken = Vec::new();
            loop {
                let some = store.claim(epoch, &[Kind::new("toy", 1)], 3).await.unwrap();
                if some.is_empty() {
                    return taken;
                }
                taken.extend(some.into_iter().map(|record| record.id));
            }
        });
    }
    let mut all = takers.join_all().await.concat();
    all.sort();
    assert_eq!(all, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn limits_and_reserved_ids_are_counted_over_all_of_them() {
    let world = World::new().await;
    let mut racers = JoinSet::new();
    for _ in 0..4 {
        let store = replica(&world).await;
        let (instance, workflow) = (world.instance(), world.workflow(None));
        let id = world.start(workflow).await.unwrap();
        let mark = world.mark(&instance);
        let attempt = AttemptId::generate(&world.clock, &*world.random);
        racers.spawn(async move {
            let pool = "lab/vmid".to_owned();
            let retire_for = Duration::from_secs(60);
            let request = IdReservation { pool, range: 100..=199, taken: Vec::new(), retire_for };
            let requests = vec![request; 5];
            let ids = store.reserve_ids(instance.id, attempt, &mark, &requests).await.unwrap();
            let epoch = store.begin_epoch(TTL).await.unwrap();
            while store.claim(epoch, &[Kind::new("toy", 1)], 1).await.unwrap().is_empty() {}
            (store, epoch, ids, id)
        });
    }
    let racers = racers.join_all().await;
    let mut ids: Vec<u64> = racers.iter().flat_map(|(_, _, ids, _)| ids.clone()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (100..120).collect::<Vec<_>>());
    let mut acquiring = JoinSet::new();
    for (store, epoch, _, _) in racers {
        let workflows: Vec<_> = world.store.dump().await.unwrap()["workflows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["id"].as_str().unwrap().parse().unwrap())
            .collect();
        acquiring.spawn(async move {
            let mut written = 0;
            for id in workflows {
                let mut commit = lines(vec![], Status::Running);
                commit.acquire = vec![Limit { key: "lab".to_owned(), at_most: 2 }];
                match store.append(epoch, id, 0, commit).await {
                    Ok(Appended::Written { .. }) => written += 1,
                    Ok(Appended::LimitReached) | Err(StoreError::Fenced) => {}
                    other => panic!("{other:?}"),
                }
            }
            written
        });
    }
    assert_eq!(acquiring.join_all().await.iter().sum::<u32>(), 2);
    assert!(world.clock.now() < world.later(1));
}
