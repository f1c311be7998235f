//! Answers recorded on running servers, where they are at hand: what is typed
//! must read them all, and every refusal must be judged as such.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use pve::property::DiskSize;
use pve::qemu::{ConfigChange, DeleteRequest, MigrateRequest, MoveDiskRequest, ShutdownRequest};
use pve::tasks::TaskFilter;
use pve::{Client, Error, Method, VmId};
use serde::Deserialize;

use crate::server::{Act, Server, soon};

#[derive(Deserialize)]
struct Row {
    name: String,
    request: Asked,
    response: Answered,
}

#[derive(Deserialize)]
struct Asked {
    method: String,
    path: String,
}

#[derive(Clone, Deserialize)]
struct Answered {
    status: u16,
    reason: String,
    #[serde(default)]
    body: Option<String>,
}

fn rows(file: &str) -> Option<Vec<Row>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = folder.join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        // Not `eprintln!`, which the test harness swallows.
        let mut stderr = std::io::stderr();
        let _ = writeln!(stderr, "\n*** SKIPPED: {} is absent ***\n", path.display());
        return None;
    };
    let rows = text.lines().map(|line| serde_json::from_str(line).unwrap());
    Some(rows.collect())
}

/// Calls the typed method for a recorded request. `None`: there is none.
async fn typed(client: &Client, method: &str, path: &str) -> Option<Result<(), Error>> {
    let decoded: Vec<String> = path
        .strip_prefix("/api2/json/")?
        .split('/')
        .map(|part| percent_encoding::percent_decode_str(part).decode_utf8().unwrap().into())
        .collect();
    let parts: Vec<&str> = decoded.iter().map(String::as_str).collect();
    let cluster = client.cluster();
    let result = match (method, parts.as_slice()) {
        ("GET", ["version"]) => client.version().await.map(drop),
        ("GET", ["access", "permissions"]) => client.access().permissions(None).await.map(drop),
        ("GET", ["cluster", "status"]) => cluster.status().await.map(drop),
        ("GET", ["cluster", "resources"]) => cluster.resources(None).await.map(drop),
        ("GET", ["cluster", "nextid"]) => cluster.next_id().await.map(drop),
        ("GET", ["cluster", "tasks"]) => cluster.tasks().await.map(drop),
        ("GET", ["cluster", "options"]) => cluster.options().await.map(drop),
        ("GET", ["cluster", "firewall", "options"]) => cluster.firewall().options().await.map(drop),
        ("GET", ["cluster", "firewall", "groups"]) => cluster.firewall().groups().await.map(drop),
        ("GET", ["cluster", "firewall", "groups", name]) => {
            cluster.firewall().group_rules(name).list().await.map(drop)
        }
        ("GET", ["cluster", "firewall", "rules"]) => {
            cluster.firewall().rules().list().await.map(drop)
        }
        ("GET", ["nodes"]) => client.nodes().await.map(drop),
        ("GET", ["pools"]) => client.pools().list().await.map(drop),
        ("GET", ["pools", name]) => client.pools().get(name).await.map(drop),
        ("POST", ["pools"]) => client.pools().create("x", None).await,
        ("DELETE", ["pools", name]) => client.pools().delete(name).await,
        (_, ["nodes", node, rest @ ..]) => return on_node(client, node, method, rest).await,
        _ => return None,
    };
    Some(result)
}

