//! Removal: only of what is ours, and gone only when that is certain.

use std::time::Duration;

use model::Intent;
use provider::{Applied, Error, Existence, Probe, Provider, Rejection};
use pve::VmId;
use pve_sim::{Change, Effect, Fault};

use crate::lab::{self, Lab};

#[tokio::test]
async fn a_removal_whose_answer_is_lost_is_asked_again() {
    for effect in [Effect::LoseReply, Effect::Drop] {
        let lab = Lab::new().await;
        let before = lab.world();
        let mut made = lab.made().await;
        let plan = lab.plan(&made, &Intent::Destroy);
        lab.carry_out(&mut made, &plan.actions[0]).await;
        lab.sim.fault(Fault::on("DELETE", "nodes/*/qemu/*").then(effect));
        let applied = lab.provider.apply(&plan.actions[1], &made.context()).await;
        assert!(matches!(applied, Err(Error::Ambiguous { .. })), "{applied:?}");
        let probe = lab.probe(&plan.actions[1], &made.in_doubt(lab.now())).await;
        assert!(!matches!(probe, Probe::Done(_)), "still there: {probe:?}");
        lab.carry_out(&mut made, &plan.actions[1]).await;
        assert_eq!(lab.world(), before);
    }
}

#[tokio::test]
async fn a_guest_that_was_started_again_is_stopped_and_removed() {
    let lab = Lab::new().await;
    let before = lab.world();
    let mut made = lab.made().await;
    let destroy = lab.plan(&made, &Intent::Destroy).actions.remove(1);
    lab.carry_out(&mut made, &destroy).await;
    assert_eq!(lab.world(), before);
}

#[tokio::test]
async fn a_guest_is_gone_only_in_a_quorate_cluster() {
    let lab = Lab::new().await;
    let mut made = lab.made().await;
    let destroy = lab.plan(&made, &Intent::Destroy).actions.remove(1);
    lab.fulfil(&mut made, &Intent::Destroy).await;
    lab.sim.change(&Change::Quorum(false));
    let probe = lab.provider.probe(&destroy, &made.context()).await;
    assert!(matches!(probe, Err(Error::Unavailable(_))), "{probe:?}");
    let exists = lab.provider.exists(&made.native, &made.mark).await;
    assert!(matches!(exists, Err(Error::Unavailable(_))), "{exists:?}");
    lab.sim.change(&Change::Quorum(true));
    assert_eq!(lab.provider.exists(&made.native, &made.mark).await, Ok(Existence::Gone));
}

#[tokio::test]
async fn a_guest_on_a_host_that_is_away_is_not_gone() {
    let lab = Lab::new().await;
    let made = lab.made().await;
    lab.sim.change(&Change::NodeOnline("pve1".into(), false));
    let exists = lab.provider.exists(&made.native, &made.mark).await;
    assert!(matches!(exists, Err(Error::Unavailable(_))), "{exists:?}");
    let destroy = lab.plan(&made, &Intent::Destroy).actions.remove(1);
    let applied = lab.provider.apply(&destroy, &made.context()).await;
    assert!(matches!(applied, Err(Error::Unavailable(_))), "{applied:?}");
}

#[tokio::test]
async fn a_guest_that_may_not_be_seen_any_more_is_not_gone() {
    let lab = Lab::new().await;
    let made = lab.made().await;
    lab.sim.change(&Change::Privilege { name: "VM.Audit".into(), granted: false });
    let exists = lab.another_process().exists(&made.native, &made.mark).await;
    let Err(Error::Rejected { why: Rejection::Denied(Some(missing)), .. }) = exists else {
        panic!("{exists:?}");
    };
    assert_eq!(missing, "VM.Audit on /vms");
}

