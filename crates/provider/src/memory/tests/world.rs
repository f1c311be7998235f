use model::PowerState;
use secrecy::ExposeSecret;

use super::*;
use crate::{Existence, HandleState, Probe, Undone};

#[tokio::test]
async fn a_made_guest_is_as_it_was_asked_for() {
    let rig = Rig::before("").await;
    let guest = rig.cloud.guest(ID).unwrap();
    assert_eq!((guest.cores, guest.memory), (2, ByteCount::gib(1)));
    assert_eq!(guest.groups, ["web", "db"]);
    assert_eq!(guest.networks, [Some("lan".to_owned())]);
    assert_eq!(guest.mark, Some(rig.mark));
    assert_eq!((guest.power, guest.boots), (PowerState::Running, 1));
    assert_eq!(rig.cloud.disk(ID), Some(ByteCount::gib(10)));
    assert_eq!(rig.native["uuid"], json!(guest.uuid));
    assert_eq!(guest.seed_url.unwrap().expose_secret(), "http://192.0.2.1/seed/secret/");
    assert!(!rig.cloud.dump().to_string().contains("secret"));
    let log = rig.cloud.requests();
    assert!(log.iter().all(|request| request.caller == "one"));
    let effects: Vec<_> = log
        .iter()
        .filter(|request| request.effect)
        .map(|request| (request.action.clone().unwrap(), request.at.as_millis()))
        .collect();
    let want = [("clone", 0), ("configure", 5_000), ("grow", 5_000), ("firewall", 6_000)];
    let want = want.into_iter().chain([("start", 6_000)]);
    assert_eq!(effects, want.map(|(name, at)| (name.to_owned(), at)).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_guest_that_is_being_cloned_is_there_and_locked() {
    let rig = Rig::new();
    let clone = rig.action("clone");
    let handle = rig.begin(&clone).await;
    assert!(rig.cloud.guest(ID).unwrap().is_locked());
    assert_eq!(rig.probe(&clone).await, Ok(Probe::InProgress(Some(handle.clone()))));
    assert_eq!(rig.undo(&clone).await, Ok(Undone::InProgress));
    rig.clock.advance(seconds(4));
    assert_eq!(rig.state(&handle).await, HandleState::Running { percent: Some(80) });
    rig.clock.advance(seconds(1));
    assert_eq!(rig.state(&handle).await, HandleState::Ok);
    assert!(!rig.cloud.guest(ID).unwrap().is_locked());
    assert_eq!(rig.cloud.most_at_once("clone"), 1);
}

#[tokio::test]
async fn a_disk_does_not_shrink() {
    let rig = Rig::before("grow").await;
    let mut grow = rig.action("grow");
    grow.payload["size"] = json!(ByteCount::gib(1));
    let text = format!("the disk of guest {ID} cannot shrink");
    assert_eq!(rig.apply(&grow).await, Err(Error::invalid(text)));
}

#[tokio::test]
async fn an_offline_host_or_a_lost_quorum_proves_nothing_gone() {
    let rig = Rig::before("").await;
    let absent = json!({"id": 5, "host": "host1"});
    let exists = |native: &Value| {
        let native = native.clone();
        let rig = &rig;
        async move { rig.provider.exists(&native, &rig.mark).await }
    };
    assert_eq!(exists(&absent).await, Ok(Existence::Gone));
    rig.cloud.set_quorate(false);
    assert!(matches!(exists(&absent).await, Err(Error::Unavailable(_))));
    assert_eq!(exists(&rig.native).await, Ok(Existence::Ours));
    let stop = rig.plan(&Intent::Stop).remove(0);
    assert!(matches!(rig.apply(&stop).await, Err(Error::Unavailable(_))));
    assert!(rig.provider.observe().await.unwrap().incomplete.is_some());
    rig.cloud.set_quorate(true);
    rig.cloud.set_online(&host(), false);
    assert!(matches!(exists(&rig.native).await, Err(Error::Unavailable(_))));
    let batch = rig.provider.observe().await.unwrap();
    assert!(batch.incomplete.is_some());
    assert_eq!(batch.guests[0].power, PowerState::Unknown);
}

#[tokio::test]
async fn a_guest_that_does_not_obey_is_powered_off_only_by_force() {
    let mut rig = Rig::before("").await;
    rig.cloud.change_guest(ID, |guest| guest.obeys = false);
    let timeout = seconds(30);
    for intent in [Intent::Shutdown { timeout, force: false }, Intent::Reboot { timeout }] {
        let actions = rig.plan(&intent);
        let (last, first) = actions.split_last().unwrap();
        for action in first {
            rig.carry_out(action).await;
        }
        let handle = rig.begin(last).await;
        rig.clock.advance(timeout);
        let state = rig.state(&handle).await;
        assert!(matches!(state, HandleState::Failed { .. }), "{}: {state:?}", intent.name());
    }
    assert_eq!(rig.cloud.guest(ID).unwrap().boots, 1);
    let force = rig.plan(&Intent::Shutdown { timeout, force: true }).remove(0);
    rig.carry_out(&force).await;
    assert_eq!(rig.cloud.guest(ID).unwrap().power, PowerState::Stopped);
}

#[tokio::test]
async fn a_stop_overrules_a_shutdown() {
    let mut rig = Rig::before("").await;
    rig.cloud.change_guest(ID, |guest| guest.obeys = false);
    let asked = rig.plan(&Intent::Shutdown { timeout: seconds(3_000), force: false }).remove(0);
    let handle = rig.begin(&asked).await;
    let start = rig.plan(&Intent::Reboot { timeout: seconds(1) });
    rig.carry_out(&start[0]).await;
    assert!(matches!(rig.apply(&start[1]).await, Err(Error::Busy(_))));
    let stop = rig.plan(&Intent::Stop).remove(0);
    rig.carry_out(&stop).await;
    assert!(matches!(rig.state(&handle).await, HandleState::Failed { .. }));
}

#[tokio::test]
async fn addresses_are_told_once_the_guest_has_booted() {
    let rig = Rig::before("").await;
    assert_eq!(rig.provider.addresses(&rig.native).await, Ok(None));
    rig.clock.advance(seconds(2));
    let found = rig.provider.addresses(&rig.native).await.unwrap().unwrap();
    assert_eq!(found[0].ip.to_string(), "10.1.134.160");
    rig.cloud.change_guest(ID, |guest| guest.answers = false);
    assert_eq!(rig.provider.addresses(&rig.native).await, Ok(None));
}

#[tokio::test]
async fn a_task_leaves_a_guest_alone_that_has_taken_the_place_of_its_own() {
    let rig = Rig::before("").await;
    let stop = rig.plan(&Intent::Stop).remove(0);
    let handle = rig.begin(&stop).await;
    rig.cloud.add_foreign(ID, "theirs", &host(), Some(rig.mark));
    let log_before = rig.cloud.requests().len();
    rig.rest();
    assert!(matches!(rig.state(&handle).await, HandleState::Failed { .. }));
    assert_eq!(rig.cloud.guest(ID).unwrap().power, PowerState::Running);
    assert_eq!(rig.cloud.requests().len(), log_before + 1);
}
