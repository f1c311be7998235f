//! Another key for what is sealed.

use model::{Door, Sealed, SecretId};
use secrecy::ExposeSecret as _;
use store::{Annotation, Change, Error, Store};

use super::world::{World, open_in, settings};

const NEW: &str = "new.key";

/// A closed store that holds a secret and a sealed annotation, and a new key.
async fn sealed() -> (World, model::InstanceId, SecretId) {
    let world = World::new().await;
    let instance = world.instance();
    let id = SecretId::generate(&world.clock, &*world.random);
    let value = Annotation::Sealed("hunter2".into());
    let (owner, key) = (instance.id, "password".to_owned());
    let changes = vec![
        Change::InsertInstance(Box::new(instance)),
        Change::PutSecret { id, owner: None, value: "opensesame".into() },
        Change::PutAnnotation { owner, door: Door::Native, key, value },
    ];
    world.store.commit(changes).await.unwrap();
    world.store.close().await;
    std::fs::write(world.folder.path().join(NEW), "b7".repeat(32)).unwrap();
    (world, owner, id)
}

async fn rekey(world: &World, old: &str) -> Result<u64, Error> {
    let folder = world.folder.path();
    let (old, new) = (folder.join(old), folder.join(NEW));
    match &world.data_base {
        None => Store::rekey_sqlite(&world.path(), &old, &new).await,
        Some(data_base) => {
            Store::rekey_postgres(settings(data_base, old), &new, &world.clock).await
        }
    }
}

#[tokio::test]
async fn after_a_new_key_everything_opens_with_it_and_nothing_with_the_old_one() {
    let (world, owner, id) = sealed().await;
    world.sql("UPDATE epochs SET expires_at = 0").await;
    assert_eq!(rekey(&world, "secret.key").await.unwrap(), 2);
    let folder = world.folder.path();
    let open = || open_in(folder, world.data_base.as_ref(), &world.clock, &world.random);
    let Err(Error::Corrupt(text)) = open().await else { panic!("the old key opens it") };
    assert!(text.contains("is sealed with the key"), "{text}");
    let old = std::fs::read(folder.join("secret.key")).unwrap();
    std::fs::rename(folder.join(NEW), folder.join("secret.key")).unwrap();
    let store = open().await.unwrap();
    assert_eq!(store.secret(Sealed(id)).await.unwrap().expose_secret(), "opensesame");
    let annotations = store.annotations(owner).await.unwrap();
    let Annotation::Sealed(value) = &annotations[0].value else { panic!("{annotations:?}") };
    assert_eq!(value.expose_secret(), "hunter2");

    // And back: other tests go on with this data base.
    store.close().await;
    world.sql("UPDATE epochs SET expires_at = 0").await;
    std::fs::write(folder.join(NEW), old).unwrap();
    assert_eq!(rekey(&world, "secret.key").await.unwrap(), 2);
}

#[tokio::test]
async fn a_wrong_old_key_changes_nothing() {
    let (world, _, id) = sealed().await;
    world.sql("UPDATE epochs SET expires_at = 0").await;
    std::fs::write(world.folder.path().join("other.key"), "00".repeat(32)).unwrap();
    let Err(Error::Constraint(text)) = rekey(&world, "other.key").await else { panic!("accepted") };
    assert!(text.contains("it is sealed with the key"), "{text}");
    let Err(Error::Unavailable(text)) = rekey(&world, "gone.key").await else { panic!("made up") };
    assert!(text.contains("is missing"), "{text}");
    let world = world.reopen().await;
    assert_eq!(world.store.secret(Sealed(id)).await.unwrap().expose_secret(), "opensesame");
}

#[tokio::test]
async fn a_store_that_somebody_uses_keeps_its_key() {
    let (world, _, _) = sealed().await;
    let world = world.reopen().await;
    world.epoch().await;
    let refused = rekey(&world, "secret.key").await.unwrap_err().to_string();
    let expected =
        if super::POSTGRES { "a replica is running" } else { "in use by another process" };
    assert!(refused.contains(expected), "{refused}");
}
