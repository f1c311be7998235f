//! What is missing for what somebody wants to do.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;

use pve::VmId;
use pve::diagnose::{Diagnosis, Operation, Scope, needs};
use serde_json::Value;

use crate::server::{Request, Server, data, soon};

/// A cluster of this release, where the caller has these privileges on these
/// paths and nothing elsewhere.
async fn cluster(version: &'static str, rights: &'static [(&'static str, &'static str)]) -> Server {
    Server::start(move |request: &Request| {
        if request.target.ends_with("/version") {
            return data(&format!("{{\"version\":\"{version}\"}}"));
        }
        let path = request.target.split("path=").nth(1).unwrap();
        let path = path.split('&').next().unwrap().replace("%2F", "/");
        let held = rights.iter().filter(|(at, _)| *at == path);
        let held: serde_json::Map<_, _> =
            held.map(|(_, privilege)| ((*privilege).to_owned(), 1.into())).collect();
        data(&serde_json::json!({ path: held }).to_string())
    })
    .await
}

async fn diagnose(server: &Server, operations: &[Operation], scope: &Scope) -> Diagnosis {
    soon(server.client().diagnose(operations, scope)).await.unwrap()
}

fn guest() -> Scope {
    Scope::new().guest(VmId::new(100).unwrap())
}

#[tokio::test]
async fn what_is_missing_is_told_with_its_path() {
    let server = cluster("8.4.21", &[("/vms/100", "VM.PowerMgmt")]).await;
    let wanted = [Operation::Power, Operation::Snapshot, Operation::Rollback];
    let diagnosis = diagnose(&server, &wanted, &guest()).await;
    assert_eq!(diagnosis.release, (8, 4));
    assert!(diagnosis.allows(Operation::Power) && !diagnosis.allows(Operation::Snapshot));
    assert!(!diagnosis.is_complete());
    assert_eq!(
        diagnosis.to_string(),
        "to make and delete snapshots: VM.Snapshot on /vms/100\n\
         to go back to snapshots: VM.Snapshot on /vms/100, or VM.Snapshot.Rollback on /vms/100"
    );
    // One question for the one path.
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn guests_of_a_pool_can_be_made_with_rights_on_the_pool() {
    let rights = &[
        ("/pool/ci", "VM.Allocate"),
        ("/pool/ci", "VM.Config.CPU"),
        ("/pool/ci", "VM.Config.Disk"),
        ("/pool/ci", "VM.Config.HWType"),
        ("/pool/ci", "VM.Config.Memory"),
        ("/pool/ci", "VM.Config.Network"),
        ("/pool/ci", "VM.Config.Options"),
        ("/storage/lvm", "Datastore.AllocateSpace"),
    ];
    let scope = Scope::new().pool("ci").storage("lvm").storage("ssd").bridge("vmbr0");
    let server = cluster("8.4.21", rights).await;
    let diagnosis = diagnose(&server, &[Operation::CreateVm], &scope).await;
    // Rights on the pool do not count for storages and bridges.
    assert_eq!(
        diagnosis.to_string(),
        "to create virtual machines: Datastore.AllocateSpace on /storage/ssd; \
         SDN.Use on /sdn/zones/localnetwork/vmbr0"
    );
    let grants = diagnosis.to_grant();
    assert_eq!(grants["/storage/ssd"], BTreeSet::from(["Datastore.AllocateSpace"]));
    assert_eq!(grants["/sdn/zones/localnetwork/vmbr0"], BTreeSet::from(["SDN.Use"]));
    // 7.4 knows no rights on bridges.
    let server = cluster("7.4-3", rights).await;
    let diagnosis = diagnose(&server, &[Operation::CreateVm], &scope).await;
    assert_eq!(
        diagnosis.to_string(),
        "to create virtual machines: Datastore.AllocateSpace on /storage/ssd"
    );
}

#[tokio::test]
async fn the_agent_needs_other_rights_on_9() {
    let old = &[("/vms/100", "VM.Monitor")];
    let new = &[("/vms/100", "VM.GuestAgent.Audit")];
    let wanted = [Operation::AgentInfo, Operation::AgentExec, Operation::Monitor];
    for (version, rights, allowed) in [
        ("7.4-3", old, &wanted[..]),
        ("8.4.21", old, &wanted[..]),
        ("8.4.21", new, &[]),
        ("9.2.11", old, &[]),
        ("9.2.11", new, &wanted[..1]),
    ] {
        let server = cluster(version, rights).await;
        let diagnosis = diagnose(&server, &wanted, &guest()).await;
        for operation in wanted {
            let told = diagnosis.allows(operation);
            assert_eq!(told, allowed.contains(&operation), "{version}: {operation}");
        }
    }
}

#[tokio::test]
async fn a_right_can_take_several_grants() {
    let half = &[("/", "Sys.Audit"), ("/storage/local", "Datastore.AllocateTemplate")];
    let scope = Scope::new().node("pve1").storage("local");
    let server = cluster("8.4.21", half).await;
    let diagnosis = diagnose(&server, &[Operation::Download], &scope).await;
    assert_eq!(
        diagnosis.to_string(),
        "to download files: Sys.AccessNetwork on /nodes/pve1, or Sys.Modify on /"
    );
}

#[tokio::test]
async fn somebody_else_can_be_asked_about() {
    let server = cluster("9.2.11", &[("/nodes/pve1", "Sys.Audit")]).await;
    let (wanted, scope) = ([Operation::SeeNodes], Scope::new().node("pve1"));
    let client = server.client();
    let asked = client.diagnose_user("ci@pve!bot", &wanted, &scope);
    assert_eq!(soon(asked).await.unwrap().to_string(), "nothing is missing");
    let target = server.requests().pop().unwrap().target;
    assert!(target.ends_with("?path=%2Fnodes%2Fpve1&userid=ci%40pve%21bot"), "{target}");
}

/// The privileges that we name for an operation on a release.
fn named(operation: Operation, release: (u32, u32)) -> BTreeSet<&'static str> {
    let needs = needs(operation, &guest().node("n").pool("p"), release);
    let grants = needs.into_iter().flat_map(|need| need.alternatives).flatten();
    grants.map(|grant| grant.privilege).collect()
}

