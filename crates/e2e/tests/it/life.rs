//! The rest of an instance's life, over every provider: a guest that vanishes
//! and comes back, guests that are adopted and released, and expiry.

use std::time::Duration;

use e2e::bench::Bench;
use e2e::world::{At, MakeWorld, MemoryWorld, ProxmoxWorld, Trouble, What};
use engine::Outcome;
use model::{
    AttemptId, ByteCount, Clock, Error, InstallationId, Instance, InstanceId, Mark, OperationId,
    OperationKind, Ownership, Phase, PowerState,
};
use provisioner::{
    Accepted, AdoptInstance, CreateInstance, EditInstance, PowerChange, ResizeInstance,
};
use serde_json::Value;

/// The guest that is there from the beginning, and not ours.
const STRANGER: u32 = 500;

async fn row(bench: &Bench, id: InstanceId) -> Option<Instance> {
    bench.store().instance(id).await.unwrap()
}

async fn done(bench: &mut Bench, operation: OperationId) {
    let outcome = bench.settle(operation).await.unwrap();
    assert_eq!(outcome, Outcome::Done, "{}", bench.story(operation).await.unwrap());
}

async fn create(bench: &mut Bench, change: impl FnOnce(&mut CreateInstance)) -> InstanceId {
    let images = bench.house().images(&bench.admin());
    let image = images.iter().max_by_key(|image| image.presence.hosts.len()).unwrap();
    let mut request = CreateInstance {
        name: "subject".to_owned(),
        image: Some(image.id),
        cores: Some(2),
        memory: Some(ByteCount::gib(1)),
        ..CreateInstance::default()
    };
    change(&mut request);
    let accepted = bench.house().create_instance(&bench.admin(), request).await.unwrap();
    done(bench, accepted.operation).await;
    accepted.instance
}

fn guest_id(bench: &Bench, instance: &Instance) -> u32 {
    let core = bench.core();
    let provider = &core.providers()[&Bench::provider_id()];
    provider.guest_key(&instance.native).unwrap().parse().unwrap()
}

fn mark_of(bench: &Bench, instance: &Instance) -> Mark {
    let installation = bench.store().installation_id();
    Mark { installation, instance: instance.id, attempt: instance.attempt }
}

async fn notes(bench: &Bench, id: InstanceId) -> Vec<String> {
    let events = bench.store().events(Some(id), 100).await.unwrap();
    events.into_iter().rev().map(|event| event.text).collect()
}

macro_rules! over_both {
    ($($name:ident;)*) => {$(
        mod $name {
            #[tokio::test]
            async fn over_memory() {
                super::$name(super::MemoryWorld::make).await;
            }

            #[tokio::test]
            async fn over_proxmox() {
                super::$name(super::ProxmoxWorld::make).await;
            }
        }
    )*};
}

over_both! {
    a_guest_that_vanishes_is_lost_and_the_same_guest_brings_it_back;
    a_lost_instance_is_deleted_and_what_took_its_place_stays;
    deleting_an_instance_in_whose_place_a_stranger_stands_ends;
    an_instance_in_whose_place_a_stranger_stands_is_lost;
    an_adopted_guest_is_ours_and_a_released_one_is_as_it_was;
    an_observed_guest_is_started_and_stopped_and_stays;
    a_guest_of_an_instance_or_of_another_installation_is_not_adopted;
    what_is_said_at_creation_is_on_the_guest;
}

async fn a_guest_that_vanishes_is_lost_and_the_same_guest_brings_it_back(make: MakeWorld) {
    let mut bench = Bench::new(make, 1).await.unwrap();
    let id = create(&mut bench, |_| {}).await;
    bench.look().await;
    let before = row(&bench, id).await.unwrap();
    let (guest, mark) = (guest_id(&bench, &before), mark_of(&bench, &before));
    let uuid = before.native["uuid"].as_str().unwrap().to_owned();
    bench.world.remove(guest).await;
    bench.look().await;
    assert_eq!(row(&bench, id).await.unwrap().phase, Phase::Ready, "one look is not enough");
    bench.look().await;
    let lost = row(&bench, id).await.unwrap();
    assert_eq!(lost.phase, Phase::Lost);
    assert!(lost.fault.unwrap().message.contains("does not exist"));
    let (house, admin) = (bench.house(), bench.admin());
    let refused = house.change_power(&admin, id, PowerChange::Start).await.unwrap_err();
    assert!(matches!(refused, Error::Conflict { .. }), "{refused:?}");

    // A copy of it is not it.
    bench.world.restore(guest, &mark);
    bench.look().await;
    assert_eq!(row(&bench, id).await.unwrap().phase, Phase::Lost);
    bench.world.remove(guest).await;
    bench.world.put_back(guest, &mark, &uuid);
    bench.look().await;
    let back = row(&bench, id).await.unwrap();
    assert_eq!((back.phase, back.fault), (Phase::Ready, None));
    let start = house.change_power(&admin, id, PowerChange::Start).await.unwrap();
    done(&mut bench, start).await;
}

