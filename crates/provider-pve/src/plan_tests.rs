#![allow(clippy::unwrap_used)]
use std::time::Duration;

use model::random::SeededRandom;
use model::time::ManualClock;
use model::{Image, ImageId, ImagePresence, NicSpec, Timestamp};
use provider::HostView;

use super::*;

fn settings() -> Settings {
    Settings::new("lab".parse().unwrap())
}

fn facts(shared: bool, linked: bool) -> Facts {
    let id = ImageId::generate(&ManualClock::default(), &SeededRandom::new(1));
    Facts {
        image: Some(Image {
            id,
            name: "debian-12".into(),
            provider: "lab".parse().unwrap(),
            size: Some(ByteCount::gib(2)),
            presence: ImagePresence::default(),
            native: json!({
                "vmid": 9000, "node": "pve1", "shared": shared, "linked": linked,
                "storages": ["local"],
            }),
            seen_at: Timestamp::default(),
        }),
        ..Facts::default()
    }
}

fn create() -> CreateIntent {
    CreateIntent {
        about: model::EditIntent::default(),
        name: "web-1".into(),
        image: ImageId::generate(&ManualClock::default(), &SeededRandom::new(1)),
        host: "pve1".parse().unwrap(),
        cores: 2,
        memory: ByteCount::mib(1536),
        root_disk: Some(ByteCount::gib(5)),
        nics: vec![],
        devices: Vec::new(),
        security_groups: vec!["web".into()],
        seed: SeedAccess::Http,
        power_on: true,
    }
}

fn ids() -> [ReservedId; 1] {
    [ReservedId { pool: "proxmox/lab/vmid".into(), value: 100_000 }]
}

fn planned(settings: &Settings, intent: CreateIntent, facts: &Facts) -> Result<Plan, Error> {
    settings.plan(&Intent::Create(Box::new(intent)), facts, &ids())
}

fn names(plan: &Plan) -> Vec<(&str, bool)> {
    let actions = plan.actions.iter();
    actions.map(|a| (a.name.as_str(), a.reversible)).collect()
}

#[test]
fn create_clones_configures_grows_guards_and_starts() {
    let plan = planned(&settings(), create(), &facts(false, true)).unwrap();
    let expected =
        [("clone", true), ("configure", true), ("grow", true), ("firewall", true), ("start", true)];
    assert_eq!(names(&plan), expected);
    assert_eq!(plan.reference["vmid"], 100_000);
    assert_eq!(plan.actions[0].payload["full"], false);
    assert_eq!(plan.actions[0].payload["source"], 9000);
    assert_eq!(plan.actions[1].payload["memory_mib"], 1536);
    assert_eq!(plan.actions[2].payload["gib"], 5);
    let limit = &plan.actions[0].limits[1];
    assert_eq!((limit.key.as_str(), limit.at_most), ("clones/lab/pve1", 4));
    // The same arguments give the same plan.
    assert_eq!(planned(&settings(), create(), &facts(false, true)).unwrap(), plan);
    for action in &plan.actions {
        crate::actions::load(action).map(drop).unwrap();
    }
}

#[test]
fn a_small_intent_needs_a_clone_and_its_configuration_only() {
    let intent = CreateIntent {
        root_disk: None,
        security_groups: vec![],
        seed: SeedAccess::None,
        power_on: false,
        ..create()
    };
    let plan = planned(&settings(), intent, &facts(false, true)).unwrap();
    assert_eq!(names(&plan), [("clone", true), ("configure", true)]);
    assert_eq!(plan.actions[1].payload["seed"], false);
}

#[test]
fn clones_are_full_where_the_storage_cannot_link() {
    let auto = settings();
    let plan = planned(&auto, create(), &facts(false, false)).unwrap();
    assert_eq!(plan.actions[0].payload["full"], true);
    let full =
        Settings { clone_mode: CloneMode::Full, clone_storage: Some("fast".into()), ..settings() };
    let plan = planned(&full, create(), &facts(false, true)).unwrap();
    assert_eq!(plan.actions[0].payload["storage"], "fast");
    let linked = Settings { clone_mode: CloneMode::Linked, ..settings() };
    let error = planned(&linked, create(), &facts(false, false)).unwrap_err();
    assert!(error.to_string().contains("cannot make linked clones"), "{error}");
    // A linked clone stays on its template's storage.
    let mixed = Settings { clone_storage: Some("fast".into()), ..settings() };
    let plan = planned(&mixed, create(), &facts(false, true)).unwrap();
    assert_eq!(plan.actions[0].payload["storage"], Value::Null);
}