#[test]
fn every_operation_needs_something() {
    for operation in Operation::ALL {
        for release in [(7, 4), (8, 4), (9, 2)] {
            assert!(!named(*operation, release).is_empty(), "{operation} on {release:?}");
        }
    }
}

/// A call that stands for an operation, where the schema has its rule.
const CALLS: &[(Operation, &str, &str)] = &[
    (Operation::SeeGuests, "GET", "/nodes/{node}/qemu/{vmid}/status/current"),
    (Operation::CloneGuest, "POST", "/nodes/{node}/qemu/{vmid}/clone"),
    (Operation::CloneGuest, "POST", "/nodes/{node}/lxc/{vmid}/clone"),
    (Operation::MakeTemplate, "POST", "/nodes/{node}/qemu/{vmid}/template"),
    (Operation::DeleteGuest, "DELETE", "/nodes/{node}/qemu/{vmid}"),
    (Operation::DeleteGuest, "DELETE", "/nodes/{node}/lxc/{vmid}"),
    (Operation::Power, "POST", "/nodes/{node}/qemu/{vmid}/status/start"),
    (Operation::ResizeDisks, "PUT", "/nodes/{node}/qemu/{vmid}/resize"),
    (Operation::MoveDisks, "POST", "/nodes/{node}/qemu/{vmid}/move_disk"),
    (Operation::CloudInit, "PUT", "/nodes/{node}/qemu/{vmid}/cloudinit"),
    (Operation::Firewall, "POST", "/nodes/{node}/qemu/{vmid}/firewall/rules"),
    (Operation::Snapshot, "POST", "/nodes/{node}/lxc/{vmid}/snapshot"),
    (Operation::Rollback, "POST", "/nodes/{node}/qemu/{vmid}/snapshot/{snapname}/rollback"),
    (Operation::Migrate, "POST", "/nodes/{node}/qemu/{vmid}/migrate"),
    (Operation::Console, "POST", "/nodes/{node}/qemu/{vmid}/vncproxy"),
    (Operation::AgentInfo, "GET", "/nodes/{node}/qemu/{vmid}/agent/network-get-interfaces"),
    (Operation::AgentExec, "POST", "/nodes/{node}/qemu/{vmid}/agent/exec"),
    (Operation::AgentFileRead, "GET", "/nodes/{node}/qemu/{vmid}/agent/file-read"),
    (Operation::AgentFileWrite, "POST", "/nodes/{node}/qemu/{vmid}/agent/file-write"),
    (Operation::AgentFileSystems, "POST", "/nodes/{node}/qemu/{vmid}/agent/fstrim"),
    (Operation::Monitor, "POST", "/nodes/{node}/qemu/{vmid}/monitor"),
    (Operation::SeeStorages, "GET", "/nodes/{node}/storage/{storage}/status"),
    (Operation::AllocateVolumes, "POST", "/nodes/{node}/storage/{storage}/content"),
    (Operation::Upload, "POST", "/nodes/{node}/storage/{storage}/upload"),
    (Operation::Download, "POST", "/nodes/{node}/storage/{storage}/download-url"),
    (Operation::DefineStorages, "POST", "/storage"),
    (Operation::SeeNodes, "GET", "/nodes/{node}/status"),
    (Operation::NodePower, "POST", "/nodes/{node}/status"),
    (Operation::NodeNetwork, "POST", "/nodes/{node}/network"),
    (Operation::NodeShell, "POST", "/nodes/{node}/termproxy"),
    (Operation::Pools, "POST", "/pools"),
    (Operation::HighAvailability, "POST", "/cluster/ha/resources"),
];

