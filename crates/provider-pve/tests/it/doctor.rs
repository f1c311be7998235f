//! What `doctor` says about clusters in several states of health.

use provider_pve::{Finding, Level, Settings, diagnose};
use pve_sim::{Builder, Change, GuestSeed, Simulator, Version};

use crate::lab::{RELEASES, client, cluster, settings};

/// What a role needs, on either release.
fn needed(version: Version) -> Vec<&'static str> {
    let agent = match version {
        Version::V7_4 | Version::V8_4 => "VM.Monitor",
        Version::V9_2 => "VM.GuestAgent.Audit",
    };
    vec![
        "VM.Allocate",
        "VM.Audit",
        "VM.Clone",
        "VM.Config.CPU",
        "VM.Config.Disk",
        "VM.Config.HWType",
        "VM.Config.Memory",
        "VM.Config.Network",
        "VM.Config.Options",
        "VM.Migrate",
        "VM.PowerMgmt",
        "VM.Snapshot",
        "VM.Snapshot.Rollback",
        "Datastore.AllocateSpace",
        "Datastore.Audit",
        "SDN.Use",
        "Sys.Audit",
        agent,
    ]
}

const TOKEN: &str = "innkeeper@pve!house";

/// A cluster with a token of its own that has these rights everywhere.
async fn with_rights(builder: Builder, version: Version, rights: &[&str]) -> Simulator {
    builder
        .version(version)
        .user("innkeeper@pve", "password")
        .token(TOKEN, "12345678-1234-4123-8123-123456789abc", false)
        .role("Innkeeper", rights)
        .acl("/", "innkeeper@pve", "Innkeeper")
        .start("127.0.0.1:0".parse().unwrap())
        .await
        .unwrap()
}

fn agented() -> Builder {
    let template = GuestSeed { agent: false, ..GuestSeed::new(9010, "alpine") };
    cluster().template(template.on("pve2").disk("local", 1024))
}

async fn findings(sim: &Simulator, settings: &Settings) -> Vec<Finding> {
    let token = format!("{TOKEN}=12345678-1234-4123-8123-123456789abc");
    diagnose(&client(sim, &token), settings).await
}

fn problems(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|finding| finding.level == Level::Problem).collect()
}

fn about<'a>(findings: &'a [Finding], what: &str) -> Vec<&'a Finding> {
    findings.iter().filter(|finding| finding.what == what).collect()
}

#[tokio::test]
async fn a_healthy_cluster_has_no_problems() {
    for version in RELEASES {
        let sim = with_rights(agented(), version, &needed(version)).await;
        let findings = findings(&sim, &settings()).await;
        assert!(problems(&findings).is_empty(), "{findings:#?}");
        for what in ["api", "version", "quorum", "rights", "templates", "storage", "vmids"] {
            assert!(!about(&findings, what).is_empty(), "{what}: {findings:#?}");
        }
        let templates = about(&findings, "templates");
        assert!(
            templates.iter().any(|f| f.detail.contains("debian-12")
                && f.detail.contains("usable on pve1, pve2, pve3")
                && f.detail.contains("guest agent on")),
            "{templates:#?}"
        );
        assert!(
            templates.iter().any(|f| f.level == Level::Warning
                && f.detail.contains("alpine")
                && f.detail.contains("usable on pve2; guest agent off")),
            "its agent is off: {templates:#?}"
        );
    }
}

#[tokio::test]
async fn each_right_that_is_missing_is_named() {
    for version in RELEASES {
        for missing in needed(version) {
            let mut rights = needed(version);
            rights.retain(|right| *right != missing);
            let sim = with_rights(cluster(), version, &rights).await;
            let findings = findings(&sim, &settings()).await;
            let problems = problems(&findings);
            assert!(
                problems.iter().any(|finding| finding.detail.contains(missing)),
                "{missing}: {findings:#?}"
            );
            assert!(problems.iter().all(|finding| !finding.hint.is_empty()), "{problems:#?}");
        }
    }
}