#[tokio::test]
async fn a_guest_that_was_migrated_is_found_and_removed() {
    let lab = Lab::new().await;
    let before = lab.world();
    let mut made = lab.made().await;
    lab.fulfil(&mut made, &Intent::Stop).await;
    let client = lab::client(&lab.sim, lab.sim.token());
    let guest = client.node("pve1").qemu(VmId::new(made.vmid).unwrap());
    guest
        .request(pve::Method::POST, "migrate", pve::Params::new().set("target", "pve2"))
        .await
        .unwrap();
    lab.sim.settle().await;
    let exists = lab.provider.exists(&made.native, &made.mark).await;
    assert_eq!(exists, Ok(Existence::Ours));
    lab.fulfil(&mut made, &Intent::Start).await;
    lab.sim.advance(Duration::from_secs(60)).await;
    let addresses = lab.provider.addresses(&made.native).await.unwrap();
    assert!(addresses.is_some_and(|list| !list.is_empty()), "it is asked where it is");
    lab.fulfil(&mut made, &Intent::Destroy).await;
    assert_eq!(lab.world(), before);
}

#[tokio::test]
async fn a_guest_with_our_vmid_and_mark_but_another_uuid_is_untouched() {
    let lab = Lab::new().await;
    let made = lab.made().await;
    let uuid = "uuid=00000000-0000-4000-8000-00000000000f";
    lab.sim.set_option(made.vmid, "smbios1", Some(uuid));
    let world = lab.world();
    for action in lab.plan(&made, &Intent::Destroy).actions {
        let applied = lab.provider.apply(&action, &made.context()).await;
        assert!(matches!(applied, Err(Error::Rejected { .. })), "{applied:?}");
        let probe = lab.probe(&action, &made.context()).await;
        assert!(matches!(probe, Probe::Foreign(_)), "{probe:?}");
    }
    assert_eq!(lab.world(), world);
}

#[tokio::test]
async fn a_guest_that_became_a_template_is_untouched() {
    let lab = Lab::new().await;
    let mut made = lab.made().await;
    lab.fulfil(&mut made, &Intent::Stop).await;
    lab.sim.set_option(made.vmid, "template", Some("1"));
    let destroy = lab.plan(&made, &Intent::Destroy).actions.remove(1);
    let applied = lab.provider.apply(&destroy, &made.context()).await;
    assert!(matches!(applied, Err(Error::Rejected { .. })), "{applied:?}");
    let key = lab.provider.guest_key(&made.native).unwrap();
    assert_eq!(lab.provider.inspect(&key).await, Ok(None));
}

#[tokio::test]
async fn a_protected_guest_needs_an_administrator() {
    let lab = Lab::new().await;
    let mut made = lab.made().await;
    lab.fulfil(&mut made, &Intent::Stop).await;
    lab.sim.set_option(made.vmid, "protection", Some("1"));
    let destroy = lab.plan(&made, &Intent::Destroy).actions.remove(1);
    let applied = lab.provider.apply(&destroy, &made.context()).await;
    let Err(Error::NeedsAdministrator { commands, .. }) = applied else { panic!("{applied:?}") };
    assert_eq!(commands, [format!("qm set {} --protection 0", made.vmid)]);
    assert!(lab.exists(made.vmid));
}

#[tokio::test]
async fn a_backup_is_waited_for() {
    let lab = Lab::new().await;
    let mut made = lab.made().await;
    lab.fulfil(&mut made, &Intent::Stop).await;
    lab.sim.set_option(made.vmid, "lock", Some("backup"));
    let destroy = lab.plan(&made, &Intent::Destroy).actions.remove(1);
    let applied = lab.provider.apply(&destroy, &made.context()).await;
    assert!(matches!(applied, Err(Error::Busy(_))), "{applied:?}");
    lab.sim.set_option(made.vmid, "lock", None);
    lab.carry_out(&mut made, &destroy).await;
    assert!(!lab.exists(made.vmid));
}

#[tokio::test]
async fn ownership_is_read_immediately_before_each_destructive_call() {
    let lab = Lab::new().await;
    let made = lab.made().await;
    for (action, effect) in lab.plan(&made, &Intent::Destroy).actions.iter().zip(["POST", "DELETE"])
    {
        let before = lab.sim.requests().len();
        let applied = lab.provider.apply(action, &made.context()).await;
        assert!(matches!(applied, Ok(Applied::Started(_))), "{applied:?}");
        let sent = lab.sent(before, &["GET", "POST", "PUT", "DELETE"]);
        let [.., read, last] = sent.as_slice() else { panic!("{sent:?}") };
        assert!(read.starts_with("GET") && read.ends_with("/config"), "{sent:?}");
        assert!(last.starts_with(effect), "{sent:?}");
        lab.sim.settle().await;
    }
}
