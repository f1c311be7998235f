//! Polls, observations and addresses.

use std::time::Duration;

use model::{Intent, PowerState};
use provider::{Applied, Handle, HandleState, Provider};
use pve_sim::{AgentBehaviour, Change, Effect, Fault, Script};

use crate::lab::{CLONE, Lab, cluster, intent};

#[tokio::test]
async fn one_request_asks_for_all_handles_of_a_host() {
    let lab = Lab::new().await;
    let mut handles: Vec<Handle> = Vec::new();
    for _ in 0..20 {
        let made = lab.planned().await;
        let applied = lab.provider.apply(made.action("clone"), &made.context()).await;
        let Ok(Applied::Started(handle)) = applied else { panic!("{applied:?}") };
        handles.push(handle);
    }
    let host = handles[0].host.clone();
    let before = lab.sim.requests().len();
    let states = lab.provider.poll(&host, &handles).await.unwrap();
    assert_eq!(lab.sim.requests().len() - before, 1);
    assert_eq!(states.len(), 20);
    assert!(states.iter().all(|state| matches!(state, HandleState::Running { .. })));
    lab.sim.settle().await;
    let before = lab.sim.requests().len();
    let states = lab.provider.poll(&host, &handles).await.unwrap();
    assert_eq!(lab.sim.requests().len() - before, 1);
    assert!(states.iter().all(|state| *state == HandleState::Ok), "{states:?}");
}

#[tokio::test]
async fn a_task_that_vanished_is_lost_and_one_that_failed_says_why() {
    let lab = Lab::new().await;
    let effects =
        [Effect::TaskVanishes { done: true }, Effect::TaskFails("clone failed: x".into())];
    let mut handles = Vec::new();
    for effect in effects {
        let made = lab.planned().await;
        lab.sim.fault(Fault::on("POST", CLONE).then(effect));
        let applied = lab.provider.apply(made.action("clone"), &made.context()).await;
        let Ok(Applied::Started(handle)) = applied else { panic!("{applied:?}") };
        handles.push(handle);
    }
    lab.sim.settle().await;
    let states = lab.provider.poll(&handles[0].host.clone(), &handles).await.unwrap();
    assert_eq!(states[0], HandleState::Lost);
    assert!(matches!(&states[1], HandleState::Failed { text } if text == "clone failed: x"));
}

#[tokio::test]
async fn a_whole_cluster_is_seen_with_two_requests_and_rights_and_templates_once() {
    let lab = Lab::new().await;
    lab.made().await;
    lab.provider.observe().await.unwrap();
    let before = lab.sim.requests().len();
    let batch = lab.provider.observe().await.unwrap();
    let sent = lab.sent(before, &["GET"]);
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert_eq!(batch.incomplete, None);
    assert_eq!(batch.hosts.len(), 3);
    let host = &batch.hosts[0];
    assert_eq!(host.cores_allocated, 2);
    assert_eq!(host.memory_allocated.as_bytes(), 1 << 30);
    let image = &batch.images[0];
    assert_eq!(image.name, "debian-12");
    assert_eq!(image.presence.hosts.len(), 3, "shared: {:?}", image.presence);
    assert_eq!(image.size.unwrap().as_bytes(), 2 << 30);
    assert!(batch.guests.iter().all(|guest| guest.key != "9000"), "a template is no guest");
}

#[tokio::test]
async fn a_cluster_that_is_not_seen_whole_says_what_is_missing() {
    let lab = Lab::new().await;
    let audit = |granted| Change::Privilege { name: "VM.Audit".into(), granted };
    let online = |online| Change::NodeOnline("pve3".into(), online);
    for (change, back, expected) in [
        (Change::Quorum(false), Change::Quorum(true), "the cluster is not quorate"),
        (online(false), online(true), "the node pve3 is offline"),
        (audit(false), audit(true), "the credentials lack VM.Audit on /vms"),
    ] {
        assert_eq!(lab.provider.observe().await.unwrap().incomplete, None);
        // What was proven is believed for five minutes.
        lab.advance(301).await;
        lab.sim.change(&change);
        let batch = lab.provider.observe().await.unwrap();
        let incomplete = batch.incomplete.unwrap_or_default();
        assert!(incomplete.contains(expected), "{incomplete}");
        lab.sim.change(&back);
        lab.advance(301).await;
    }
}

