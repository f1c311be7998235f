//! From SQLite to PostgreSQL.

use model::{Clock, OperationKind};
use secrecy::ExposeSecret as _;
use store::testing::Cluster;
use store::{Change, Error, Store};

use super::super::world::{World, begun, lines, open, open_in, settings};

/// A SQLite store with something in most tables, closed.
async fn source(world: &World) -> (model::Instance, model::SecretId) {
    let sqlite = open(world.path(), &world.clock, &world.random).await.unwrap();
    let instance = world.instance();
    let id = model::SecretId::generate(&world.clock, &*world.random);
    let secret = Change::PutSecret { id, owner: Some(instance.id), value: "opensesame".into() };
    let text = "quoted 'so' and \"so\", ä €".to_owned();
    let note = Change::Note { instance: Some(instance.id), text };
    let flavours =
        (0..450).map(|number| Change::PutFlavour(Box::new(world.flavour(&format!("f{number}")))));
    sqlite.commit(flavours.collect()).await.unwrap();
    let inner = World {
        folder: tempfile::tempdir().unwrap(),
        clock: world.clock.clone(),
        random: world.random.clone(),
        store: sqlite,
        data_base: None,
    };
    let id_of_create = inner.operate(&instance, OperationKind::Create).await.unwrap();
    inner.store.commit(vec![secret, note]).await.unwrap();
    let epoch = inner.epoch().await;
    inner.claim(epoch).await;
    let going = lines(vec![begun()], engine::Status::RunAt(world.clock.now()));
    inner.append(epoch, id_of_create, 0, going).await.unwrap();
    inner.store.close().await;
    (instance, id)
}

#[tokio::test]
async fn everything_arrives_with_its_sequence_and_its_secrets() {
    let world = World::new().await;
    let (instance, secret) = source(&world).await;
    let before = open(world.path(), &world.clock, &world.random).await.unwrap();
    let (dump, sequence) = (before.dump().await.unwrap(), before.sequence().await.unwrap());
    let installation = before.installation_id();

    let target = Cluster::shared().data_base();
    let to = settings(&target, world.folder.path().join("secret.key"));
    let in_use = Store::copy_to_postgres(&world.path(), to.clone(), &world.clock).await;
    let Err(Error::Unavailable(text)) = in_use else { panic!("{in_use:?}") };
    assert!(text.contains("in use by another process"), "{text}");
    before.close().await;

    let copied = Store::copy_to_postgres(&world.path(), to.clone(), &world.clock).await.unwrap();
    let rows = |name: &str| copied.iter().find(|table| table.table == name).unwrap().rows;
    assert_eq!((rows("flavours"), rows("journal"), rows("instances")), (450, 1, 1));
    let after = open_in(world.folder.path(), Some(&target), &world.clock, &world.random).await;
    let after = after.unwrap();
    assert_eq!(after.dump().await.unwrap(), dump);
    assert_eq!(after.sequence().await.unwrap(), sequence);
    assert_eq!(after.installation_id(), installation);
    let opened = after.secret(model::Sealed(secret)).await.unwrap();
    assert_eq!(opened.expose_secret(), "opensesame");
    // The sequence goes on where it was.
    let put = Change::PutFlavour(Box::new(world.flavour("new")));
    assert_eq!(after.commit(vec![put]).await.unwrap(), sequence + 1);
    assert!(after.instance(instance.id).await.unwrap().is_some());

    let again = Store::copy_to_postgres(&world.path(), to, &world.clock).await;
    let Err(Error::Constraint(text)) = again else { panic!("{again:?}") };
    assert!(text.contains("the target is not empty"), "{text}");
}

#[tokio::test]
async fn another_key_is_refused_before_anything_is_copied() {
    let world = World::new().await;
    source(&world).await;
    let target = Cluster::shared().data_base();
    let key = world.folder.path().join("other.key");
    std::fs::write(&key, "0".repeat(64)).unwrap();
    let to = settings(&target, key);
    let refused = Store::copy_to_postgres(&world.path(), to, &world.clock).await;
    let Err(Error::Constraint(text)) = refused else { panic!("{refused:?}") };
    assert!(text.contains("sealed with the key"), "{text}");
}
