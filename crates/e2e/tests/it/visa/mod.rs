//! A VISA server that is served by the real binary over a simulated cluster.

mod boot;
mod client;
mod cut_off;
mod devices;
mod import;
mod transcript;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use ::client::wire::NewFlavour;
use e2e::served::Site;
use pve::property::Smbios1;
use pve_sim::{Effect, Fault, GuestSeed, NodeSeed, Script, Simulator, StorageSeed, TaskDurations};
use serde_json::{Value, json};

use client::Client;

async fn cluster() -> Simulator {
    let quick = Duration::from_millis(100);
    Simulator::builder()
        .stats_interval(Duration::from_millis(200))
        .durations(TaskDurations::all(quick))
        .script(Script { agent_after: quick, shutdown_after: quick, ..Script::default() })
        .node(NodeSeed::new("pve1"))
        .node(NodeSeed::new("pve2"))
        .storage(StorageSeed::new("nfs", "nfs"))
        .template(GuestSeed::new(9000, "debian").on("pve1").disk("nfs", 2048))
        .guest(GuestSeed::new(500, "somebody-elses").on("pve2").disk("nfs", 2048))
        .firewall_group("visa-default")
        .firewall_group("visa-ssh")
        .start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .await
        .expect("the simulator starts")
}

/// A client of the library for the cluster itself.
fn cluster_client(simulator: &Simulator) -> pve::Client {
    let (id, secret) = simulator.token().split_once('=').expect("a token");
    let endpoint = simulator.url().parse().expect("a URL");
    let mut config = pve::Config::new([endpoint], pve::Auth::token(id, secret.to_owned()));
    config.tls = pve::Tls::pinned([simulator.fingerprint().parse().expect("a fingerprint")]);
    pve::Client::new(config).expect("a client")
}

/// A free port for the door, and its table of the configuration.
fn door(folder: &Path) -> (SocketAddr, String) {
    let token = folder.join("token");
    std::fs::write(&token, "visa-token\n").expect("written");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    let table =
        format!("[visa]\nlisten = \"{address}\"\ntoken_file = {token:?}\ndelete_grace_s = 5\n");
    (address, table)
}

fn guest(simulator: &Simulator, name: &str) -> Option<Value> {
    let world = simulator.dump();
    let guests = world["guests"].as_object().expect("guests");
    guests.values().find(|guest| guest["config"]["name"] == name).cloned()
}

