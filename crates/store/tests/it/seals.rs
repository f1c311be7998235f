//! What outlives the process, and many who use a store at once.

use std::sync::Arc;

use model::OperationKind;
use store::Change;

use super::world::{World, running};

#[tokio::test]
async fn what_was_written_is_there_when_the_store_is_opened_again() {
    let world = World::new().await;
    let instance = world.instance();
    let id = world.operate(&instance, OperationKind::Create).await.unwrap();
    let epoch = world.epoch().await;
    world.claim(epoch).await;
    world.append(epoch, id, 0, running()).await.unwrap();
    let before = world.store.dump().await.unwrap();
    let installation = world.store.installation_id();
    let seen = world.store.instance(instance.id).await.unwrap();

    let world = world.reopen().await;
    assert_eq!(world.store.dump().await.unwrap(), before);
    assert_eq!(world.store.installation_id(), installation);
    assert_eq!(world.store.instance(instance.id).await.unwrap(), seen);
    let epoch = world.epoch().await;
    let record = world.claim(epoch).await.pop().unwrap();
    assert_eq!((record.id, record.entries.len()), (id.into(), 1));
}

#[tokio::test]
async fn a_secret_moved_to_another_row_does_not_open() {
    let world = World::new().await;
    let ids = [0, 1].map(|_| model::SecretId::generate(&world.clock, &*world.random));
    let put = |id, text: &str| Change::PutSecret { id, owner: None, value: text.into() };
    world.store.commit(vec![put(ids[0], "one"), put(ids[1], "two")]).await.unwrap();
    world.store.close().await;
    world.sql("UPDATE secrets SET envelope = (SELECT MAX(envelope) FROM secrets)").await;
    let world = world.reopen().await;
    let mut opened = 0;
    for id in ids {
        opened += usize::from(world.store.secret(model::Sealed(id)).await.is_ok());
    }
    assert_eq!(opened, 1);
}

#[tokio::test]
async fn many_readers_and_writers_do_not_block_each_other() {
    let world = World::new().await;
    let instance = world.instance();
    world.store.commit(vec![Change::InsertInstance(Box::new(instance.clone()))]).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..40 {
        let store = Arc::clone(&world.store);
        let id = instance.id;
        tasks.spawn(async move {
            for _ in 0..10 {
                if number % 2 == 0 {
                    let text = format!("note {number}");
                    store.commit(vec![Change::Note { instance: Some(id), text }]).await.unwrap();
                } else {
                    store.instance(id).await.unwrap().unwrap();
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(world.store.events(Some(instance.id), 1000).await.unwrap().len(), 200);
}