async fn a_lost_instance_is_deleted_and_what_took_its_place_stays(make: MakeWorld) {
    for replaced in [false, true] {
        let mut bench = Bench::new(make, 1).await.unwrap();
        let id = create(&mut bench, |_| {}).await;
        let instance = row(&bench, id).await.unwrap();
        let guest = guest_id(&bench, &instance);
        bench.world.remove(guest).await;
        if replaced {
            bench.world.restore(guest, &mark_of(&bench, &instance));
        }
        for _ in 0..3 {
            bench.look().await;
        }
        if !replaced {
            assert_eq!(row(&bench, id).await.unwrap().phase, Phase::Lost);
        }
        let before = bench.world.dump();
        let deletion = bench.house().delete_instance(&bench.admin(), id).await.unwrap();
        done(&mut bench, deletion).await;
        assert_eq!(row(&bench, id).await, None);
        assert_eq!(bench.world.dump(), before);
    }
}

async fn deleting_an_instance_in_whose_place_a_stranger_stands_ends(make: MakeWorld) {
    let mut bench = Bench::new(make, 1).await.unwrap();
    let id = create(&mut bench, |_| {}).await;
    let instance = row(&bench, id).await.unwrap();
    let guest = guest_id(&bench, &instance);
    bench.world.remove(guest).await;
    bench.world.restore(guest, &mark_of(&bench, &instance));
    let before = bench.world.dump();
    // Nobody has looked since: the instance is ready, as far as is known.
    assert_eq!(row(&bench, id).await.unwrap().phase, Phase::Ready);
    let deletion = bench.house().delete_instance(&bench.admin(), id).await.unwrap();
    done(&mut bench, deletion).await;
    assert_eq!(row(&bench, id).await, None);
    assert_eq!(bench.world.dump(), before, "the stranger was touched");
    assert!(notes(&bench, id).await.iter().any(|text| text.contains("left alone")));
}

async fn an_instance_in_whose_place_a_stranger_stands_is_lost(make: MakeWorld) {
    let mut bench = Bench::new(make, 1).await.unwrap();
    let id = create(&mut bench, |_| {}).await;
    bench.look().await;
    let guest = guest_id(&bench, &row(&bench, id).await.unwrap());
    bench.world.remove(guest).await;
    bench.world.plant(guest);
    bench.look().await;
    bench.look().await;
    let lost = row(&bench, id).await.unwrap();
    assert_eq!(lost.phase, Phase::Lost);
    assert!(lost.fault.unwrap().message.contains("another guest"));
    let before = bench.world.dump();
    let deletion = bench.house().delete_instance(&bench.admin(), id).await.unwrap();
    done(&mut bench, deletion).await;
    assert_eq!(bench.world.dump(), before, "the stranger was touched");
}

async fn adopt(bench: &Bench, guest: u32, owned: bool) -> Result<Accepted, Error> {
    let request = AdoptInstance {
        provider: Bench::provider_id(),
        guest: guest.to_string(),
        owned,
        expires_at: None,
        project: None,
    };
    bench.house().adopt_instance(&bench.admin(), request).await
}

