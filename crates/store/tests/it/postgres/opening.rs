//! Keys, versions, and several who open at once.

use std::sync::Arc;

use futures::future::join_all;
use store::testing::Cluster;
use store::{Error, Store};

use super::super::world::{World, open_in, settings};

fn refusal(opened: Result<Arc<Store>, Error>) -> String {
    opened.map(|_| ()).unwrap_err().to_string()
}

#[tokio::test]
async fn a_missing_key_is_not_made() {
    let (world, folder) = (World::new().await, tempfile::tempdir().unwrap());
    let data_base = world.data_base.as_ref();
    let text = refusal(open_in(folder.path(), data_base, &world.clock, &world.random).await);
    assert!(text.contains("secret.key is missing"), "{text}");
    assert!(!folder.path().join("secret.key").exists());
    std::fs::write(folder.path().join("secret.key"), "0".repeat(64)).unwrap();
    let text = refusal(open_in(folder.path(), data_base, &world.clock, &world.random).await);
    assert!(text.contains("is sealed with the key"), "{text}");
}

#[tokio::test]
async fn a_schema_of_another_version_is_refused_with_what_to_do() {
    let world = World::new().await;
    let open = async || {
        let folder = world.folder.path();
        open_in(folder, world.data_base.as_ref(), &world.clock, &world.random).await
    };
    world.sql("INSERT INTO schema_versions (version, applied_at) VALUES (99, 0)").await;
    let text = refusal(open().await);
    assert!(text.contains("version 99, this program knows versions up to"), "{text}");
    // Whoever is running meanwhile writes nothing more.
    let flavour = Box::new(world.flavour("late"));
    let refused = world.store.commit(vec![store::Change::PutFlavour(flavour)]).await;
    let Err(Error::Unavailable(text)) = refused else { panic!("{refused:?}") };
    assert!(text.contains("its schema was changed to version 99"), "{text}");
}

#[tokio::test]
async fn those_who_open_an_empty_data_base_at_once_set_it_up_once() {
    let world = World::new().await;
    let data_base = Cluster::shared().data_base();
    let opened = join_all((0..4).map(|_| {
        let settings = settings(&data_base, world.folder.path().join("secret.key"));
        let (clock, random) = (Arc::new(world.clock.clone()), Arc::clone(&world.random));
        Store::open_postgres(settings, clock, random)
    }));
    let stores: Vec<Arc<Store>> = opened.await.into_iter().map(Result::unwrap).collect();
    assert!(stores.iter().all(|store| store.installation_id() == stores[0].installation_id()));
}

#[tokio::test]
async fn a_password_is_in_no_error() {
    let world = World::new().await;
    for url in ["postgres://ada:hunter2@127.0.0.1:1/house", "postgres:/ada:hunter2@[x/house"] {
        let key = world.folder.path().join("secret.key");
        let settings = store::PostgresSettings::new(url.into(), key);
        assert!(!format!("{settings:?}").contains("hunter2"));
        let (clock, random) = (Arc::new(world.clock.clone()), Arc::clone(&world.random));
        let text = refusal(Store::open_postgres(settings, clock, random).await);
        assert!(!text.contains("hunter2"), "{text}");
    }
}
