//! A clone whose answer is lost: the first row of the table "Ambiguous, on
//! Proxmox", case by case.

use std::time::Duration;

use model::random::SeededRandom;
use model::time::SystemClock;
use model::{HostId, InstallationId, Intent, Mark};
use provider::{Applied, Error, Existence, HandleState, Probe, Provider, Rejection, Undone};
use pve_sim::{Change, Effect, Fault, GuestSeed, TaskDurations};

use crate::lab::{CLONE, Lab, Made, TEMPLATE, cluster, intent};

fn lost(result: Result<Applied, Error>) {
    let Err(Error::Ambiguous { settle, .. }) = result else {
        panic!("expected a lost answer, got {result:?}");
    };
    assert!(settle > Duration::from_secs(30), "longer than the 30 s of 596: {settle:?}");
}

/// Plans a guest, sends its clone with this fault, and loses the answer.
async fn clone_with(lab: &Lab, effect: Effect) -> (Made, model::Timestamp) {
    let made = lab.planned().await;
    let since = lab.now();
    lab.sim.fault(Fault::on("POST", CLONE).then(effect));
    let applied = lab.provider.apply(made.action("clone"), &made.context()).await;
    lost(applied);
    (made, since)
}

#[tokio::test]
async fn a_clone_whose_answer_is_lost_is_found_by_its_mark() {
    for effect in [Effect::LoseReply, Effect::Gateway { status: 596, done: true }] {
        let lab = Lab::new().await;
        let (made, since) = clone_with(&lab, effect).await;
        let (clone, context) = (made.action("clone"), made.in_doubt(since));
        let probe = lab.probe(clone, &context).await;
        assert!(matches!(probe, Probe::InProgress(Some(_))), "its lock says so: {probe:?}");
        lab.sim.settle().await;
        let Probe::Done(output) = lab.probe(clone, &context).await else {
            panic!("it is done");
        };
        let smbios = lab.option(made.vmid, "smbios1").unwrap();
        assert_eq!(output["vmid"], made.vmid);
        assert_eq!(output["node"], "pve1");
        assert!(smbios.contains(output["uuid"].as_str().unwrap()), "{smbios}");
    }
}

#[tokio::test]
async fn a_clone_that_was_never_made_is_sent_again_with_the_same_vmid() {
    for effect in [Effect::Drop, Effect::Gateway { status: 596, done: false }] {
        let lab = Lab::new().await;
        let (mut made, since) = clone_with(&lab, effect).await;
        let clone = made.action("clone").clone();
        assert_eq!(lab.probe(&clone, &made.in_doubt(since)).await, Probe::NotDone);
        lab.carry_out(&mut made, &clone).await;
        assert_eq!(made.native["vmid"], made.vmid);
    }
}

#[tokio::test]
async fn a_node_that_cannot_be_reached_gets_no_request() {
    let lab = Lab::new().await;
    let made = lab.planned().await;
    let refused = Effect::Gateway { status: 595, done: false };
    lab.sim.fault(Fault::on("POST", CLONE).then(refused));
    let applied = lab.provider.apply(made.action("clone"), &made.context()).await;
    assert!(matches!(applied, Err(Error::Unavailable(_))), "{applied:?}");
}

fn later(seconds: u64) -> Effect {
    Effect::Later { after: Duration::from_secs(seconds), answers_596: true }
}

#[tokio::test]
async fn a_late_worker_and_its_retry_make_one_guest() {
    let lab = Lab::new().await;
    let (mut made, since) = clone_with(&lab, later(20)).await;
    let clone = made.action("clone").clone();
    assert_eq!(lab.probe(&clone, &made.in_doubt(since)).await, Probe::NotDone);
    // An engine would wait for the settle time; even without, one wins.
    lab.carry_out(&mut made, &clone).await;
    let uuid = made.native["uuid"].clone();
    lab.advance(30).await;
    lab.sim.settle().await;
    let Probe::Done(output) = lab.probe(&clone, &made.context()).await else {
        panic!("the first one stands");
    };
    assert_eq!(output["uuid"], uuid);
}