async fn an_adopted_guest_is_ours_and_a_released_one_is_as_it_was(make: MakeWorld) {
    let mut bench = Bench::new(make, 1).await.unwrap();
    let before = bench.world.dump();
    let accepted = adopt(&bench, STRANGER, true).await.unwrap();
    let id = accepted.instance;
    done(&mut bench, accepted.operation).await;
    let instance = row(&bench, id).await.unwrap();
    assert_eq!((instance.phase, instance.ownership), (Phase::Ready, Ownership::Adopted));
    assert_eq!(instance.spec.name, "somebody-elses");
    assert!(instance.spec.image.is_none() && instance.spec.cores > 0);
    assert!(bench.world.dump().to_string().contains(&mark_of(&bench, &instance).to_string()));
    let (house, admin) = (bench.house(), bench.admin());
    let edit = EditInstance { protected: Some(true), ..EditInstance::default() };
    let edited = house.edit_instance(&admin, id, edit).await.unwrap();
    done(&mut bench, edited).await;
    let edit = EditInstance { protected: Some(false), ..EditInstance::default() };
    let edited = house.edit_instance(&admin, id, edit).await.unwrap();
    done(&mut bench, edited).await;

    let released = house.release_instance(&admin, id).await.unwrap();
    done(&mut bench, released).await;
    assert_eq!(row(&bench, id).await, None);
    assert_eq!(bench.world.dump(), before);
    bench.rest(Duration::from_secs(10)).await.unwrap();
    assert!(house.orphans(&admin).await.unwrap().orphans.is_empty());
    // And it can be had again, and is removed with its instance.
    let again = adopt(&bench, STRANGER, true).await.unwrap();
    done(&mut bench, again.operation).await;
    let deletion = house.delete_instance(&admin, again.instance).await.unwrap();
    done(&mut bench, deletion).await;
    assert!(!bench.world.dump().to_string().contains("somebody-elses"));
}

async fn an_observed_guest_is_started_and_stopped_and_stays(make: MakeWorld) {
    let mut bench = Bench::new(make, 1).await.unwrap();
    let accepted = adopt(&bench, STRANGER, false).await.unwrap();
    let id = accepted.instance;
    done(&mut bench, accepted.operation).await;
    let (house, admin) = (bench.house(), bench.admin());
    for (change, power) in
        [(PowerChange::Start, PowerState::Running), (PowerChange::Stop, PowerState::Stopped)]
    {
        let operation = house.change_power(&admin, id, change).await.unwrap();
        done(&mut bench, operation).await;
        bench.rest(Duration::from_secs(5)).await.unwrap();
        let seen = row(&bench, id).await.unwrap().observed.unwrap();
        assert_eq!(seen.power, power);
    }
    let resize = ResizeInstance { cores: Some(4), ..ResizeInstance::default() };
    let refused = house.resize_instance(&admin, id, resize).await.unwrap_err();
    assert!(refused.to_string().contains("only observed"), "{refused}");
    let refused = house.migrate_instance(&admin, id, None, true).await.unwrap_err();
    assert!(refused.to_string().contains("only observed"), "{refused}");
    let before = bench.world.dump();
    assert!(!before.to_string().contains("innkeeper/1"), "nothing of ours is on it");
    let deletion = house.delete_instance(&admin, id).await.unwrap();
    done(&mut bench, deletion).await;
    assert_eq!(row(&bench, id).await, None);
    assert_eq!(bench.world.dump(), before);
}

async fn a_guest_of_an_instance_or_of_another_installation_is_not_adopted(make: MakeWorld) {
    let mut bench = Bench::new(make, 1).await.unwrap();
    let id = create(&mut bench, |_| {}).await;
    let own = row(&bench, id).await.unwrap();
    bench.look().await;
    let refused = adopt(&bench, guest_id(&bench, &own), true).await.unwrap_err();
    assert!(refused.to_string().contains(&id.to_string()), "{refused}");
    let refused = adopt(&bench, 4_000_000, true).await.unwrap_err();
    assert!(matches!(refused, Error::NotFound { .. }), "{refused:?}");

    let random = model::random::SeededRandom::new(99);
    let theirs = Mark {
        installation: InstallationId::generate(&bench.clock, &random),
        instance: InstanceId::generate(&bench.clock, &random),
        attempt: AttemptId::generate(&bench.clock, &random),
    };
    bench.world.restore(501, &theirs);
    bench.look().await;
    let before = bench.world.dump();
    for owned in [true, false] {
        let accepted = adopt(&bench, 501, owned).await.unwrap();
        let outcome = bench.settle(accepted.operation).await.unwrap();
        let Outcome::Unwound { cause } = outcome else { panic!("{outcome:?}") };
        assert!(cause.reason().contains("another installation"), "{cause:?}");
        let failed = row(&bench, accepted.instance).await.unwrap();
        assert_eq!((failed.phase, &failed.native), (Phase::Failed, &Value::Null));
        let admin = bench.admin();
        let deletion = bench.house().delete_instance(&admin, failed.id).await.unwrap();
        done(&mut bench, deletion).await;
    }
    assert_eq!(bench.world.dump(), before);
}

