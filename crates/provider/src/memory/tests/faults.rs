use super::*;
use crate::{HandleState, Probe, Rejection, Undone};

fn ambiguous() -> Result<Applied, Error> {
    Err(Error::Ambiguous { text: "an injected fault".to_owned(), settle: seconds(60) })
}

#[tokio::test]
async fn faults_before_the_effect_leave_the_world_alone() {
    let rig = Rig::new();
    let clone = rig.action("clone");
    let before = rig.cloud.dump();
    for kind in [
        FaultKind::Refuse(Rejection::Quota, "no space".to_owned()),
        FaultKind::NotSent,
        FaultKind::Busy,
        FaultKind::Unavailable,
        FaultKind::Malformed,
    ] {
        let fault = rig.fault(Fault::on(Call::Apply, kind.clone()).action("clone"));
        let error = rig.apply(&clone).await.unwrap_err();
        let right = match kind {
            FaultKind::Refuse(..) => error == Error::rejected(Rejection::Quota, "no space"),
            FaultKind::NotSent => matches!(error, Error::NotSent(_)),
            FaultKind::Busy => matches!(error, Error::Busy(_)),
            FaultKind::Unavailable => matches!(error, Error::Unavailable(_)),
            _ => matches!(error, Error::Malformed(_)),
        };
        assert!(right, "{kind:?}: {error:?}");
        assert_eq!(rig.fired(fault), 1);
        assert_eq!(rig.cloud.dump(), before);
    }
    assert_eq!(rig.cloud.faults().fired_in_all(), 5);
    assert!(rig.cloud.requests().iter().all(|request| !request.effect));
}

#[tokio::test]
async fn a_lost_reply_hides_an_effect_that_a_probe_finds() {
    let rig = Rig::new();
    let clone = rig.action("clone");
    rig.fault(Fault::on(Call::Apply, FaultKind::LostReply));
    assert_eq!(rig.apply(&clone).await, ambiguous());
    assert!(matches!(rig.probe(&clone).await, Ok(Probe::InProgress(Some(_)))));
    rig.rest();
    assert!(matches!(rig.probe(&clone).await, Ok(Probe::Done(_))));
}

#[tokio::test]
async fn a_late_clone_lands_unless_its_id_is_taken() {
    for taken in [false, true] {
        let rig = Rig::new();
        let clone = rig.action("clone");
        let late = FaultKind::LateEffect { after: seconds(50) };
        rig.fault(Fault::on(Call::Apply, late).action("clone"));
        assert_eq!(rig.apply(&clone).await, ambiguous());
        assert_eq!(rig.probe(&clone).await, Ok(Probe::NotDone));
        let undone = rig.provider.undo(&clone, &rig.in_doubt()).await;
        assert!(matches!(undone, Ok(Undone::Tombstone(_))), "{undone:?}");
        rig.clock.advance(seconds(49));
        assert_eq!(rig.probe(&clone).await, Ok(Probe::NotDone));
        if taken {
            rig.cloud.add_foreign(ID, "theirs", &host(), None);
        }
        let before = rig.cloud.dump();
        rig.clock.advance(seconds(1));
        let log = rig.cloud.requests();
        let landed = log.last().unwrap();
        assert!(landed.late && landed.at == Timestamp::from_millis(50_000), "{landed:?}");
        assert_eq!(landed.effect, !taken, "{landed:?}");
        if taken {
            assert_eq!(rig.cloud.dump(), before);
        } else {
            assert!(rig.cloud.guest(ID).unwrap().is_locked());
            rig.rest();
            assert!(matches!(rig.probe(&clone).await, Ok(Probe::Done(_))));
        }
    }
}