async fn on_node(
    client: &Client,
    name: &str,
    method: &str,
    rest: &[&str],
) -> Option<Result<(), Error>> {
    let node = client.node(name);
    let vmid = VmId::new(500)?;
    let result = match (method, rest) {
        ("GET", ["status"]) => node.status().await.map(drop),
        ("GET", ["tasks"]) => node.tasks(&TaskFilter::default()).await.map(drop),
        ("GET", ["tasks", upid, "status"]) => {
            client.task(&upid.parse().ok()?).status().await.map(drop)
        }
        ("GET", ["tasks", upid, "log"]) => {
            client.task(&upid.parse().ok()?).log(0, 50).await.map(drop)
        }
        ("DELETE", ["tasks", upid]) => client.task(&upid.parse().ok()?).stop().await,
        ("GET", ["qemu"]) => node.qemu_list().await.map(drop),
        ("POST", ["qemu"]) => node.create_qemu(vmid, ()).await.map(drop),
        ("GET", ["storage"]) => node.storages().await.map(drop),
        ("GET", ["storage", name, "status"]) => node.storage(name).status().await.map(drop),
        ("GET", ["storage", name, "content"]) => {
            node.storage(name).content(None, None).await.map(drop)
        }
        ("POST", ["storage", name, "content"]) => {
            let storage = node.storage(name);
            storage.allocate(vmid, "x", DiskSize::from_mib(64), None).await.map(drop)
        }
        ("DELETE", ["storage", name, "content", volid]) => {
            node.storage(name).delete(volid).await.map(drop)
        }
        ("POST", ["storage", name, "download-url"]) => {
            node.storage(name).download(&Default::default()).await.map(drop)
        }
        (_, ["qemu", id, rest @ ..]) => {
            let vm = node.qemu(id.parse().ok()?);
            return match on_guest(&vm, method, rest).await {
                None => agent(&vm, method, rest).await,
                some => some,
            };
        }
        _ => return None,
    };
    Some(result)
}

async fn on_guest(vm: &pve::qemu::Qemu, method: &str, rest: &[&str]) -> Option<Result<(), Error>> {
    let change = ConfigChange::new();
    let result = match (method, rest) {
        ("DELETE", []) => vm.delete(DeleteRequest::default()).await.map(drop),
        ("GET", ["config"]) => match vm.config().await {
            Ok(config) => {
                config.nics().unwrap();
                config.volumes().unwrap();
                assert!(config.digest.is_some());
                Ok(())
            }
            Err(error) => Err(error),
        },
        ("PUT", ["config"]) => vm.configure(&change).await,
        ("POST", ["config"]) => vm.configure_task(&change).await.map(drop),
        ("GET", ["pending"]) => vm.pending().await.map(drop),
        ("PUT", ["cloudinit"]) => vm.regenerate_cloudinit().await,
        ("GET", ["status", "current"]) => vm.status().await.map(drop),
        ("POST", ["status", "start"]) => vm.start().await.map(drop),
        ("POST", ["status", "stop"]) => vm.stop().await.map(drop),
        ("POST", ["status", "shutdown"]) => vm.shutdown(ShutdownRequest::default()).await.map(drop),
        ("POST", ["status", "reboot"]) => vm.reboot(None).await.map(drop),
        ("POST", ["status", "reset"]) => vm.reset().await.map(drop),
        ("POST", ["status", "suspend"]) => vm.suspend(false).await.map(drop),
        ("POST", ["status", "resume"]) => vm.resume().await.map(drop),
        ("POST", ["clone"]) => {
            let request = pve::qemu::CloneRequest::new(VmId::new(501)?);
            vm.clone_to(&request).await.map(drop)
        }
        ("GET", ["feature"]) => vm.feature("clone").await.map(drop),
        ("POST", ["template"]) => vm.make_template().await.map(drop),
        ("PUT", ["resize"]) => vm.resize("scsi0", "+1G", None).await.map(drop),
        ("POST", ["move_disk"]) => vm.move_disk(&MoveDiskRequest::default()).await.map(drop),
        ("PUT", ["unlink"]) => vm.unlink(&["unused0"], false).await,
        ("POST", ["migrate"]) => vm.migrate(&MigrateRequest::default()).await.map(drop),
        ("GET", ["snapshot"]) => vm.snapshots().await.map(drop),
        ("POST", ["snapshot"]) => vm.create_snapshot("x", None, false).await.map(drop),
        ("DELETE", ["snapshot", name]) => vm.snapshot(name).delete(false).await.map(drop),
        ("GET", ["snapshot", name, "config"]) => vm.snapshot(name).config().await.map(drop),
        ("PUT", ["snapshot", name, "config"]) => vm.snapshot(name).describe("x").await,
        ("POST", ["snapshot", name, "rollback"]) => {
            vm.snapshot(name).rollback(false).await.map(drop)
        }
        ("GET", ["firewall", "options"]) => vm.firewall().options().await.map(drop),
        ("PUT", ["firewall", "options"]) => vm.firewall().set_options(()).await,
        ("GET", ["firewall", "rules"]) => vm.firewall().rules().list().await.map(drop),
        ("DELETE", ["firewall", "rules", pos]) => {
            vm.firewall().rules().delete(pos.parse().ok()?, None).await
        }
        _ => return None,
    };
    Some(result)
}