async fn what_is_said_at_creation_is_on_the_guest(make: MakeWorld) {
    let mut bench = Bench::new(make, 1).await.unwrap();
    let id = create(&mut bench, |request| {
        request.description = "shop of the museum".to_owned();
        request.tags = ["shop".to_owned()].into();
        request.protected = true;
    })
    .await;
    let spec = row(&bench, id).await.unwrap().spec;
    assert!(spec.protected && spec.tags.contains("shop"));
    let dump = bench.world.dump().to_string();
    assert!(dump.contains("shop of the museum"), "{dump}");
    let (house, admin) = (bench.house(), bench.admin());
    let refused = house.delete_instance(&admin, id).await.unwrap_err();
    assert!(refused.to_string().contains("protected"), "{refused}");
}

/// Lets a long time pass at once, and then what is due happen.
async fn leap(bench: &mut Bench, hours: u64) {
    let time = Duration::from_secs(hours * 3600);
    bench.clock.advance(time);
    bench.world.advanced(time).await;
    bench.rest(Duration::from_secs(30)).await.unwrap();
}

async fn deletions(bench: &Bench, id: InstanceId) -> Vec<model::Operation> {
    let filter = store::OperationFilter { instance: Some(id), limit: 100, ..Default::default() };
    let mut operations = bench.store().operations(&filter).await.unwrap();
    operations.retain(|operation| operation.kind == OperationKind::Delete);
    operations
}

#[tokio::test]
async fn an_expiry_is_warned_of_put_off_and_kept() {
    let mut bench = Bench::new(MemoryWorld::make, 1).await.unwrap();
    let at = |bench: &Bench, hours: u64| bench.clock.now().plus(Duration::from_secs(hours * 3600));
    let end = at(&bench, 48);
    let id = create(&mut bench, |request| request.expires_at = Some(end)).await;
    leap(&mut bench, 20).await;
    assert_eq!(notes(&bench, id).await, Vec::<String>::new());
    leap(&mut bench, 5).await;
    assert_eq!(notes(&bench, id).await, [format!("it expires at {end}")]);
    leap(&mut bench, 1).await;
    assert_eq!(notes(&bench, id).await.len(), 1, "it is said once");

    // Put off, also while the hypervisor refuses everything.
    let what = What::Unavailable;
    let down = Trouble { action: "edit".to_owned(), at: At::Apply, what, times: None };
    assert!(bench.world.trouble(&down));
    let (house, admin) = (bench.house(), bench.admin());
    let later = at(&bench, 72);
    let edit = EditInstance { expires_at: Some(Some(later)), ..EditInstance::default() };
    let edited = house.edit_instance(&admin, id, edit).await.unwrap();
    done(&mut bench, edited).await;
    bench.world.calm();
    leap(&mut bench, 40).await;
    assert_eq!(row(&bench, id).await.unwrap().phase, Phase::Ready);
    leap(&mut bench, 10).await;
    assert_eq!(notes(&bench, id).await.len(), 2, "{:?}", notes(&bench, id).await);
    leap(&mut bench, 24).await;
    assert_eq!(row(&bench, id).await, None);
    let asked = deletions(&bench, id).await;
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].asked_by, "house (expired)");
}

#[tokio::test]
async fn what_is_protected_outlives_its_expiry_and_goes_once_it_is_not() {
    let mut bench = Bench::new(MemoryWorld::make, 1).await.unwrap();
    let end = bench.clock.now().plus(Duration::from_secs(3600));
    let id = create(&mut bench, |request| {
        request.expires_at = Some(end);
        request.protected = true;
    })
    .await;
    leap(&mut bench, 2).await;
    leap(&mut bench, 2).await;
    assert_eq!(row(&bench, id).await.unwrap().phase, Phase::Ready);
    let said = notes(&bench, id).await;
    assert_eq!(said.iter().filter(|text| text.contains("it is protected")).count(), 1, "{said:?}");
    let edit = EditInstance { protected: Some(false), ..EditInstance::default() };
    let edited = bench.house().edit_instance(&bench.admin(), id, edit).await.unwrap();
    done(&mut bench, edited).await;
    leap(&mut bench, 1).await;
    assert_eq!(row(&bench, id).await, None);
}

#[tokio::test]
async fn an_expiry_in_the_past_is_refused() {
    let bench = Bench::new(MemoryWorld::make, 1).await.unwrap();
    let image = bench.house().images(&bench.admin())[0].id;
    let request = CreateInstance {
        name: "subject".to_owned(),
        image: Some(image),
        cores: Some(1),
        memory: Some(ByteCount::gib(1)),
        expires_at: Some(bench.clock.now()),
        ..CreateInstance::default()
    };
    let refused = bench.house().create_instance(&bench.admin(), request).await.unwrap_err();
    assert!(refused.to_string().starts_with("expires_at: expected a time after"), "{refused}");
}