#[tokio::test]
async fn late_changes_of_what_has_changed_or_gone_fail() {
    let rig = Rig::before("configure").await;
    let configure = rig.action("configure");
    let late = |after| FaultKind::LateEffect { after: seconds(after) };
    rig.fault(Fault::on(Call::Apply, late(10)).action("configure"));
    assert_eq!(rig.apply(&configure).await, ambiguous());
    rig.cloud.change_guest(ID, |guest| guest.cores = 7);
    rig.clock.advance(seconds(10));
    assert_eq!(rig.cloud.guest(ID).unwrap().cores, 7);

    rig.fault(Fault::on(Call::Apply, late(10)).action("start"));
    assert_eq!(rig.apply(&rig.action("start")).await, ambiguous());
    rig.cloud.remove_guest(ID);
    rig.rest();
    assert_eq!(rig.cloud.dump(), Rig::new().cloud.dump());
}

#[tokio::test]
async fn half_an_effect_is_seen_and_can_be_taken_back() {
    let error = Error::invalid("broken off");
    let partial = || Fault::on(Call::Apply, FaultKind::Partial(Error::invalid("broken off")));
    let rig = Rig::new();
    let clone = rig.action("clone");
    rig.fault(partial());
    assert_eq!(rig.apply(&clone).await, Err(error.clone()));
    let guest = rig.cloud.guest(ID).unwrap();
    assert!(!guest.is_locked() && guest.mark == Some(rig.mark));
    assert_eq!(rig.cloud.disk(ID), None);
    assert_eq!(rig.probe(&clone).await, Ok(Probe::NotDone));
    assert!(matches!(rig.apply(&clone).await, Err(Error::Rejected { .. })));
    assert!(matches!(rig.undo(&clone).await, Ok(Undone::Started(_))));
    rig.rest();
    assert_eq!(rig.cloud.dump(), Rig::new().cloud.dump());

    let rig = Rig::before("configure").await;
    rig.fault(partial());
    let configure = rig.action("configure");
    assert_eq!(rig.apply(&configure).await, Err(error));
    assert_eq!(rig.cloud.guest(ID).unwrap().cores, 2);
    assert_eq!(rig.probe(&configure).await, Ok(Probe::NotDone));
    assert_eq!(rig.apply(&configure).await, Ok(Applied::Done(json!({}))));
    assert_eq!(rig.probe(&configure).await, Ok(Probe::Done(json!({}))));
}

#[tokio::test]
async fn a_failed_clone_leaves_nothing_or_half() {
    for partial in [false, true] {
        let rig = Rig::new();
        let clone = rig.action("clone");
        let kind = FaultKind::TaskFails { text: "no space left".to_owned(), partial };
        rig.fault(Fault::on(Call::Apply, kind));
        let handle = rig.begin(&clone).await;
        rig.rest();
        let HandleState::Failed { text } = rig.state(&handle).await else { panic!("it fails") };
        let error = rig.provider.failure(&clone, &text);
        assert_eq!(error, Error::rejected(Rejection::Quota, "no space left"));
        assert_eq!(rig.cloud.guest(ID).is_some(), partial);
        assert_eq!(rig.probe(&clone).await, Ok(Probe::NotDone));
        assert_eq!(rig.cloud.disk(ID), None);
    }
}

#[tokio::test]
async fn a_lost_task_may_or_may_not_have_an_effect() {
    for effect in [false, true] {
        let rig = Rig::new();
        let clone = rig.action("clone");
        rig.fault(Fault::on(Call::Apply, FaultKind::TaskLost { effect }));
        let handle = rig.begin(&clone).await;
        assert_eq!(rig.state(&handle).await, HandleState::Lost);
        let going = if effect { Probe::InProgress(None) } else { Probe::NotDone };
        assert_eq!(rig.probe(&clone).await, Ok(going));
        rig.rest();
        assert_eq!(matches!(rig.probe(&clone).await, Ok(Probe::Done(_))), effect);
    }
}