#[test]
fn a_template_on_local_storage_is_not_cloned_elsewhere() {
    let elsewhere = || CreateIntent { host: "pve2".parse().unwrap(), ..create() };
    let error = planned(&settings(), elsewhere(), &facts(false, true)).unwrap_err();
    let Error::Rejected { why, text } = error else {
        panic!("{error:?}");
    };
    assert_eq!(why, Rejection::Unsupported);
    assert!(text.contains("pve1's own storage"), "{text}");
    let plan = planned(&settings(), elsewhere(), &facts(true, true)).unwrap();
    assert_eq!(plan.actions[0].payload["source_node"], "pve1");
    assert_eq!(plan.actions[0].payload["node"], "pve2");
}

#[test]
fn impossible_wishes_are_refused_by_the_field_that_is_wrong() {
    let nic = |network: &str| NicSpec { network: Some(network.into()) };
    let cases = [
        (CreateIntent { root_disk: Some(ByteCount::gib(1)), ..create() }, "disks[0].size: "),
        (CreateIntent { nics: vec![nic("vmbr0"), nic("a b")], ..create() }, "nics[1].network: "),
        (CreateIntent { security_groups: vec!["9x".into()], ..create() }, "security_groups[0]: "),
    ];
    for (intent, field) in cases {
        let error = planned(&settings(), intent, &facts(false, true)).unwrap_err();
        assert!(error.to_string().starts_with(field), "{error}");
    }
}

#[test]
fn a_removal_stops_first_and_a_restart_notes_first() {
    let facts =
        Facts { native: json!({"vmid": 100_000, "node": "pve2", "uuid": "u"}), ..Facts::default() };
    let plan = |intent| settings().plan(&intent, &facts, &[]).unwrap();
    let timeout = Duration::from_secs(90);
    assert_eq!(names(&plan(Intent::Destroy)), [("stop", false), ("destroy", false)]);
    let reboot = plan(Intent::Reboot { timeout });
    assert_eq!(names(&reboot), [("note", true), ("reboot", false)]);
    assert_eq!(reboot.actions[1].deadline, Duration::from_secs(600 + 90));
    assert_eq!(reboot.actions[1].limits[0].key, "host/lab/pve2");
    let shutdown = plan(Intent::Shutdown { timeout, force: true });
    let asked = json!({"timeout_s": 90, "force": true, "before_removal": false});
    assert_eq!(shutdown.actions[0].payload, asked);
    let gently = plan(Intent::DestroyGently { timeout });
    let expected = [("shutdown", false), ("stop", false), ("destroy", false)];
    assert_eq!(names(&gently), expected);
    assert_eq!(gently.actions[0].payload["before_removal"], json!(true));
}

#[test]
fn the_vmid_is_asked_for_from_the_range_without_those_known_to_be_taken() {
    let native = serde_json::to_value(HostFacts::of(vec![100_001, 100_000])).unwrap();
    let facts = Facts {
        host: Some(HostView {
            id: "pve1".parse().unwrap(),
            online: true,
            cores: 1,
            memory: ByteCount::gib(1),
            cores_allocated: 0,
            memory_allocated: ByteCount::default(),
            devices: std::collections::BTreeMap::new(),
            closed: None,
            native,
        }),
        ..Facts::default()
    };
    let intent = Intent::Create(Box::new(create()));
    let requests = settings().ids_needed(&intent, &facts);
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].pool, "proxmox/lab/vmid");
    assert_eq!(requests[0].range, 100_000..=199_999);
    assert_eq!(requests[0].taken, [100_000, 100_001]);
    assert!(settings().ids_needed(&Intent::Start, &facts).is_empty());
}

#[test]
fn an_action_of_another_release_is_refused() {
    let mut plan = planned(&settings(), create(), &facts(false, true)).unwrap();
    plan.actions[0].version = 2;
    let error = crate::actions::load(&plan.actions[0]).map(drop).unwrap_err();
    assert!(matches!(error, Error::Rejected { why: Rejection::Unsupported, .. }));
}