#[tokio::test]
async fn a_guest_that_appears_after_its_unwinding_is_found_and_removed_by_its_mark() {
    let lab = Lab::new().await;
    let before = lab.world();
    let (made, since) = clone_with(&lab, later(25)).await;
    let undone = lab.undo(made.action("clone"), &made.in_doubt(since)).await;
    let Undone::Tombstone(text) = undone else {
        panic!("absent and in doubt: {undone:?}");
    };
    assert!(text.contains(&made.vmid.to_string()), "{text}");
    assert!(text.contains(&made.mark.attempt.to_string()), "{text}");
    lab.advance(30).await;
    assert!(lab.exists(made.vmid), "the late worker has made it");
    let key = lab.provider.guest_key(&made.native).unwrap();
    let orphan = lab.provider.inspect(&key).await.unwrap().unwrap();
    assert_eq!(orphan.mark, made.mark);
    let mut late = Made { native: orphan.native, ..made };
    lab.fulfil(&mut late, &Intent::Destroy).await;
    assert_eq!(lab.world(), before);
}

#[tokio::test]
async fn without_doubt_an_absent_guest_is_undone() {
    let lab = Lab::new().await;
    let made = lab.planned().await;
    let undone = lab.undo(made.action("clone"), &made.context()).await;
    assert_eq!(undone, Undone::Done);
}

#[tokio::test]
async fn the_undo_waits_for_a_clone_that_is_going_on_and_then_removes_it() {
    let lab = Lab::new().await;
    let before = lab.world();
    let (made, since) = clone_with(&lab, Effect::LoseReply).await;
    let clone = made.action("clone");
    let first = lab.provider.undo(clone, &made.in_doubt(since)).await;
    assert_eq!(first, Ok(Undone::InProgress));
    lab.undo(clone, &made.in_doubt(since)).await;
    assert_eq!(lab.world(), before);
}

#[tokio::test]
async fn a_running_clone_that_may_be_the_lost_one_is_waited_for() {
    let slow = TaskDurations::default().with("qmclone", Duration::from_secs(90));
    let lab = Lab::of(cluster().durations(slow), |_| {}).await;
    let (made, since) = clone_with(&lab, Effect::Drop).await;
    let (clone, context) = (made.action("clone"), made.in_doubt(since));
    // Another process of the house clones the same template meanwhile. Its
    // task's id is the template's, so that it cannot be told from ours.
    let other = lab.planned().await;
    let applied = lab.another_process().apply(other.action("clone"), &other.context()).await;
    let Ok(Applied::Started(task)) = applied else { panic!("{applied:?}") };
    assert_eq!(lab.probe(clone, &context).await, Probe::InProgress(None));
    assert_eq!(lab.provider.undo(clone, &context).await, Ok(Undone::InProgress));
    assert_eq!(lab.follow(&task).await, HandleState::Ok);
    assert_eq!(lab.probe(clone, &context).await, Probe::NotDone);
}

#[tokio::test]
async fn clones_whose_answers_came_are_not_waited_for() {
    let slow = TaskDurations::default().with("qmclone", Duration::from_secs(90));
    let lab = Lab::of(cluster().durations(slow), |_| {}).await;
    let (made, since) = clone_with(&lab, Effect::Drop).await;
    let other = lab.planned().await;
    let applied = lab.provider.apply(other.action("clone"), &other.context()).await;
    assert!(matches!(applied, Ok(Applied::Started(_))), "{applied:?}");
    assert_eq!(lab.probe(made.action("clone"), &made.in_doubt(since)).await, Probe::NotDone);
}

