//! What the old provider has left: taken over, and served under its old ids.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use ::client::wire::OperationState;
use e2e::served::Site;
use pve::firewall::Rule;
use pve_sim::{GuestSeed, NodeSeed, Script, Simulator, StorageSeed, TaskDurations};
use serde_json::{Value, json};
use std::time::Duration;
use store::testing::{Cluster, DataBase};

use super::client::Client;
use super::{act, guest, until};

/// A guest as the old provider leaves it: its SMBIOS strings were replaced as a
/// whole, so that it has no UUID.
fn made_by_node(vmid: u32, name: &str, running: bool) -> GuestSeed {
    // ds=nocloud-net;s=http://192.0.2.7:4001/ci/
    let serial = "ZHM9bm9jbG91ZC1uZXQ7cz1odHRwOi8vMTkyLjAuMi43OjQwMDEvY2kvMTAwLw==";
    let smbios = format!("base64=1,serial={serial}");
    let seed = GuestSeed::new(vmid, name).on("pve1").disk("nfs", 2048);
    let seed = seed.option("smbios1", &smbios).option("description", "of the old provider");
    GuestSeed { running, cores: 2, memory_mib: 4096, ..seed }
}

async fn cluster() -> Simulator {
    let quick = Duration::from_millis(100);
    let foreign = GuestSeed::new(103, "somebody-elses").on("pve1").disk("nfs", 2048);
    let simulator = Simulator::builder()
        .stats_interval(Duration::from_millis(200))
        .durations(TaskDurations::all(quick))
        .script(Script { agent_after: quick, shutdown_after: quick, ..Script::default() })
        .node(NodeSeed::new("pve1"))
        .storage(StorageSeed::new("nfs", "nfs"))
        .template(GuestSeed::new(9000, "debian").on("pve1").disk("nfs", 2048))
        .guest(made_by_node(100, "VISA-INSTANCE-1", true))
        .guest(made_by_node(101, "VISA-INSTANCE-2", false))
        .guest(made_by_node(104, "VISA-INSTANCE-6", false))
        .guest(foreign)
        .firewall_group("visa-default")
        .firewall_group("visa-ssh")
        .start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .await
        .expect("the simulator starts");
    let client = super::cluster_client(&simulator);
    let rules = client.node("pve1").qemu(100.try_into().expect("a vmid")).firewall().rules();
    for group in ["visa-default", "visa-ssh"] {
        // As the old provider made them: switched off.
        let mut rule = Rule::new("group", group);
        rule.enable = false;
        rules.create(&rule, None, None).await.expect("a rule");
    }
    simulator
}

/// All rows of the old tables.
fn old_rows(data_base: &DataBase) -> String {
    ["provider.flavour", "provider.vm", "ci.vm"]
        .map(|table| data_base.ask(&format!("SELECT * FROM {table} ORDER BY id")))
        .join("\n--\n")
}

fn metadata_env(folder: &Path, socket: &Path, name: &str) -> String {
    let path = folder.join("metadata.env");
    let lines = [
        ("HOST", socket.display().to_string()),
        ("DATABASE", name.to_owned()),
        ("SCHEMA", "ci".to_owned()),
        ("USERNAME", "postgres".to_owned()),
    ];
    let lines =
        lines.map(|(key, value)| format!("VISA_WEB_PROVIDER_PROXMOX_METADATA_{key}={value}\n"));
    std::fs::write(&path, lines.concat()).expect("written");
    path.display().to_string()
}

