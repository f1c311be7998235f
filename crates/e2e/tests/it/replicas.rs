//! Two real servers on one PostgreSQL: what one leaves, the other finishes.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use client::Client;
use client::wire::{CreateInstance, OperationState};
use e2e::served::Site;
use model::OperationId;
use pve_sim::StorageSeed;
use pve_sim::{Effect, Fault, GuestSeed, NodeSeed, RequestRecord, Simulator, TaskDurations};
use secrecy::ExposeSecret as _;
use store::testing::{Cluster, DataBase};

const SETTINGS: &str = "templates = { name = \"debian\" }\n\
    limits = { clones_per_host = 16, tasks_per_host = 32, requests = 16 }\n\
    timeouts = { request_s = 31, settle_s = 31, action_s = 600, clone_s = 600 }";
/// A lease of two minutes, two settle times, and a machine that is busy.
const SETTLE: Duration = Duration::from_secs(420);
/// How long each writing call to the cluster is held.
const HELD: Duration = Duration::from_secs(5);

async fn cluster() -> Simulator {
    Simulator::builder()
        .random_seed(7)
        .durations(TaskDurations::all(Duration::from_millis(500)))
        .node(NodeSeed::new("pve1"))
        .node(NodeSeed::new("pve2"))
        .storage(StorageSeed::new("nfs", "nfs"))
        .template(GuestSeed::new(9000, "debian").on("pve1").disk("nfs", 2048))
        .firewall_group("web")
        .start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .await
        .unwrap()
}

/// A replica on this data base, with this key.
fn replica(simulator: &Simulator, data_base: &DataBase, key: &Path) -> Site {
    let url = data_base.url();
    let store = format!("[store]\npostgres = {:?}\nkey_file = {key:?}", url.expose_secret());
    Site::with_store(simulator, simulator.token(), SETTINGS, &store).unwrap()
}

fn key(folder: &Path) -> std::path::PathBuf {
    let key = folder.join("shared.key");
    std::fs::write(&key, "a1".repeat(32)).unwrap();
    key
}

fn request(name: &str) -> CreateInstance {
    let mut request = CreateInstance::new(name, "debian");
    request.cores = Some(1);
    request.memory_bytes = Some(512 << 20);
    request.disks = vec![client::wire::Disk { size_bytes: 4 << 30 }];
    request.security_groups = vec!["web".to_owned()];
    request
}