#[tokio::test]
async fn a_foreign_guest_at_the_vmid_is_left_alone() {
    let lab = Lab::new().await;
    let stranger = Lab::new().await.mark();
    let foreign = [None, Some("by hand".to_owned()), Some(stranger.to_string())];
    for description in foreign {
        let made = lab.planned().await;
        let effect = Effect::ForeignGuest { name: "theirs".into(), description };
        lab.sim.fault(Fault::on("POST", CLONE).then(effect));
        let clone = made.action("clone");
        let applied = lab.provider.apply(clone, &made.context()).await;
        let Err(Error::Rejected { why: Rejection::Exists, .. }) = applied else {
            panic!("{applied:?}");
        };
        let world = lab.world();
        let probe = lab.probe(clone, &made.context()).await;
        assert!(matches!(probe, Probe::Foreign(_)), "{probe:?}");
        assert_eq!(lab.undo(clone, &made.in_doubt(lab.now())).await, Undone::Done);
        assert_eq!(lab.world(), world);
    }
}

#[tokio::test]
async fn the_mark_of_another_attempt_at_the_vmid_is_foreign() {
    let lab = Lab::new().await;
    let made = lab.planned().await;
    let other = Mark { attempt: lab.mark().attempt, ..made.mark };
    lab.sim.foreign_guest("pve2", made.vmid, "ours-once", Some(&other.to_string()));
    let probe = lab.probe(made.action("clone"), &made.context()).await;
    assert!(matches!(&probe, Probe::Foreign(text) if text.contains("attempt")), "{probe:?}");
}

#[tokio::test]
async fn a_template_with_a_foreign_mark_gives_its_clone_ours() {
    let stranger = Lab::new().await.mark();
    let template = GuestSeed::new(9001, "copied")
        .on("pve1")
        .disk("ceph", 1024)
        .option("description", &stranger.to_string())
        .option("tags", "innkeeper");
    let lab = Lab::of(cluster().template(template), |settings| {
        settings.templates.name = Some("*".into());
    })
    .await;
    let mut made = lab.planned().await;
    let mut clone = made.action("clone").clone();
    clone.payload["source"] = 9001.into();
    lab.carry_out(&mut made, &clone).await;
    assert_eq!(lab.option(made.vmid, "description"), Some(made.mark.to_string()));
    let exists = lab.provider.exists(&made.native, &made.mark).await;
    assert_eq!(exists, Ok(Existence::Ours));
}

#[tokio::test]
async fn a_clone_reported_finished_too_early_is_in_progress_until_its_lock_goes() {
    let lab = Lab::new().await;
    let made = lab.planned().await;
    let early = Effect::TaskOkEarly(Duration::from_secs(30));
    lab.sim.fault(Fault::on("POST", CLONE).then(early));
    let clone = made.action("clone");
    let applied = lab.provider.apply(clone, &made.context()).await;
    let Ok(Applied::Started(task)) = applied else { panic!("{applied:?}") };
    assert_eq!(lab.follow(&task).await, HandleState::Ok);
    assert_eq!(lab.probe(clone, &made.context()).await, Probe::InProgress(None));
    lab.advance(31).await;
    let probe = lab.probe(clone, &made.context()).await;
    assert!(matches!(probe, Probe::Done(_)), "{probe:?}");
}