fn run(site: &Site, arguments: &[&str]) -> String {
    let ran = site.command(arguments).output().expect("it runs");
    let (out, error) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{arguments:?}: {out}\n{error}");
    out.into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_old_provider_left_is_taken_over_once_and_served_under_its_ids() {
    let simulator = cluster().await;
    let data_base = Cluster::shared().data_base();
    data_base.sql(include_str!("old_tables.sql"));
    let before = old_rows(&data_base);
    let address =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port").local_addr().unwrap();
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("secret.key");
    std::fs::write(&key, "a1".repeat(32)).expect("written");
    let socket = data_base.cluster().socket_folder();
    let site = Site::with_environment(
        &simulator,
        address,
        &[
            ("SERVER_AUTH_TOKEN", "visa-token"),
            ("CONNECTOR_HOST", &socket.display().to_string()),
            ("CONNECTOR_DATABASE", data_base.name()),
            ("CONNECTOR_SCHEMA", "provider"),
            ("CONNECTOR_USERNAME", "postgres"),
            ("KEY_FILE", &key.display().to_string()),
        ],
    )
    .expect("a site");
    let metadata = metadata_env(folder.path(), socket, data_base.name());
    let import = ["visa", "import", "--metadata-env", &metadata];

    // Before there is any table of ours: nothing is written.
    let planned = run(&site, &import);
    check_plan(&planned);
    assert!(
        planned.contains("6 would be taken over, 0 are there already, 6 would be"),
        "{planned}"
    );
    assert_eq!(data_base.ask("SELECT to_regclass('provider.instances') IS NULL"), "t");

    run(&site, &["migrate", "--config", ".env"]);
    let planned = run(&site, &import);
    assert!(planned.contains("Nothing was changed"), "{planned}");
    let done = run(&site, &[&import[..], &["--apply"]].concat());
    check_plan(&done);
    let again = run(&site, &[&import[..], &["--apply"]].concat());
    assert!(again.contains("0 were taken over, 6 were there already, 6 were left out"), "{again}");
    assert_eq!(old_rows(&data_base), before);

    let mut server = site.serve().expect("it starts");
    let native = site.open(&mut server).await.expect("it opens");
    let visa = Client { address, token: "visa-token".to_owned() };
    served(&visa, &simulator).await;
    documents(&visa, site.metadata()).await;
    while native.operations(&Default::default()).await.expect("operations").iter().any(
        |operation| {
            assert!(operation.state != OperationState::Failed, "{operation:?}");
            operation.state == OperationState::Running
        },
    ) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    live_on(&visa, &simulator).await;
    let after = run(&site, &import);
    assert!(after.contains("left out: it was taken over and is deleted since"), "{after}");
    assert_eq!(old_rows(&data_base), before);
    server.kill().await.expect("it served until now");
}

fn check_plan(text: &str) {
    let line = |begin: &str| {
        let found = text.lines().find(|line| line.starts_with(begin));
        found.unwrap_or_else(|| panic!("no line {begin}: {text}")).to_owned()
    };
    for (begin, part) in [
        ("flavour  1 ", "take over"),
        ("flavour  2 ", "take over"),
        ("flavour  9 ", "left out: expected at least 1 core"),
        ("flavour  a-flavour", "left out: its id cannot be kept"),
        ("instance 100 ", "take over"),
        ("instance 101 ", "take over"),
        ("instance 102 ", "left out: the cluster has no VM"),
        ("instance 103 ", "left out: the VM there is called \"somebody-elses\""),
        ("instance 104 ", "take over"),
        ("instance 9000 ", "left out: a template"),
        ("instance qemu/105 ", "left out: its id is no vmid"),
    ] {
        assert!(line(begin).contains(part), "{text}");
    }
    assert!(text.contains("its template \"9001\" is gone"), "{text}");
    assert!(text.contains("was ACTIVE, is stopped"), "{text}");
}

async fn served(visa: &Client, simulator: &Simulator) {
    let row = until(visa, "100", "ACTIVE", &["ERROR", "BUILDING", "STOPPED", "UNKNOWN"]).await;
    assert_eq!(
        [&row["name"], &row["flavourId"], &row["imageId"], &row["createdAt"]],
        ["VISA-INSTANCE-1", "1", "9000", "2021-03-04T00:00:00.000Z"]
    );
    let row = until(visa, "101", "STOPPED", &["ERROR", "BUILDING", "ACTIVE", "UNKNOWN"]).await;
    assert_eq!([&row["flavourId"], &row["imageId"]], ["2", "9001"]);
    assert_eq!(visa.instance("104").await["flavourId"], "a-flavour-with-a-very-long-id");
    for stranger in ["102", "103", "9000", "777"] {
        let path = format!("/api/instances/{stranger}");
        assert_eq!(visa.call("DELETE", &path, None).await.status, 404, "{stranger}");
    }
    let flavour = visa.get("/api/flavours/m1.large").await;
    assert_eq!(
        flavour,
        json!({"id": "m1.large", "name": "large", "cpus": 8, "disk": 0, "ram": 16384})
    );
    visa.check_lists().await;
    let groups = async || visa.get("/api/instances/100/security_groups").await;
    let begun = std::time::Instant::now();
    while groups().await == json!([]) {
        assert!(begun.elapsed() < Duration::from_secs(60), "no groups");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The newest rule first, as Proxmox lists them.
    assert_eq!(groups().await, json!(["visa-ssh", "visa-default"]));
    let found = guest(simulator, "VISA-INSTANCE-1").expect("a guest");
    let description = found["config"]["description"].as_str().expect("a description");
    assert!(description.contains("of the old provider"), "{description}");
}

async fn documents(visa: &Client, metadata: SocketAddr) {
    let door = Client { address: metadata, token: visa.token.clone() };
    let text = door.call("GET", "/ci/100/user-data", None).await;
    assert_eq!(text.status, 200);
    assert!(text.body.contains("echo \"hi\" > /tmp/x"), "{text:?}");
    let text = door.call("GET", "/ci/100/meta-data", None).await.body;
    assert_eq!(text, "meta:\n  id: '1'\n  owner: doe\nproject_id: bench\n");
    assert_eq!(door.call("GET", "/ci/100/vendor-data", None).await.status, 200);
    // Not taken over, without documents, or written from outside.
    for (method, path) in [
        ("GET", "/ci/103/user-data"),
        ("GET", "/ci/104/user-data"),
        ("GET", "/ci/777/user-data"),
        ("GET", "/ci/100/network-config"),
    ] {
        assert_eq!(door.call(method, path, None).await.status, 404, "{path}");
    }
    assert_ne!(door.call("POST", "/ci/100", Some(&json!({"userdata": "x"}))).await.status, 200);
    assert_ne!(door.call("DELETE", "/ci/100", None).await.status, 200);
}

/// The guests are ours: changed, deleted, and their ids never given again.
async fn live_on(visa: &Client, simulator: &Simulator) {
    act(visa, "101", "start", "Starting instance").await;
    until(visa, "101", "ACTIVE", &["ERROR", "STOPPED"]).await;
    let path = "/api/instances/100/security_groups/remove";
    let removed = visa.call("POST", path, Some(&json!({"name": "visa-ssh"}))).await;
    assert_eq!(removed.status, 200, "{removed:?}");
    let found = guest(simulator, "VISA-INSTANCE-1").expect("a guest");
    let rules = found["firewall"]["rules"].as_array().expect("rules").clone();
    let on: Vec<&Value> =
        rules.iter().filter(|rule| rule["enable"] == "1").map(|rule| &rule["action"]).collect();
    assert_eq!(on, ["visa-default"], "{rules:?}");
    let deleted = visa.call("DELETE", "/api/instances/100", None).await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
    let begun = std::time::Instant::now();
    while visa.call("GET", "/api/instances/100", None).await.status != 404 {
        assert!(begun.elapsed() < Duration::from_secs(120), "{}", visa.instance("100").await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(guest(simulator, "VISA-INSTANCE-1").is_none());
    assert!(guest(simulator, "somebody-elses").is_some());
}