#[tokio::test]
async fn a_killed_clone_stays_locked_until_an_administrator_comes() {
    let rig = Rig::new();
    let clone = rig.action("clone");
    rig.fault(Fault::on(Call::Apply, FaultKind::TaskDies));
    let handle = rig.begin(&clone).await;
    rig.rest();
    assert!(matches!(rig.state(&handle).await, HandleState::Failed { .. }));
    let undone = rig.undo(&clone).await;
    assert!(matches!(undone, Err(Error::NeedsAdministrator { .. })), "{undone:?}");
    assert!(matches!(rig.probe(&clone).await, Err(Error::NeedsAdministrator { .. })));
    rig.cloud.unlock(ID);
    assert!(matches!(rig.undo(&clone).await, Ok(Undone::Started(_))));
    rig.rest();
    assert!(rig.cloud.guest(ID).is_none());
}

#[tokio::test]
async fn a_foreign_guest_that_appears_is_never_touched() {
    let rig = Rig::before("").await;
    let stop = rig.plan(&Intent::Destroy);
    rig.fault(Fault::on(Call::Apply, FaultKind::ForeignAppears).action("destroy"));
    rig.apply(&stop[0]).await.unwrap();
    rig.rest();
    assert!(matches!(rig.apply(&stop[1]).await, Err(Error::Rejected { .. })));
    assert!(matches!(rig.probe(&stop[1]).await, Ok(Probe::Foreign(_))));
    assert_eq!(rig.undo(&rig.action("clone")).await, Ok(Undone::Done));
    rig.rest();
    assert_eq!(rig.cloud.guest(ID).unwrap().name, "foreign");
    assert!(rig.cloud.disk(ID).is_some());
}

#[tokio::test]
async fn a_fault_fires_where_and_as_often_as_it_should() {
    let rig = Rig::new();
    let clone = rig.action("clone");
    let busy = || Fault::on(Call::Probe, FaultKind::Busy);
    let other = SeededRandom::new(9);
    let elsewhere = [
        rig.fault(busy().action("start").forever()),
        rig.fault(busy().caller("two").forever()),
        rig.fault(busy().instance(InstanceId::generate(&rig.clock, &other)).forever()),
        rig.fault(Fault::on(Call::Undo, FaultKind::Busy)),
        rig.fault(Fault::on(Call::Probe, FaultKind::LateEffect { after: seconds(1) })),
    ];
    let here = rig.fault(busy().instance(rig.mark.instance).skip(1).times(2));
    let answers = [Ok(Probe::NotDone), Err(()), Err(()), Ok(Probe::NotDone)];
    for answer in answers {
        assert_eq!(rig.probe(&clone).await.map_err(|_| ()), answer);
    }
    assert_eq!(rig.fired(here), 2);
    assert_eq!(elsewhere.map(|id| rig.fired(id)), [0; 5]);
    let second = MemoryProvider::new(rig.cloud.clone(), "two");
    let seen = second.probe(&clone, &rig.context()).await;
    assert!(matches!(seen, Err(Error::Busy(_))));
    rig.cloud.faults().end();
    assert_eq!(second.probe(&clone, &rig.context()).await, Ok(Probe::NotDone));
    assert_eq!(rig.undo(&clone).await, Ok(Undone::Done));
}

#[tokio::test]
async fn a_restart_whose_reply_is_lost_is_not_asked_for_twice() {
    let mut rig = Rig::before("").await;
    let actions = rig.plan(&Intent::Reboot { timeout: seconds(60) });
    rig.carry_out(&actions[0]).await;
    rig.fault(Fault::on(Call::Apply, FaultKind::LostReply).action("reboot"));
    assert_eq!(rig.apply(&actions[1]).await, ambiguous());
    assert!(matches!(rig.probe(&actions[1]).await, Ok(Probe::InProgress(Some(_)))));
    rig.rest();
    assert_eq!(rig.probe(&actions[1]).await, Ok(Probe::Done(json!({}))));
    assert_eq!(rig.apply(&actions[1]).await, Ok(Applied::Done(json!({}))));
    assert_eq!(rig.cloud.guest(ID).unwrap().boots, 2);
}