#[tokio::test]
async fn a_lock_that_stays_without_a_task_needs_an_administrator() {
    let lab = Lab::new().await;
    let before = lab.world();
    let made = lab.planned().await;
    let broken = Effect::TaskFailsPartly("clone failed: worker died".into());
    lab.sim.fault(Fault::on("POST", CLONE).then(broken));
    let clone = made.action("clone");
    let applied = lab.provider.apply(clone, &made.context()).await;
    let Ok(Applied::Started(task)) = applied else { panic!("{applied:?}") };
    let end = lab.follow(&task).await;
    assert!(matches!(end, HandleState::Failed { .. }), "{end:?}");
    // For a while it may be a task that is about to begin or to end.
    assert_eq!(lab.probe(clone, &made.context()).await, Probe::InProgress(None));
    assert_eq!(lab.provider.undo(clone, &made.context()).await, Ok(Undone::InProgress));
    lab.advance(61).await;
    for result in [
        lab.provider.probe(clone, &made.context()).await.map(|_| ()),
        lab.provider.undo(clone, &made.context()).await.map(|_| ()),
    ] {
        let Err(Error::NeedsAdministrator { text, commands }) = result else {
            panic!("{result:?}");
        };
        assert!(text.contains("locked (clone)"), "{text}");
        let vmid = made.vmid;
        let destroy = format!("qm destroy {vmid} --purge --destroy-unreferenced-disks 1");
        assert_eq!(commands, [format!("qm unlock {vmid}"), destroy]);
    }
    // Once the administrator has unlocked it, it is no guest without a disk: it
    // is taken back.
    lab.sim.set_option(made.vmid, "lock", None);
    let probed = lab.provider.probe(clone, &made.context()).await;
    let exists = matches!(probed, Err(Error::Rejected { why: Rejection::Exists, .. }));
    assert!(exists, "{probed:?}");
    assert_eq!(lab.undo(clone, &made.context()).await, Undone::Done);
    assert_eq!(lab.world(), before);
}

#[tokio::test]
async fn a_failed_clone_leaves_nothing_and_says_why() {
    let lab = Lab::new().await;
    let before = lab.world();
    let made = lab.planned().await;
    lab.sim.change(&Change::StorageFull("ceph".into(), true));
    let clone = made.action("clone");
    let applied = lab.provider.apply(clone, &made.context()).await;
    let Ok(Applied::Started(task)) = applied else { panic!("{applied:?}") };
    let HandleState::Failed { text } = lab.follow(&task).await else {
        panic!("a full storage takes no clone");
    };
    let error = lab.provider.failure(clone, &text);
    assert!(matches!(error, Error::Rejected { why: Rejection::Quota, .. }), "{error:?}");
    assert_eq!(lab.probe(clone, &made.context()).await, Probe::NotDone);
    assert_eq!(lab.undo(clone, &made.context()).await, Undone::Done);
    lab.sim.change(&Change::StorageFull("ceph".into(), false));
    assert_eq!(lab.world(), before);
}

#[tokio::test]
async fn a_clone_for_another_host_is_found_on_both() {
    let lab = Lab::new().await;
    let host: HostId = "pve3".parse().unwrap();
    let intent = model::CreateIntent { host, ..intent() };
    let mut made = lab.planned_as(intent).await;
    let clone = made.action("clone").clone();
    let applied = lab.provider.apply(&clone, &made.context()).await;
    let Ok(Applied::Started(task)) = applied else { panic!("{applied:?}") };
    assert_eq!(task.host.as_str(), "pve1", "the task is the source's host's");
    let probe = lab.probe(&clone, &made.context()).await;
    assert!(matches!(probe, Probe::InProgress(_)), "still on the source: {probe:?}");
    assert_eq!(lab.follow(&task).await, HandleState::Ok);
    let Probe::Done(output) = lab.probe(&clone, &made.context()).await else {
        panic!("it is done");
    };
    assert_eq!(output["node"], "pve3");
    made.merge(&output);
    let exists = lab.provider.exists(&made.native, &made.mark).await;
    assert_eq!(exists, Ok(Existence::Ours));
}

#[tokio::test]
async fn absence_is_not_believed_without_quorum() {
    let lab = Lab::new().await;
    let (made, since) = clone_with(&lab, Effect::Drop).await;
    lab.sim.change(&Change::Quorum(false));
    let clone = made.action("clone");
    let probe = lab.provider.probe(clone, &made.in_doubt(since)).await;
    assert!(matches!(probe, Err(Error::Unavailable(_))), "{probe:?}");
    let undone = lab.provider.undo(clone, &made.in_doubt(since)).await;
    assert!(matches!(undone, Err(Error::Unavailable(_))), "{undone:?}");
}

