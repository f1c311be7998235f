//! The keys by which callers ask again.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use store::{Change, Error, RequestKey};

use super::world::World;

fn key(fingerprint: &str) -> RequestKey {
    let (scope, key) = ("token default".to_owned(), "k".to_owned());
    RequestKey { scope, key, fingerprint: fingerprint.to_owned() }
}

#[tokio::test]
async fn a_key_is_used_once_a_day_and_its_answer_is_sealed() {
    let world = World::new().await;
    let take = || vec![Change::TakeKey { key: key("f"), begun: None }];
    world.store.commit(take()).await.unwrap();
    assert_eq!(world.store.commit(take()).await, Err(Error::KeyUsed));
    let answer = SecretString::from("token=hunter2");
    let keep = |key| Change::KeepAnswer { key, answer: answer.clone() };
    // What another request was answered does not replace it.
    world.store.commit(vec![keep(key("f"))]).await.unwrap();
    let other = Change::KeepAnswer { key: key("g"), answer: SecretString::from("other") };
    world.store.commit(vec![other]).await.unwrap();
    let used = world.store.used_key("token default", "k").await.unwrap().unwrap();
    assert_eq!(used.fingerprint, "f");
    assert_eq!(used.answer.unwrap().expose_secret(), "token=hunter2");
    assert!(world.store.used_key("token other", "k").await.unwrap().is_none());

    world.clock.advance(Duration::from_secs(24 * 3600 + 1));
    assert!(world.store.used_key("token default", "k").await.unwrap().is_none());
    world.store.commit(take()).await.unwrap();
}

#[tokio::test]
async fn nothing_is_committed_with_a_key_that_was_used_or_on_a_row_that_has_moved() {
    let world = World::new().await;
    let instance = world.instance();
    let put = Change::InsertInstance(Box::new(instance.clone()));
    let sequence = world.store.commit(vec![put]).await.unwrap();
    let note = || Change::Note { instance: None, text: "never".to_owned() };
    let expect = |sequences| Change::ExpectSequence { id: instance.id, sequences };
    let take = || Change::TakeKey { key: key("f"), begun: None };
    world.store.commit(vec![expect(vec![1, sequence]), take()]).await.unwrap();
    let moved = world.store.commit(vec![note(), expect(vec![sequence + 1])]).await;
    assert_eq!(moved, Err(Error::Moved(sequence)));
    assert_eq!(world.store.commit(vec![note(), take()]).await, Err(Error::KeyUsed));
    assert!(world.store.events(None, 10).await.unwrap().is_empty());
}
