//! SQLite's files: locks, keys, versions, and what is never in them.

use secrecy::{ExposeSecret as _, SecretString};
use store::{Annotation, Change, Error};

use super::world::{World, open};

#[tokio::test]
async fn a_store_is_opened_by_one_at_a_time() {
    let world = World::new().await;
    let second = open(world.path(), &world.clock, &world.random).await;
    let Err(Error::Unavailable(text)) = second.map(|_| ()) else { panic!("opened twice") };
    assert!(text.contains("house.db is in use by another process"), "{text}");
    assert!(text.contains("house.db.lock"), "{text}");
    world.store.close().await;
    open(world.path(), &world.clock, &world.random).await.unwrap();
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let world = World::new().await;
    let path = world.folder.path().join("nowhere").join("house.db");
    let error = open(path, &world.clock, &world.random).await.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("nowhere is not a folder"), "{error}");
}

#[tokio::test]
async fn something_else_than_a_data_base_is_refused_and_left_alone() {
    let world = World::new().await;
    let path = world.folder.path().join("notes.txt");
    let text = "not a data base, but long enough to look like one. ".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let error = open(path.clone(), &world.clock, &world.random).await.map(|_| ()).unwrap_err();
    assert!(matches!(&error, Error::Corrupt(text) if text.contains("notes.txt")), "{error:?}");
    assert_eq!(std::fs::read_to_string(path).unwrap(), text);
}

#[tokio::test]
async fn a_data_base_that_is_newer_than_the_program_is_refused() {
    let world = World::new().await;
    world.store.close().await;
    world.sql("INSERT INTO schema_versions (version, applied_at) VALUES (99, 0)").await;
    let opened = open(world.path(), &world.clock, &world.random).await;
    let Err(Error::Corrupt(text)) = opened.map(|_| ()) else { panic!("opened") };
    assert!(text.contains("house.db"), "{text}");
    assert!(text.contains("version 99, this program knows versions up to "), "{text}");
}

#[tokio::test]
async fn a_data_base_goes_with_its_key() {
    let world = World::new().await;
    world.store.close().await;
    let key = world.folder.path().join("secret.key");
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let opened = open(world.path(), &world.clock, &world.random).await;
    let Err(Error::Unavailable(text)) = opened.map(|_| ()) else { panic!("opened") };
    assert!(text.contains("secret.key is missing"), "{text}");
    std::fs::write(&key, "0".repeat(64)).unwrap();
    let opened = open(world.path(), &world.clock, &world.random).await;
    let Err(Error::Corrupt(text)) = opened.map(|_| ()) else { panic!("opened") };
    assert!(text.contains("is sealed with the key"), "{text}");
    std::fs::write(&key, kept).unwrap();
    open(world.path(), &world.clock, &world.random).await.unwrap();
}

#[tokio::test]
async fn secrets_are_in_no_file_and_no_debug_print_in_clear() {
    const SECRET: &str = "correct-horse-battery-staple";
    let world = World::new().await;
    let instance = world.instance();
    let id = model::SecretId::generate(&world.clock, &*world.random);
    let value = SecretString::from(SECRET);
    let changes = vec![
        Change::InsertInstance(Box::new(instance.clone())),
        Change::PutSecret { id, owner: Some(instance.id), value: value.clone() },
        Change::PutAnnotation {
            owner: instance.id,
            door: model::Door::Im,
            key: "radl".to_owned(),
            value: Annotation::Sealed(value),
        },
    ];
    assert!(!format!("{changes:?}").contains(SECRET));
    world.store.commit(changes).await.unwrap();
    let opened = world.store.secret(model::Sealed(id)).await.unwrap();
    assert_eq!(opened.expose_secret(), SECRET);
    let rows = world.store.annotations(instance.id).await.unwrap();
    assert!(!format!("{rows:?}").contains(SECRET));
    let Annotation::Sealed(opened) = &rows[0].value else { panic!("not sealed") };
    assert_eq!(opened.expose_secret(), SECRET);
    assert!(!world.store.dump().await.unwrap().to_string().contains(SECRET));
    let mut looked_at = 0;
    for entry in std::fs::read_dir(world.folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()));
        looked_at += bytes.len();
    }
    assert!(looked_at > 10_000, "the files with the rows were looked at");

    let world = world.reopen().await;
    let opened = world.store.secret(model::Sealed(id)).await.unwrap();
    assert_eq!(opened.expose_secret(), SECRET);
    world.store.commit(vec![Change::RemoveInstance(instance.id)]).await.unwrap();
    let gone = world.store.secret(model::Sealed(id)).await.map(|_| ());
    assert!(matches!(gone, Err(Error::NotFound { .. })));
}