/// Every text in a rule that looks like a privilege.
fn in_rule(rule: &Value, found: &mut BTreeSet<String>) {
    match rule {
        Value::String(text) if text.contains('.') => drop(found.insert(text.clone())),
        Value::Array(parts) => parts.iter().for_each(|part| in_rule(part, found)),
        _ => {}
    }
}

#[test]
fn the_rights_are_those_of_the_schemas() {
    for (file, release) in [("pve-schema-8.4.json", (8, 4)), ("pve-schema-9.json", (9, 2))] {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
        let Ok(text) = std::fs::read_to_string(folder.join(file)) else {
            // Not `eprintln!`, which the test harness swallows.
            let _ = writeln!(std::io::stderr(), "\n*** SKIPPED: {file} is absent ***\n");
            continue;
        };
        let schema: Value = serde_json::from_str(&text).unwrap();
        let methods = schema["methods"].as_array().unwrap();
        let method = |verb: &str, path: &str| {
            let found = methods.iter().find(|m| m["method"] == verb && m["path"] == path);
            found.unwrap_or_else(|| panic!("{release:?}: no {verb} {path}"))
        };
        let known = &method("GET", "/access/roles/{roleid}")["returns"]["properties"];
        for operation in Operation::ALL {
            for privilege in named(*operation, release) {
                assert!(known.get(privilege).is_some(), "{release:?}: {privilege}");
            }
        }
        for (operation, verb, path) in CALLS {
            let mut wanted = BTreeSet::new();
            in_rule(&method(verb, path)["permissions"]["check"], &mut wanted);
            let named = named(*operation, release);
            let ours: BTreeSet<String> = named.into_iter().map(str::to_owned).collect();
            let missed: Vec<_> = wanted.difference(&ours).collect();
            assert!(missed.is_empty(), "{release:?}: {operation}: {missed:?}");
        }
    }
}