async fn agent(vm: &pve::qemu::Qemu, method: &str, rest: &[&str]) -> Option<Result<(), Error>> {
    let agent = vm.agent();
    let result = match (method, rest) {
        ("POST", ["agent", "ping"]) => agent.ping().await,
        ("GET", ["agent", "network-get-interfaces"]) => agent.network_interfaces().await.map(drop),
        ("GET", ["agent", "get-osinfo"]) => agent.os_info().await.map(drop),
        ("POST", ["agent", "exec"]) => agent.exec(&["x"], None).await.map(drop),
        ("GET", ["agent", "exec-status"]) => agent.exec_status(1).await.map(drop),
        ("GET", ["agent", "file-read"]) => agent.file_read("x").await.map(drop),
        ("POST", ["agent", "file-write"]) => agent.file_write("x", b"").await,
        _ => return None,
    };
    Some(result)
}

/// A refusal must be classed by its status, and keep its text.
fn check_refusal(row: &Row, error: &Error) {
    let name = &row.name;
    let Answered { status, reason, .. } = &row.response;
    match status {
        401 => assert!(matches!(error, Error::Unauthenticated(_)), "{name}: {error:?}"),
        595..=599 => {
            let open = matches!(error, Error::Ambiguous { .. } | Error::Unavailable { .. });
            assert!(open, "{name}: {error:?}");
        }
        _ => {
            let refused = matches!(
                error,
                Error::Rejected(_) | Error::Busy { .. } | Error::Unavailable { .. }
            );
            assert!(refused && !error.may_have_happened(), "{name}: {error:?}");
            assert!(error.to_string().contains(reason.as_str()), "{name}: {error}");
        }
    }
    if *status == 500 && (reason.contains("does not exist") || reason.contains("no such user")) {
        assert!(error.is_not_found(), "{name}: {error:?}");
    }
    if reason.contains("already exists") {
        assert!(error.already_exists(), "{name}: {error:?}");
    }
    if *status == 400
        && row.response.body.as_deref().is_some_and(|body| body.contains("\"errors\""))
    {
        assert!(error.invalid_parameters().next().is_some(), "{name}: {error:?}");
    }
}

async fn replay(file: &str, at_least: usize) {
    let Some(rows) = rows(file) else {
        return;
    };
    let current: Arc<Mutex<Answered>> = Arc::new(Mutex::new(rows[0].response.clone()));
    let shown = current.clone();
    let server = Server::start(move |_| {
        let answered = shown.lock().unwrap().clone();
        let body = answered.body.unwrap_or_default();
        Act::Send(crate::server::answer(answered.status, &answered.reason, &body))
    })
    .await;
    let client = server.client();
    let mut read = 0;
    for row in &rows {
        let (status, method) = (row.response.status, row.request.method.as_str());
        *current.lock().unwrap() = row.response.clone();
        if let Some(result) = soon(typed(&client, method, &row.request.path)).await {
            match result {
                Ok(()) => assert!(status < 300, "{}", row.name),
                Err(error) if status >= 400 => check_refusal(row, &error),
                Err(error) => panic!("{}: {error}\n{:?}", row.name, row.response.body),
            }
            read += 1;
        } else if let (Some(path), Ok(method)) =
            (row.request.path.strip_prefix("/api2/json/"), Method::from_bytes(method.as_bytes()))
            && !path.contains("//")
            && method != Method::HEAD
        {
            let result = soon(client.request(method, path.trim_matches('/'), ())).await;
            match result {
                Ok(reply) => drop(reply.value().unwrap()),
                Err(error) => check_refusal(row, &error),
            }
        }
    }
    eprintln!("{file}: {read} of {} answers read by typed calls", rows.len());
    assert!(read >= at_least, "{read}");
}

#[tokio::test]
async fn answers_of_8_4_are_read() {
    replay("pve-8.4-recorded.jsonl", 400).await;
}

#[tokio::test]
async fn answers_of_9_2_are_read() {
    replay("pve-9.2-recorded.jsonl", 400).await;
}
