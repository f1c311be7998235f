//! Instances and what belongs to them.

use model::{
    ByteCount, Clock, Door, Fault, Image, ImageId, ImagePresence, InstanceSpec, Observed, Phase,
    PowerState, Role, Sealed, SecretId, TokenId,
};
use serde_json::{Value, json};
use store::{
    Annotation, Change, Error, ImageUpdate, InstanceFilter, InstanceUpdate, Seed, SpecUpdate, Token,
};

use super::world::World;

async fn insert(world: &World) -> model::Instance {
    let instance = world.instance();
    world.store.commit(vec![Change::InsertInstance(Box::new(instance.clone()))]).await.unwrap();
    instance
}

async fn change(world: &World, id: model::InstanceId, update: InstanceUpdate) -> model::Instance {
    world
        .store
        .commit(vec![Change::UpdateInstance { id, update: Box::new(update) }])
        .await
        .unwrap();
    world.store.instance(id).await.unwrap().unwrap()
}

#[tokio::test]
async fn an_instance_comes_back_as_it_was_put() {
    let world = World::new().await;
    let mut instance = world.instance();
    instance.observed = Some(Observed {
        power: PowerState::Running,
        host: "pve1".parse().unwrap(),
        addresses: Vec::new(),
        at: world.clock.now(),
        pending: vec!["cores".to_owned()],
    });
    let spec = Box::new(instance.spec.clone());
    instance.snapshots.add(model::Snapshot {
        name: "before".to_owned(),
        description: "odd".to_owned(),
        memory: true,
        parent: None,
        created_at: world.clock.now(),
        spec,
    });
    instance.ownership = model::Ownership::Observed;
    instance.expiry = model::ExpiryNotes { warned: Some(1), kept: None };
    let message = "odd".to_owned();
    instance.fault = Some(Fault { message, at: world.clock.now(), operation: None, stuck: false });
    let put = Change::InsertInstance(Box::new(instance.clone()));
    instance.sequence = world.store.commit(vec![put]).await.unwrap();
    assert_eq!(world.store.instance(instance.id).await, Ok(Some(instance)));
    assert_eq!(world.store.instance(world.instance().id).await, Ok(None));
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_nothing_else() {
    let world = World::new().await;
    let before = insert(&world).await;
    let native = |value: Value| InstanceUpdate { native: Some(value), ..Default::default() };
    let after = change(&world, before.id, native(json!({"vmid": 100}))).await;
    let after = change(&world, after.id, native(json!({"uuid": "u", "vmid": 101}))).await;
    assert_eq!(after.native, json!({"vmid": 101, "uuid": "u"}));
    assert!(after.sequence > before.sequence);
    assert_eq!((after.phase, &after.spec), (before.phase, &before.spec));
    let after = change(&world, after.id, native(Value::Null)).await;
    assert_eq!(after.native, Value::Null);

    let power = InstanceUpdate { power: Some(PowerState::Stopped), ..Default::default() };
    assert_eq!(change(&world, before.id, power.clone()).await.observed, None);
    let host: model::HostId = "pve1".parse().unwrap();
    let at = world.clock.now();
    let (observed, addresses) = (PowerState::Running, Vec::new());
    let pending = Vec::new();
    let seen = Observed { power: observed, host: host.clone(), addresses, at, pending };
    let update = InstanceUpdate {
        observed: Some(Some(seen)),
        phase: Some(Phase::Ready),
        attempts: Some(2),
        ..Default::default()
    };
    let after = change(&world, before.id, update).await;
    assert_eq!((after.phase, after.attempts), (Phase::Ready, 2));
    world.clock.advance(std::time::Duration::from_secs(1));
    let seen = change(&world, before.id, power).await.observed.unwrap();
    assert_eq!((seen.power, seen.host, seen.at), (PowerState::Stopped, host, world.clock.now()));
    let gone = InstanceUpdate { observed: Some(None), ..Default::default() };
    assert_eq!(change(&world, before.id, gone).await.observed, None);
}

#[tokio::test]
async fn a_spec_replaces_the_generation_it_was_made_from_only() {
    let world = World::new().await;
    let instance = insert(&world).await;
    let spec = Box::new(InstanceSpec { cores: 8, ..instance.spec.clone() });
    let update = InstanceUpdate {
        spec: Some(SpecUpdate { replaces: 1, spec }),
        ..InstanceUpdate::default()
    };
    let after = change(&world, instance.id, update.clone()).await;
    assert_eq!((after.generation, after.spec.cores), (2, 8));
    let again = vec![Change::UpdateInstance { id: instance.id, update: Box::new(update.clone()) }];
    assert_eq!(world.store.commit(again).await, Err(Error::Conflict(2)));
    let id = world.instance().id;
    let nobody =
        world.store.commit(vec![Change::UpdateInstance { id, update: Box::new(update) }]).await;
    assert!(matches!(nobody, Err(Error::NotFound { .. })));
    // What was merely seen of an instance that is gone is no error.
    let update = InstanceUpdate { phase: Some(Phase::Lost), ..Default::default() };
    world
        .store
        .commit(vec![Change::UpdateInstance { id, update: Box::new(update) }])
        .await
        .unwrap();
}

#[tokio::test]
async fn instances_are_listed_by_page_and_filter() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        let mut instance = world.instance();
        instance.spec.name = format!("web-{number}");
        if number == 3 {
            instance.project = "blue".parse().unwrap();
        }
        ids.push(instance.id);
        let put = Change::InsertInstance(Box::new(instance));
        world.store.commit(vec![put]).await.unwrap();
    }
    let list = async |filter: InstanceFilter| -> Vec<_> {
        let listed = world.store.instances(&filter).await.unwrap();
        listed.into_iter().map(|instance| instance.id).collect()
    };
    assert_eq!(list(InstanceFilter::default()).await, ids);
    let page = InstanceFilter { after: Some(ids[1]), limit: 2, ..Default::default() };
    assert_eq!(list(page).await, ids[2..4]);
    let blue = InstanceFilter { project: "blue".parse().ok(), ..Default::default() };
    assert_eq!(list(blue).await, ids[3..4]);
    let named = InstanceFilter { name: Some("web-4".to_owned()), ..Default::default() };
    assert_eq!(list(named).await, ids[4..]);
    let ready = InstanceFilter { phase: Some(Phase::Ready), ..Default::default() };
    assert!(list(ready).await.is_empty());
}

