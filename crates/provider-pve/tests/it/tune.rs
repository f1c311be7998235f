//! Configuring, growing, guarding and power: read back, and send only what
//! differs.

use model::{CreateIntent, Intent, NicSpec, PowerState};
use provider::{Applied, Error, HandleState, Probe, Provider, Rejection};
use pve_sim::{Effect, Fault, GuestSeed, Script};
use serde_json::Value;
use std::time::Duration;

use crate::lab::{Lab, Made, cluster, intent};

/// A guest whose first `count` actions are carried out.
async fn begun(lab: &Lab, count: usize) -> Made {
    let mut made = lab.planned().await;
    for action in made.plan.actions.clone().iter().take(count) {
        lab.carry_out(&mut made, action).await;
    }
    made
}

fn is_lost(applied: &Result<Applied, Error>) -> bool {
    matches!(applied, Err(Error::Ambiguous { .. }))
}

#[tokio::test]
async fn a_lost_answer_to_configure_is_read_back() {
    for (effect, done) in [(Effect::LoseReply, true), (Effect::Drop, false)] {
        let lab = Lab::new().await;
        let mut made = begun(&lab, 1).await;
        lab.sim.fault(Fault::on("PUT", "nodes/*/qemu/*/config").then(effect));
        let configure = made.action("configure").clone();
        let applied = lab.provider.apply(&configure, &made.context()).await;
        assert!(is_lost(&applied), "{applied:?}");
        let probe = lab.probe(&configure, &made.in_doubt(lab.now())).await;
        assert_eq!(matches!(probe, Probe::Done(_)), done, "{probe:?}");
        let before = lab.sim.requests().len();
        lab.carry_out(&mut made, &configure).await;
        assert_eq!(lab.sent(before, &["PUT"]).is_empty(), done, "only what differs is sent");
        assert_eq!(lab.option(made.vmid, "cores").as_deref(), Some("2"));
    }
}

#[tokio::test]
async fn configure_keeps_what_is_the_clones_own() {
    let template = GuestSeed::new(9001, "tagged")
        .on("pve1")
        .disk("ceph", 1024)
        .option("tags", "b a")
        .option("smbios1", "uuid=00000000-0000-4000-8000-000000000000,manufacturer=ACME")
        .option("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1");
    let lab = Lab::of(cluster().template(template), |_| {}).await;
    let nic = NicSpec { network: Some("vmbr0".into()) };
    let mut made = lab.planned_as(CreateIntent { nics: vec![nic], ..intent() }).await;
    let mut clone = made.action("clone").clone();
    clone.payload["source"] = 9001.into();
    lab.carry_out(&mut made, &clone).await;
    let mac = lab.option(made.vmid, "net0");
    let configure = made.action("configure").clone();
    lab.carry_out(&mut made, &configure).await;
    assert_eq!(lab.option(made.vmid, "net0"), mac);
    assert_eq!(lab.option(made.vmid, "tags").as_deref(), Some("a;b;innkeeper"));
    assert_eq!(lab.option(made.vmid, "memory").as_deref(), Some("1024"));
    let smbios: pve::property::Smbios1 = lab.option(made.vmid, "smbios1").unwrap().parse().unwrap();
    assert_eq!(smbios.uuid(), made.native["uuid"].as_str());
    assert_eq!(smbios.text("manufacturer").as_deref(), Some("ACME"));
    let serial = smbios.text("serial").unwrap();
    assert_eq!(serial, "ds=nocloud-net;s=http://192.0.2.1/seed/0123456789/");
}

#[tokio::test]
async fn a_configuration_that_changed_meanwhile_is_read_again() {
    let lab = Lab::new().await;
    let mut made = begun(&lab, 1).await;
    let changed = Effect::Refuse {
        status: 500,
        text: "checksum mismatch (file change by other user?)".into(),
    };
    lab.sim.fault(Fault::on("PUT", "nodes/*/qemu/*/config").then(changed));
    let configure = made.action("configure").clone();
    let applied = lab.provider.apply(&configure, &made.context()).await;
    assert!(matches!(applied, Err(Error::Busy(_))), "{applied:?}");
    lab.carry_out(&mut made, &configure).await;
    let requests = lab.sim.requests();
    let put = requests.iter().rfind(|request| request.method == "PUT").unwrap();
    assert!(put.parameters["digest"].is_string(), "{:?}", put.parameters);
}