#[tokio::test]
async fn a_missing_privilege_is_named() {
    let lab = Lab::new().await;
    let made = lab.planned().await;
    lab.sim.change(&Change::Privilege { name: "VM.Clone".into(), granted: false });
    let applied = lab.provider.apply(made.action("clone"), &made.context()).await;
    let Err(Error::Rejected { why, .. }) = applied else { panic!("{applied:?}") };
    assert_eq!(why, Rejection::Denied(Some(format!("VM.Clone on /vms/{TEMPLATE}"))));
}

#[tokio::test]
async fn what_is_not_answered_in_time_is_in_doubt_only_if_it_was_sent() {
    // The simulator's clock stands still, so that a delay never ends.
    let never = || Effect::Delay(Duration::from_secs(1));
    let lab = Lab::new().await;
    let made = lab.planned().await;
    let mut clone = made.action("clone").clone();
    clone.request_timeout = Duration::from_millis(300);
    lab.sim.fault(Fault::on("POST", CLONE).then(never()));
    lost(lab.provider.apply(&clone, &made.context()).await);

    let made = lab.made().await;
    let mut stop = lab.plan(&made, &Intent::Stop).actions.remove(0);
    stop.request_timeout = Duration::from_millis(300);
    lab.sim.fault(Fault::on("GET", "nodes/*/qemu/*/config").then(never()));
    let applied = lab.provider.apply(&stop, &made.context()).await;
    assert!(matches!(applied, Err(Error::Unavailable(_))), "only read: {applied:?}");
}

#[tokio::test]
async fn a_locked_template_is_busy() {
    let lab = Lab::new().await;
    let made = lab.planned().await;
    lab.sim.fault(Fault::on("POST", CLONE).then(Effect::LockTimeout));
    let applied = lab.provider.apply(made.action("clone"), &made.context()).await;
    assert!(matches!(applied, Err(Error::Busy(_))), "{applied:?}");
}

#[tokio::test]
async fn an_action_of_another_installation_is_refused() {
    let lab = Lab::new().await;
    let mut made = lab.made().await;
    let other = InstallationId::generate(&SystemClock::new(), &SeededRandom::new(99));
    made.mark.installation = other;
    let before = lab.sim.requests().len();
    let clone = made.action("clone");
    let applied = lab.provider.apply(clone, &made.context()).await;
    assert!(matches!(applied, Err(Error::Rejected { .. })), "{applied:?}");
    let undone = lab.provider.undo(clone, &made.context()).await;
    assert!(matches!(undone, Err(Error::Rejected { .. })), "{undone:?}");
    assert_eq!(lab.sim.requests().len(), before, "nothing is even asked");
}

#[tokio::test]
async fn six_clones_of_one_template_at_once_are_six_guests() {
    let lab = Lab::new().await;
    let mut plans = Vec::new();
    for _ in 0..6 {
        plans.push(lab.planned().await);
    }
    let applied = plans.iter().map(|made| async {
        let action = made.action("clone");
        lab.provider.apply(action, &made.context()).await
    });
    for result in futures::future::join_all(applied).await {
        assert!(matches!(result, Ok(Applied::Started(_))), "{result:?}");
    }
    lab.sim.settle().await;
    for made in &plans {
        let probe = lab.probe(made.action("clone"), &made.context()).await;
        assert!(matches!(probe, Probe::Done(_)), "{probe:?}");
    }
}

/// Proxmox copies an ordinary guest as willingly as a template.
#[tokio::test]
async fn a_template_that_is_somebodys_guest_by_now_is_not_cloned() {
    let lab = Lab::new().await;
    let made = lab.planned().await;
    assert!(lab.sim.set_option(TEMPLATE, "template", None));
    let applied = lab.provider.apply(made.action("clone"), &made.context()).await;
    let Err(Error::Rejected { why: Rejection::NotFound, text }) = applied else {
        panic!("expected a refusal, got {applied:?}");
    };
    assert!(text.contains("no template any more"), "{text}");
    assert!(lab.option(made.vmid, "name").is_none(), "nothing was made");
}