/// Waits for a state, and takes none of the others.
async fn until(visa: &Client, id: &str, wanted: &str, never: &[&str]) -> Value {
    let begun = Instant::now();
    loop {
        let row = visa.instance(id).await;
        if row["state"] == wanted {
            return row;
        }
        assert!(!never.iter().any(|state| row["state"] == *state), "{row}");
        assert!(begun.elapsed() < Duration::from_secs(120), "not {wanted}: {row}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn act(visa: &Client, id: &str, action: &str, text: &str) {
    let answer = visa.call("POST", &format!("/api/instances/{id}/{action}"), None).await;
    assert_eq!((answer.status, answer.json()), (200, json!({"message": text})), "{action}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn visas_instance_lives_its_life_while_replies_of_proxmox_are_lost() {
    let simulator = cluster().await;
    let before = simulator.dump();
    let folder = tempfile::tempdir().expect("a folder");
    let (address, door) = door(folder.path());
    let site = Site::with_store(&simulator, simulator.token(), "", &door).expect("a site");
    let mut server = site.serve().expect("it starts");
    let native = site.open(&mut server).await.expect("it opens");
    let visa = Client { address, token: "visa-token".to_owned() };
    let flavour = add_flavour(&native).await;
    visa.until_images().await;
    assert_eq!(visa.get("/api/images/9000").await["name"], "debian");

    // Each of these effects happens, and its answer is lost.
    for (method, path) in [
        ("POST", "/nodes/*/qemu/*/clone"),
        ("POST", "/nodes/*/qemu/*/status/start"),
        ("POST", "/nodes/*/qemu/*/status/reboot"),
        ("POST", "/nodes/*/qemu/*/status/shutdown"),
        ("DELETE", "/nodes/*/qemu/*"),
    ] {
        simulator.fault(Fault::on(method, path).times(1).then(Effect::LoseReply));
    }
    let id = create(&visa, &flavour).await;
    let row = until(&visa, &id, "ACTIVE", &["ERROR", "STOPPED"]).await;
    assert_eq!((&row["imageId"], &row["flavourId"]), (&json!("9000"), &json!(flavour)));
    check_guest(&simulator);
    visa.check_lists().await;

    act(&visa, &id, "reboot", "Rebooting instance").await;
    until(&visa, &id, "ACTIVE", &["ERROR", "STOPPED"]).await;
    act(&visa, &id, "shutdown", "Shutting down instance").await;
    until(&visa, &id, "STOPPED", &["ERROR"]).await;
    act(&visa, &id, "start", "Starting instance").await;
    until(&visa, &id, "ACTIVE", &["ERROR", "STOPPED"]).await;
    change_groups(&visa, &simulator, &id).await;

    for stranger in ["500", "9000"] {
        let path = format!("/api/instances/{stranger}");
        assert_eq!(visa.call("DELETE", &path, None).await.status, 404);
        assert_eq!(visa.call("POST", &format!("{path}/shutdown"), None).await.status, 404);
    }
    let path = format!("/api/instances/{id}");
    assert_eq!(
        visa.call("DELETE", &path, None).await.json(),
        json!({"message": "Deleted instance"})
    );
    let begun = Instant::now();
    while visa.call("GET", &path, None).await.status != 404 {
        assert!(begun.elapsed() < Duration::from_secs(120), "{}", visa.get(&path).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(simulator.dump()["guests"], before["guests"]);
    assert_eq!(visa.get("/api/instances/identifiers").await, json!([]));
    server.kill().await.expect("it served until now");
}

async fn add_flavour(native: &::client::Client) -> String {
    let flavour = NewFlavour {
        name: "small".to_owned(),
        cores: 2,
        memory_bytes: 1 << 30,
        disk_bytes: Some(4 << 30),
        devices: Vec::new(),
    };
    native.create_flavour(&flavour).await.expect("a flavour").id.to_string()
}

async fn create(visa: &Client, flavour: &str) -> String {
    let body = json!({
        "name": "VISA-INSTANCE-77", "imageId": "9000", "flavourId": flavour,
        "securityGroups": ["visa-ssh", "visa-default"],
        "metadata": {"id": "77", "owner": "doe", "proposals": "", "instruments": null},
        "bootCommand": "echo \"hi\" > /tmp/x",
    });
    let created = visa.call("POST", "/api/instances", Some(&body)).await;
    assert_eq!(created.status, 201, "{created:?}");
    let id = created.json()["id"].as_str().expect("a text").to_owned();
    assert_eq!(visa.instance(&id).await["state"], "BUILDING");
    id
}

/// The guest has what the flavour, the groups and the documents say.
fn check_guest(simulator: &Simulator) {
    let guest = guest(simulator, "VISA-INSTANCE-77").expect("a guest");
    let rules = guest["firewall"]["rules"].as_array().expect("rules");
    let groups: Vec<&Value> = rules.iter().map(|rule| &rule["action"]).collect();
    assert_eq!(groups, ["visa-ssh", "visa-default"]);
    let smbios: Smbios1 =
        guest["config"]["smbios1"].as_str().expect("smbios1").parse().expect("properties");
    assert!(smbios.text("serial").is_some_and(|serial| serial.starts_with("ds=nocloud-net;s=")));
    assert!(smbios.uuid().is_some(), "the clone's identity stays");
}

async fn change_groups(visa: &Client, simulator: &Simulator, id: &str) {
    let path = format!("/api/instances/{id}/security_groups");
    let name = json!({"name": "visa-ssh"});
    let removed = visa.call("POST", &format!("{path}/remove"), Some(&name)).await;
    assert_eq!(removed.json(), json!({"message": "Removed security group"}));
    let added = visa.call("POST", &path, Some(&name)).await;
    assert_eq!(added.json(), json!({"message": "Added security group"}));
    assert_eq!(visa.get(&path).await, json!(["visa-default", "visa-ssh"]));
    let guest = guest(simulator, "VISA-INSTANCE-77").expect("a guest");
    let rules = guest["firewall"]["rules"].as_array().expect("rules");
    let groups: Vec<&Value> = rules.iter().map(|rule| &rule["action"]).collect();
    assert_eq!(groups, ["visa-default", "visa-ssh"]);
}