async fn until_images(client: &Client) {
    while client.images().await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn settled(client: &Client, operations: &[OperationId]) {
    let begun = Instant::now();
    for id in operations {
        loop {
            let state = client.operation(*id).await.map(|operation| operation.state);
            if matches!(state, Ok(OperationState::Succeeded)) {
                break;
            }
            assert!(begun.elapsed() < SETTLE, "operation {id}: {state:?}");
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}

fn writes(simulator: &Simulator) -> Vec<RequestRecord> {
    simulator.requests().into_iter().filter(|request| request.method != "GET").collect()
}

/// The kinds of writing calls that are being worked on.
fn pending(simulator: &Simulator) -> Vec<String> {
    let pending = writes(simulator).into_iter().filter(|request| request.status.is_none());
    pending.map(|request| format!("{} {}", request.method, request.path)).collect()
}

/// The vmid that a clone asks for.
fn id(request: &RequestRecord) -> Option<u64> {
    let id = &request.parameters["newid"];
    id.as_u64().or_else(|| id.as_str()?.parse().ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_stood_still_sends_nothing_for_what_another_has_finished() {
    let (simulator, data_base) = (cluster().await, Cluster::shared().data_base());
    let folder = tempfile::tempdir().unwrap();
    let key = key(folder.path());
    let first = replica(&simulator, &data_base, &key);
    let mut stopped = first.serve().unwrap();
    let client = first.open(&mut stopped).await.unwrap();
    until_images(&client).await;
    let mut doomed = Vec::new();
    for number in 0..2 {
        let accepted = client.create_instance(&request(&format!("doomed-{number}"))).await;
        doomed.push(accepted.unwrap());
    }
    settled(&client, &doomed.iter().map(|accepted| accepted.operation).collect::<Vec<_>>()).await;

    // Every writing call takes a while, and operations begin one after another:
    // they are at all steps when their process stops.
    for (method, path) in [("POST", "/**"), ("PUT", "/**"), ("DELETE", "/**")] {
        let held = Fault::on(method, path).always().then(Effect::Delay(HELD));
        simulator.fault(held);
    }
    let mut operations = Vec::new();
    for number in 0..12 {
        let accepted = client.create_instance(&request(&format!("made-{number}"))).await.unwrap();
        operations.push(accepted.operation);
        if let Some(doomed) = doomed.get(number / 4).filter(|_| number % 4 == 3) {
            operations.push(client.delete_instance(doomed.instance).await.unwrap().operation);
        }
        tokio::time::sleep(HELD / 2).await;
    }
    stopped.signal("STOP").unwrap();
    let held = pending(&simulator);
    println!("report: replicas: {} calls were pending at SIGSTOP: {held:?}", held.len());
    assert!(held.len() > 1, "{held:?}");

    let second = replica(&simulator, &data_base, &key);
    std::fs::create_dir_all(second.state()).unwrap();
    std::fs::copy(first.state().join("admin.token"), second.state().join("admin.token")).unwrap();
    let mut other = second.serve().unwrap();
    let client = second.open(&mut other).await.unwrap();
    settled(&client, &operations).await;
    let last = simulator.requests().last().map_or(0, |request| request.sequence);
    stopped.signal("CONT").unwrap();
    let begun = Instant::now();
    while first.log_count("beginning a new epoch") == 0
        || first.log_count("another executor has taken over") == 0
    {
        assert!(begun.elapsed() < Duration::from_secs(120), "{}", first.log_tail(30));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // It works again, on what is new. All that it sends is about that.
    let late = first.client(false).unwrap().create_instance(&request("late")).await.unwrap();
    settled(&client, &[late.operation]).await;
    let after: Vec<_> =
        writes(&simulator).into_iter().filter(|request| request.sequence > last).collect();
    let vmid = after.iter().find_map(id).expect("the new one was cloned").to_string();
    for request in &after {
        let about_it = request.path.contains(&format!("/{vmid}")) || id(request).is_some();
        assert!(about_it, "{} {}", request.method, request.path);
    }
    assert_eq!(after.iter().filter(|request| id(request).is_some()).count(), 1);
    // Each was made once.
    let mut made: Vec<u64> =
        writes(&simulator).iter().filter(|request| request.effect).filter_map(id).collect();
    let count = made.len();
    made.sort_unstable();
    made.dedup();
    assert_eq!((made.len(), count), (15, 15));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minute_without_the_data_base_loses_nothing() {
    let (simulator, server) = (cluster().await, Cluster::own());
    let data_base = server.data_base();
    let folder = tempfile::tempdir().unwrap();
    let site = replica(&simulator, &data_base, &key(folder.path()));
    let mut serving = site.serve().unwrap();
    let client = site.open(&mut serving).await.unwrap();
    until_images(&client).await;
    let mut accepted = Vec::new();
    for number in 0..6 {
        accepted.push(client.create_instance(&request(&format!("made-{number}"))).await.unwrap());
    }
    tokio::task::spawn_blocking(|| server.down()).await.unwrap();
    let away = Instant::now();
    while away.elapsed() < Duration::from_secs(60) {
        // What is known is still shown; what is new is refused for now.
        client.instance(accepted[0].instance).await.unwrap();
        let refused = client.create_instance(&request("refused")).await.unwrap_err();
        assert!(refused.is_away(), "{refused}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    tokio::task::spawn_blocking(|| server.up()).await.unwrap();
    let operations: Vec<_> = accepted.iter().map(|accepted| accepted.operation).collect();
    settled(&client, &operations).await;
    assert!(serving.ended().unwrap().is_none());
    let clones = writes(&simulator).iter().filter(|request| request.effect).count();
    assert!(clones >= 6);
    serving.terminate().await.unwrap();
}
