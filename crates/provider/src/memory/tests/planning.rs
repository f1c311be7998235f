use super::*;
use crate::Rejection;

fn names(actions: &[Action]) -> Vec<(&str, bool)> {
    actions.iter().map(|action| (action.name.as_str(), action.reversible)).collect()
}

#[test]
fn a_create_plan_has_only_the_actions_that_are_asked_for() {
    let rig = Rig::new();
    let whole = ["clone", "configure", "grow", "firewall", "start"];
    assert_eq!(names(&rig.actions), whole.map(|name| (name, true)));
    let small = CreateIntent {
        root_disk: None,
        security_groups: Vec::new(),
        power_on: false,
        seed: SeedAccess::None,
        ..intent()
    };
    let facts = facts(&small);
    let plan = rig.provider.plan(&Intent::Create(Box::new(small)), &facts, &[reserved()]).unwrap();
    assert_eq!(names(&plan.actions), [("clone", true), ("configure", true)]);
    assert_eq!(plan.reference, json!({"id": ID, "host": "host1"}));
}

#[tokio::test]
async fn power_and_removal_cannot_be_taken_back() {
    let rig = Rig::before("configure").await;
    let timeout = seconds(9);
    for (intent, want) in [
        (Intent::Start, vec![("start", false)]),
        (Intent::Stop, vec![("stop", false)]),
        (Intent::Shutdown { timeout, force: false }, vec![("shutdown", false)]),
        (Intent::Reboot { timeout }, vec![("note-boot", true), ("reboot", false)]),
        (Intent::Destroy, vec![("stop", false), ("destroy", false)]),
    ] {
        assert_eq!(names(&rig.plan(&intent)), want, "{}", intent.name());
    }
}

#[test]
fn impossible_intents_are_refused_with_the_reason() {
    let rig = Rig::new();
    let refuse = |intent: CreateIntent, facts: Facts| {
        let intent = Intent::Create(Box::new(intent));
        let needed = rig.provider.ids_needed(&intent, &facts).unwrap_err();
        let planned = rig.provider.plan(&intent, &facts, &[reserved()]).unwrap_err();
        assert_eq!(needed, planned);
        planned
    };
    let good = intent();
    let small = CreateIntent { root_disk: Some(ByteCount::gib(1)), ..good.clone() };
    let text = "root_disk: the image needs at least 2 GiB, got 1 GiB";
    assert_eq!(refuse(small, facts(&good)), Error::invalid(text));
    let elsewhere = CreateIntent { host: "host2".parse().unwrap(), ..good.clone() };
    let text = "image \"debian\" is not on host2: local";
    assert_eq!(refuse(elsewhere, facts(&good)), Error::rejected(Rejection::Unsupported, text));
    assert_eq!(refuse(good, Facts::default()), Error::invalid("image: it is not known"));
}

#[tokio::test]
async fn an_action_of_another_release_is_refused() {
    let rig = Rig::new();
    let mut action = rig.action("clone");
    action.version = 2;
    let error = rig.apply(&action).await.unwrap_err();
    assert!(matches!(error, Error::Rejected { why: Rejection::Unsupported, .. }), "{error}");
    action.version = 1;
    action.payload = json!({"act": "clone"});
    assert!(matches!(rig.apply(&action).await, Err(Error::Malformed(_))));
}