#[tokio::test]
async fn rights_on_a_pool_are_enough_for_guests() {
    let rights = needed(Version::V8_4);
    let only = ["Sys.Audit", "Datastore.AllocateSpace", "Datastore.Audit", "SDN.Use"];
    let mut on_pool = rights.clone();
    on_pool.extend(["Pool.Audit"]);
    let sim = cluster()
        .pool("guests")
        .user("innkeeper@pve", "password")
        .token(TOKEN, "12345678-1234-4123-8123-123456789abc", false)
        .role("House", &only)
        .role("Guests", &on_pool)
        .role("Template", &["VM.Audit", "VM.Clone"])
        .acl("/", "innkeeper@pve", "House")
        .acl("/pool/guests", "innkeeper@pve", "Guests")
        .acl("/vms/9000", "innkeeper@pve", "Template")
        .start("127.0.0.1:0".parse().unwrap())
        .await
        .unwrap();
    let mut settings = settings();
    settings.pool = Some("guests".into());
    let findings = findings(&sim, &settings).await;
    assert!(problems(&findings).is_empty(), "{findings:#?}");
}

#[tokio::test]
async fn wrong_credentials_are_one_problem() {
    let sim = with_rights(cluster(), Version::V8_4, &["VM.Audit"]).await;
    let wrong = format!("{TOKEN}=00000000-0000-4000-8000-000000000000");
    let findings = diagnose(&client(&sim, &wrong), &settings()).await;
    let [finding] = findings.as_slice() else { panic!("{findings:#?}") };
    assert_eq!((finding.level, finding.what), (Level::Problem, "api"));
    assert!(finding.hint.contains("token"), "{finding:?}");
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_is_one_problem() {
    let sim = with_rights(cluster(), Version::V8_4, &["VM.Audit"]).await;
    let client = client(&sim, &format!("{TOKEN}=x"));
    drop(sim);
    let findings = diagnose(&client, &settings()).await;
    let [finding] = findings.as_slice() else { panic!("{findings:#?}") };
    assert_eq!((finding.level, finding.what), (Level::Problem, "api"));
    assert!(finding.hint.contains("8006"), "{finding:?}");
}

#[tokio::test]
async fn lost_quorum_full_storages_and_foreign_vmids_are_told() {
    let sim = with_rights(cluster(), Version::V8_4, &needed(Version::V8_4)).await;
    sim.change(&Change::Quorum(false));
    sim.change(&Change::StorageFull("ceph".into(), true));
    sim.change(&Change::NodeOnline("pve3".into(), false));
    sim.foreign_guest("pve1", 100_003, "theirs", None);
    let findings = findings(&sim, &settings()).await;
    let has = |what, level, text: &str| {
        let of = about(&findings, what);
        assert!(
            of.iter().any(|f| f.level == level && f.detail.contains(text)),
            "{what} {text}: {findings:#?}"
        );
    };
    has("quorum", Level::Problem, "not quorate");
    has("quorum", Level::Warning, "pve3");
    has("storage", Level::Warning, "ceph");
    has("vmids", Level::Warning, "100003");
}

#[tokio::test]
async fn settings_that_name_what_is_not_there_are_problems() {
    let sim = with_rights(cluster(), Version::V8_4, &needed(Version::V8_4)).await;
    let mut settings = settings();
    settings.clone_storage = Some("nosuch".into());
    settings.templates.name = Some("nothing-*".into());
    settings.vmid_range = [100_000, 100_099];
    let findings = findings(&sim, &settings).await;
    let problems = problems(&findings);
    assert!(problems.iter().any(|f| f.detail.contains("nosuch")), "{findings:#?}");
    assert!(problems.iter().any(|f| f.what == "templates"), "{findings:#?}");
    let vmids = about(&findings, "vmids");
    assert!(vmids[0].hint.contains("100 guests can be made in a day"), "{vmids:#?}");
}
