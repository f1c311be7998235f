//! The server goes away and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use engine::JournalStore;
use model::Random;
use model::time::SystemClock;
use store::testing::Cluster;
use store::{Change, Error, PostgresSettings, Store};
use tokio::task::JoinSet;

use super::super::world::World;

async fn serve(settings: PostgresSettings, world: &World) -> Arc<Store> {
    let random = Arc::clone(&world.random) as Arc<dyn Random>;
    Store::open_postgres(settings, Arc::new(SystemClock::new()), random).await.unwrap()
}

/// Notes that were answered as written, until `over`.
async fn write_on(store: Arc<Store>, writer: usize, over: Arc<AtomicBool>) -> Vec<String> {
    let (mut written, mut number) = (Vec::new(), 0);
    while !over.load(Ordering::SeqCst) {
        number += 1;
        let text = format!("note {writer}/{number}");
        let note = Change::Note { instance: None, text: text.clone() };
        match store.commit(vec![note]).await {
            Ok(_) => written.push(text),
            Err(Error::Unavailable(_) | Error::Busy) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    written
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_answered_outlives_a_server_that_crashes_under_load() {
    let world = World::new().await;
    let cluster = Cluster::own();
    let data_base = cluster.data_base();
    let key = world.folder.path().join("secret.key");
    let settings = || PostgresSettings::new(data_base.url(), key.clone());
    let stores = [serve(settings(), &world).await, serve(settings(), &world).await];
    let over = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for writer in 0..6 {
        let store = Arc::clone(&stores[writer % 2]);
        writers.spawn(write_on(store, writer, Arc::clone(&over)));
    }
    let epoch = stores[0].begin_epoch(Duration::from_secs(600)).await.unwrap();
    for _ in 0..2 {
        let before = stores[1].sequence().await.unwrap();
        let mut sequence = stores[0].subscribe();
        sequence.wait_for(|reached| *reached > before + 20).await.unwrap();
        tokio::task::spawn_blocking(|| cluster.down()).await.unwrap();
        let away = stores[0].commit(Vec::new()).await;
        assert!(matches!(away, Err(Error::Unavailable(_))), "{away:?}");
        assert!(matches!(stores[1].flavours().await, Err(Error::Unavailable(_))));
        tokio::task::spawn_blocking(|| cluster.up()).await.unwrap();
    }
    // They go on by themselves.
    let all = async {
        while stores[0].renew_epoch(epoch, Duration::from_secs(600)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let now = *stores[1].subscribe().borrow();
        stores[1].subscribe().wait_for(|reached| *reached > now + 20).await.unwrap();
        over.store(true, Ordering::SeqCst);
        writers.join_all().await.concat()
    };
    let written = tokio::time::timeout(Duration::from_secs(60), all).await.unwrap();
    let events = stores[0].events(None, 10_000).await.unwrap();
    let kept: std::collections::HashSet<String> =
        events.into_iter().map(|event| event.text).collect();
    let lost: Vec<_> = written.iter().filter(|text| !kept.contains(*text)).collect();
    assert!(lost.is_empty(), "{} of {} were lost: {lost:?}", lost.len(), written.len());
}