#[tokio::test]
async fn a_disk_grows_once_and_never_shrinks() {
    let lab = Lab::new().await;
    let mut made = begun(&lab, 2).await;
    lab.sim.fault(Fault::on("PUT", "nodes/*/qemu/*/resize").then(Effect::LoseReply));
    let mut grow = made.action("grow").clone();
    let applied = lab.provider.apply(&grow, &made.context()).await;
    assert!(is_lost(&applied), "{applied:?}");
    let probe = lab.probe(&grow, &made.in_doubt(lab.now())).await;
    assert!(matches!(probe, Probe::InProgress(Some(_))), "{probe:?}");
    lab.sim.settle().await;
    let before = lab.sim.requests().len();
    lab.carry_out(&mut made, &grow).await;
    assert_eq!(lab.sent(before, &["PUT"]), Vec::<String>::new());
    assert!(lab.option(made.vmid, "scsi0").unwrap().contains("size=5G"));
    grow.payload["gib"] = 4.into();
    let applied = lab.provider.apply(&grow, &made.context()).await;
    let Err(Error::Rejected { why: Rejection::Invalid, text }) = applied else {
        panic!("{applied:?}");
    };
    assert!(text.contains("cannot shrink"), "{text}");
}

/// The groups of a guest's firewall in order, and whether it guards.
fn groups(lab: &Lab, vmid: u32) -> (Vec<String>, bool) {
    let dump = lab.sim.dump();
    let firewall = &dump["guests"][format!("{vmid:09}")]["firewall"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rules = firewall["rules"].as_array().unwrap();
    let enabled = rules.iter().filter(|rule| text(&rule["enable"]) != "0");
    let names = enabled.map(|rule| text(&rule["action"])).collect();
    let on = firewall["options"]["enable"].to_string().contains('1');
    let net0 = lab.option(vmid, "net0").unwrap();
    (names, on && net0.contains("firewall=1"))
}

#[tokio::test]
async fn groups_are_attached_in_order_whichever_answer_is_lost() {
    let paths = [
        ("POST", "nodes/*/qemu/*/firewall/rules", 1),
        ("POST", "nodes/*/qemu/*/firewall/rules", 2),
        ("PUT", "nodes/*/qemu/*/firewall/options", 1),
        ("PUT", "nodes/*/qemu/*/config", 1),
    ];
    for (method, path, nth) in paths {
        for effect in [Effect::LoseReply, Effect::Drop] {
            let lab = Lab::new().await;
            let mut made = begun(&lab, 3).await;
            lab.sim.fault(Fault::on(method, path).nth(nth).then(effect));
            let firewall = made.action("firewall").clone();
            let applied = lab.provider.apply(&firewall, &made.context()).await;
            assert!(is_lost(&applied), "{method} {path}: {applied:?}");
            lab.carry_out(&mut made, &firewall).await;
            let expected = (vec!["web".to_owned(), "ssh".to_owned()], true);
            assert_eq!(groups(&lab, made.vmid), expected, "{method} {path}");
            let probe = lab.probe(&firewall, &made.context()).await;
            assert!(matches!(probe, Probe::Done(_)), "{probe:?}");
        }
    }
}

#[tokio::test]
async fn a_group_that_does_not_exist_is_refused() {
    let lab = Lab::new().await;
    let mut made = lab.planned().await;
    let clone = made.action("clone").clone();
    lab.carry_out(&mut made, &clone).await;
    let mut firewall = made.action("firewall").clone();
    firewall.payload["groups"] = serde_json::json!(["nosuch"]);
    let applied = lab.provider.apply(&firewall, &made.context()).await;
    assert!(matches!(applied, Err(Error::Rejected { .. })), "{applied:?}");
}

#[tokio::test]
async fn a_lost_answer_to_start_or_stop_is_read_back() {
    let lab = Lab::new().await;
    let mut made = lab.made().await;
    for (intent, verb) in [(Intent::Stop, "stop"), (Intent::Start, "start")] {
        let action = lab.plan(&made, &intent).actions.remove(0);
        let path = format!("nodes/*/qemu/*/status/{verb}");
        lab.sim.fault(Fault::on("POST", &path).then(Effect::LoseReply));
        let applied = lab.provider.apply(&action, &made.context()).await;
        assert!(is_lost(&applied), "{applied:?}");
        let probe = lab.probe(&action, &made.in_doubt(lab.now())).await;
        assert!(matches!(probe, Probe::InProgress(Some(_))), "{probe:?}");
        lab.sim.settle().await;
        let probe = lab.probe(&action, &made.in_doubt(lab.now())).await;
        assert!(matches!(probe, Probe::Done(_)), "{probe:?}");
        let before = lab.sim.requests().len();
        lab.carry_out(&mut made, &action).await;
        assert_eq!(lab.sent(before, &["POST"]), Vec::<String>::new(), "it is so already");
    }
}

#[tokio::test]
async fn a_restart_whose_answer_is_lost_happens_once() {
    for effect in [Effect::LoseReply, Effect::Drop] {
        let lab = Lab::new().await;
        let mut made = lab.made().await;
        let timeout = Duration::from_secs(60);
        let plan = lab.plan(&made, &Intent::Reboot { timeout });
        lab.carry_out(&mut made, &plan.actions[0]).await;
        let noted = made.native["pid_before_reboot"].clone();
        lab.sim.fault(Fault::on("POST", "nodes/*/qemu/*/status/reboot").then(effect));
        let applied = lab.provider.apply(&plan.actions[1], &made.context()).await;
        assert!(is_lost(&applied), "{applied:?}");
        lab.sim.settle().await;
        lab.carry_out(&mut made, &plan.actions[1]).await;
        let restarts = lab.sent(0, &["POST"]);
        let restarts = restarts.iter().filter(|sent| sent.ends_with("/status/reboot"));
        let effects = restarts.count();
        assert!((1..=2).contains(&effects));
        lab.carry_out(&mut made, &plan.actions[0]).await;
        assert_ne!(made.native["pid_before_reboot"], noted, "another process");
    }
}

#[tokio::test]
async fn a_guest_that_ignores_the_request_is_stopped_only_by_force() {
    let lab = Lab::new().await;
    let mut made = lab.made().await;
    lab.sim.script_guest(made.vmid, Script { ignores_acpi: true, ..Script::default() });
    let timeout = Duration::from_secs(20);
    let gentle = lab.plan(&made, &Intent::Shutdown { timeout, force: false }).actions.remove(0);
    let applied = lab.provider.apply(&gentle, &made.context()).await;
    let Ok(Applied::Started(task)) = applied else { panic!("{applied:?}") };
    let HandleState::Failed { text } = lab.follow(&task).await else {
        panic!("the guest did not react");
    };
    let error = lab.provider.failure(&gentle, &text);
    assert!(matches!(error, Error::Rejected { .. }), "asking again is no use: {error:?}");
    assert_eq!(lab.probe(&gentle, &made.context()).await, Probe::NotDone);
    lab.fulfil(&mut made, &Intent::Shutdown { timeout, force: true }).await;
    let batch = lab.provider.observe().await.unwrap();
    let guest = batch.guests.iter().find(|guest| guest.key == made.vmid.to_string());
    assert_eq!(guest.unwrap().power, PowerState::Stopped);
}

#[tokio::test]
async fn a_held_lock_is_busy_in_the_answer_and_in_the_task() {
    let lab = Lab::new().await;
    let made = begun(&lab, 1).await;
    lab.sim.set_option(made.vmid, "lock", Some("backup"));
    let applied = lab.provider.apply(made.action("configure"), &made.context()).await;
    assert!(matches!(applied, Err(Error::Busy(_))), "{applied:?}");
    let start = made.action("start");
    let applied = lab.provider.apply(start, &made.context()).await;
    let Ok(Applied::Started(task)) = applied else { panic!("{applied:?}") };
    let HandleState::Failed { text } = lab.follow(&task).await else { panic!("it is locked") };
    let error = lab.provider.failure(start, &text);
    assert!(matches!(error, Error::Busy(_)), "{error:?}");
}