#[tokio::test]
async fn a_new_guest_is_unknown_for_one_round_of_statistics() {
    let lab = Lab::of(cluster().stats_interval(Duration::from_secs(10)), |_| {}).await;
    lab.advance(11).await;
    let mut made = lab.planned().await;
    let clone = made.action("clone").clone();
    lab.carry_out(&mut made, &clone).await;
    let key = made.vmid.to_string();
    let seen = |batch: provider::Batch| batch.guests.into_iter().find(|guest| guest.key == key);
    let guest = seen(lab.provider.observe().await.unwrap()).unwrap();
    assert_eq!((guest.name.as_str(), guest.power), ("", PowerState::Unknown));
    lab.advance(11).await;
    let guest = seen(lab.provider.observe().await.unwrap()).unwrap();
    assert_eq!((guest.name.as_str(), guest.power), ("web-1", PowerState::Stopped));
}

#[tokio::test]
async fn addresses_come_when_the_agent_answers() {
    let lab = Lab::new().await;
    let mut made = lab.planned().await;
    for name in ["clone", "configure"] {
        let action = made.action(name).clone();
        lab.carry_out(&mut made, &action).await;
    }
    assert_eq!(lab.provider.addresses(&made.native).await, Ok(None), "it does not run");
    let slow = Script { agent_after: Duration::from_secs(30), ..Script::default() };
    lab.sim.script_guest(made.vmid, slow);
    lab.fulfil(&mut made, &Intent::Start).await;
    assert_eq!(lab.provider.addresses(&made.native).await, Ok(None), "it boots");
    lab.advance(31).await;
    let addresses = lab.provider.addresses(&made.native).await.unwrap().unwrap();
    let net0 = lab.option(made.vmid, "net0").unwrap().to_lowercase();
    let first = addresses.first().unwrap();
    assert!(net0.contains(first.mac.as_deref().unwrap()), "{addresses:?} {net0}");
    assert!(!first.ip.is_loopback(), "{addresses:?}");
}

#[tokio::test]
async fn a_guest_without_an_agent_has_no_addresses() {
    let lab = Lab::of(cluster(), |settings| settings.agent = false).await;
    let script = Script { agent: AgentBehaviour::Never, ..Script::default() };
    let made = lab.made_as(intent()).await;
    lab.sim.script_guest(made.vmid, script);
    lab.advance(60).await;
    assert_eq!(lab.provider.addresses(&made.native).await, Ok(None));
}

#[tokio::test]
async fn vmids_that_are_in_use_are_not_asked_for() {
    let lab = Lab::new().await;
    lab.sim.foreign_guest("pve3", 100_500, "theirs", None);
    let host = "pve1".parse().unwrap();
    let facts = lab.facts(&host).await;
    let wish = Intent::Create(Box::new(intent()));
    let requests = lab.provider.ids_needed(&wish, &facts).unwrap();
    assert_eq!(requests[0].taken, [100_500]);
}

#[tokio::test]
async fn only_marked_guests_can_be_inspected() {
    let lab = Lab::new().await;
    lab.sim.foreign_guest("pve1", 100_900, "theirs", Some("by hand"));
    assert_eq!(lab.provider.inspect("100900").await, Ok(None));
    assert_eq!(lab.provider.inspect("100901").await, Ok(None));
    let made = lab.made().await;
    let orphan = lab.provider.inspect(&made.vmid.to_string()).await.unwrap().unwrap();
    assert_eq!(orphan.mark, made.mark);
    assert_eq!(orphan.native["uuid"], made.native["uuid"]);
    let error = lab.provider.inspect("many").await.unwrap_err();
    assert!(error.to_string().contains("expected a vmid"), "{error}");
}

#[tokio::test]
async fn a_host_that_is_away_is_not_an_answer_about_its_tasks() {
    let lab = Lab::new().await;
    let made = lab.planned().await;
    let applied = lab.provider.apply(made.action("clone"), &made.context()).await;
    let Ok(Applied::Started(handle)) = applied else { panic!("{applied:?}") };
    lab.sim.change(&Change::NodeOnline("pve1".into(), false));
    let states = lab.provider.poll(&handle.host.clone(), &[handle]).await;
    assert!(matches!(states, Err(provider::Error::Unavailable(_))), "{states:?}");
}