#[tokio::test]
async fn numbers_count_up_and_are_never_given_twice() {
    let world = World::new().await;
    let number = async |first: u64| {
        let instance = insert(&world).await.id;
        let change = Change::NumberInstance { door: Door::Visa, first, instance };
        world.store.commit(vec![change.clone()]).await.unwrap();
        world.store.commit(vec![change]).await.unwrap();
        let names = world.store.aliases(instance).await.unwrap();
        assert_eq!((names.len(), names[0].scope.as_str()), (1, store::NUMBERS));
        (instance, names[0].external_id.clone())
    };
    assert_eq!(number(99).await.1, "99");
    let (last, name) = number(99).await;
    assert_eq!(name, "100");
    // Not even the last one, long after its instance went.
    world.store.commit(vec![Change::RemoveInstance(last)]).await.unwrap();
    world.clock.advance(std::time::Duration::from_secs(365 * 24 * 3600));
    world.store.compact(world.clock.now()).await.unwrap();
    assert_eq!(number(99).await.1, "101");
    assert_eq!(number(2000).await.1, "2000");
    assert_eq!(world.store.aliases_in_use().await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_name_that_a_dialect_gave_is_not_given_again() {
    let world = World::new().await;
    let (one, two) = (insert(&world).await, insert(&world).await);
    let put = |instance| {
        let (scope, external_id) = ("red".to_owned(), "77".to_owned());
        vec![Change::PutAlias { door: Door::Visa, scope, external_id, instance }]
    };
    world.store.commit(put(one.id)).await.unwrap();
    world.store.commit(put(one.id)).await.unwrap();
    let taken = world.store.commit(put(two.id)).await.unwrap_err();
    let text = format!("alias visa/red/77 is the name of instance {}", one.id);
    assert_eq!(taken, Error::Constraint(text));
    world.store.commit(vec![Change::RemoveInstance(one.id)]).await.unwrap();
    let taken = world.store.commit(put(two.id)).await.unwrap_err();
    assert!(taken.to_string().contains("was the name of"), "{taken}");
    let alias = world.store.alias(Door::Visa, "red", "77").await.unwrap().unwrap();
    assert_eq!((alias.instance, alias.removed_at), (one.id, Some(world.clock.now())));
    assert_eq!(world.store.alias(Door::Pvc, "red", "77").await, Ok(None));
    assert_eq!(world.store.aliases(one.id).await.unwrap(), [alias]);

    // The tombstone outlives the journals by three months.
    let day = std::time::Duration::from_secs(24 * 3600);
    world.clock.advance(day * 90);
    world.store.compact(world.clock.now()).await.unwrap();
    assert!(world.store.commit(put(two.id)).await.is_err());
    world.clock.advance(day);
    world.store.compact(world.clock.now()).await.unwrap();
    world.store.commit(put(two.id)).await.unwrap();
}

#[tokio::test]
async fn removing_an_instance_removes_everything_of_its_own() {
    let world = World::new().await;
    let other = insert(&world).await;
    let empty = world.store.dump().await.unwrap();
    let instance = insert(&world).await;
    let secrets = [0; 3].map(|_| SecretId::generate(&world.clock, &*world.random));
    let secret = |id| Change::PutSecret { id, owner: Some(instance.id), value: "x".into() };
    let seed = Seed {
        instance: instance.id,
        token_hash: "abc".to_owned(),
        token: Sealed(secrets[0]),
        documents: Sealed(secrets[1]),
    };
    let note = |key: &str| Change::PutAnnotation {
        owner: instance.id,
        door: Door::Visa,
        key: key.to_owned(),
        value: Annotation::Plain("v".to_owned()),
    };
    let mut changes: Vec<_> = secrets.into_iter().map(secret).collect();
    changes.extend([Change::PutSeed(seed.clone()), note("a"), note("b"), note("a")]);
    world.store.commit(changes).await.unwrap();
    assert_eq!(world.store.seed_by_token("abc").await, Ok(Some(seed.clone())));
    assert_eq!(world.store.seed_by_token("abd").await, Ok(None));
    assert_eq!(world.store.seed(instance.id).await, Ok(Some(seed)));
    assert_eq!(world.store.annotations(instance.id).await.unwrap().len(), 2);
    let (owner, door, key) = (instance.id, Door::Visa, "b".to_owned());
    world.store.commit(vec![Change::RemoveAnnotation { owner, door, key }]).await.unwrap();
    assert_eq!(world.store.annotations(instance.id).await.unwrap().len(), 1);
    world.store.commit(vec![Change::RemoveInstance(instance.id)]).await.unwrap();
    assert_eq!(world.store.dump().await.unwrap(), empty);
    assert!(world.store.instance(other.id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_seed_that_is_replaced_takes_its_secrets_with_it() {
    let world = World::new().await;
    let instance = insert(&world).await;
    let ids = [0; 4].map(|_| SecretId::generate(&world.clock, &*world.random));
    let seed = |hash: &str, token, documents| {
        Change::PutSeed(Seed {
            instance: instance.id,
            token_hash: hash.to_owned(),
            token: Sealed(token),
            documents: Sealed(documents),
        })
    };
    let put = |id| Change::PutSecret { id, owner: None, value: "x".into() };
    world.store.commit(vec![put(ids[0]), put(ids[1]), seed("one", ids[0], ids[1])]).await.unwrap();
    world.store.commit(vec![put(ids[2]), seed("two", ids[2], ids[1])]).await.unwrap();
    let is_there = async |id| world.store.secret(Sealed(id)).await.is_ok();
    assert!(!is_there(ids[0]).await);
    assert!(is_there(ids[1]).await && is_there(ids[2]).await);
    assert_eq!(world.store.seed_by_token("one").await, Ok(None));
    world.store.commit(vec![Change::RemoveSeed { instance: instance.id }]).await.unwrap();
    assert!(!is_there(ids[1]).await && !is_there(ids[2]).await);
    world.store.commit(vec![Change::RemoveSeed { instance: instance.id }]).await.unwrap();
}

#[tokio::test]
async fn images_flavours_and_tokens_come_back_as_they_were_put() {
    let world = World::new().await;
    let presence =
        ImagePresence { hosts: vec!["pve1".parse().unwrap()], reason: "local".to_owned() };
    let mut image = Image {
        id: ImageId::generate(&world.clock, &*world.random),
        name: "debian".to_owned(),
        provider: "lab".parse().unwrap(),
        size: Some(ByteCount::gib(8)),
        presence,
        native: json!({"vmid": 9000}),
        seen_at: world.clock.now(),
    };
    world.store.commit(vec![Change::PutImage(Box::new(image.clone()))]).await.unwrap();
    assert_eq!(world.store.images().await, Ok(vec![image.clone()]));
    world.clock.advance(std::time::Duration::from_secs(1));
    (image.size, image.seen_at) = (None, world.clock.now());
    let update =
        ImageUpdate { size: Some(None), seen_at: Some(image.seen_at), ..ImageUpdate::default() };
    world.store.commit(vec![Change::UpdateImage { id: image.id, update }]).await.unwrap();
    assert_eq!(world.store.image(image.id).await, Ok(Some(image.clone())));
    image.id = ImageId::generate(&world.clock, &*world.random);
    let twin = world.store.commit(vec![Change::PutImage(Box::new(image))]).await;
    assert_eq!(twin, Err(Error::Constraint("images.provider, images.name".to_owned())));

    let mut flavour = world.flavour("small");
    flavour.disk = Some(ByteCount::gib(10));
    world.store.commit(vec![Change::PutFlavour(Box::new(flavour.clone()))]).await.unwrap();
    assert_eq!(world.store.flavours().await, Ok(vec![flavour.clone()]));
    world.store.commit(vec![Change::RemoveFlavour(flavour.id)]).await.unwrap();
    assert_eq!(world.store.flavours().await, Ok(vec![]));

    let mut token = Token {
        id: TokenId::generate(&world.clock, &*world.random),
        name: "ci".to_owned(),
        project: "red".parse().unwrap(),
        role: Role::Member,
        secret_hash: "$argon2id$...".to_owned(),
        created_at: world.clock.now(),
        expires_at: Some(world.later(60)),
        revoked_at: None,
    };
    world.store.commit(vec![Change::PutToken(Box::new(token.clone()))]).await.unwrap();
    assert_eq!(world.store.token(token.id).await, Ok(Some(token.clone())));
    token.revoked_at = Some(world.clock.now());
    world.store.commit(vec![Change::RevokeToken(token.id)]).await.unwrap();
    world.clock.advance(std::time::Duration::from_secs(1));
    world.store.commit(vec![Change::RevokeToken(token.id)]).await.unwrap();
    assert_eq!(world.store.tokens().await, Ok(vec![token]));
    let nobody = TokenId::generate(&world.clock, &*world.random);
    let revoked = world.store.commit(vec![Change::RevokeToken(nobody)]).await;
    assert!(matches!(revoked, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn events_are_listed_newest_first() {
    let world = World::new().await;
    let instance = insert(&world).await;
    let note = |instance, text: &str| Change::Note { instance, text: text.to_owned() };
    let notes = vec![note(None, "one"), note(Some(instance.id), "two"), note(None, "three")];
    world.store.commit(notes).await.unwrap();
    let texts = async |instance, limit| -> Vec<String> {
        let events = world.store.events(instance, limit).await.unwrap();
        events.into_iter().map(|event| event.text).collect()
    };
    assert_eq!(texts(None, 2).await, ["three", "two"]);
    assert_eq!(texts(Some(instance.id), 9).await, ["two"]);
}

#[tokio::test]
async fn an_update_decided_on_an_older_row_changes_nothing() {
    let world = World::new().await;
    let instance = insert(&world).await;
    let seen = world.store.instance(instance.id).await.unwrap().unwrap().sequence;
    let lost = |sequence| InstanceUpdate {
        phase: Some(Phase::Lost),
        if_sequence: Some(sequence),
        ..InstanceUpdate::default()
    };
    // An operation that begins meanwhile is a change of the row as well.
    let operation = world.operate(&instance, model::OperationKind::Start).await.unwrap();
    let after = change(&world, instance.id, lost(seen)).await;
    assert_eq!((after.phase, after.operation.unwrap().0), (Phase::Creating, operation));
    assert!(after.sequence > seen);
    assert_eq!(change(&world, instance.id, lost(after.sequence)).await.phase, Phase::Lost);
}
