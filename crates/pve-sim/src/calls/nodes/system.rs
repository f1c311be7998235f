//! The machine below a node: services, packages, logs, disks, devices,
//! certificates. All of it is plausible, and none of it real.

use serde_json::{Value, json};

use crate::calls::Plain;
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::Version;
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path) {
        ("GET", "/services") => services,
        ("GET", "/services/{service}/state") => service_state,
        ("POST", "/services/{service}/start") => |call| service(call, "srvstart"),
        ("POST", "/services/{service}/stop") => |call| service(call, "srvstop"),
        ("POST", "/services/{service}/restart") => |call| service(call, "srvrestart"),
        ("POST", "/services/{service}/reload") => |call| service(call, "srvreload"),
        ("GET", "/netstat") => netstat,
        ("GET", "/syslog") => syslog,
        ("GET", "/journal") => journal,
        ("GET", "/report") => report,
        ("GET", "/apt/update") => |_| Ok(json!([])),
        ("POST", "/apt/update") => |call| Ok(call.task("aptupdate", "", Nothing)),
        ("GET", "/apt/versions") => versions,
        ("GET", "/apt/repositories") => |_| {
            Ok(json!({"files": [], "errors": [], "infos": [], "standard-repos": [], "digest": ""}))
        },
        ("GET", "/apt/changelog") => |_| Ok(json!("")),
        ("GET", "/aplinfo") => |_| Ok(json!([])),
        ("POST", "/aplinfo") => |_| Err(Fail::parameter("template", "no such template")),
        ("GET", "/capabilities/qemu/cpu") => cpus,
        ("GET", "/capabilities/qemu/machines") => machines,
        ("GET", "/certificates/info") => certificates,
        ("GET", "/disks/list") => disks,
        ("GET", "/disks/smart") => {
            |_| Ok(json!({"health": "PASSED", "type": "ata", "attributes": []}))
        }
        ("GET", "/disks/lvm") => |_| Ok(json!({"leaf": 0, "children": []})),
        ("GET", "/disks/lvmthin" | "/disks/zfs" | "/disks/directory") => |_| Ok(json!([])),
        ("GET", "/hardware/pci") => pci,
        ("GET", "/hardware/usb") => |_| Ok(json!([])),
        ("GET", "/hardware/pci/{pci-id-or-mapping}/mdev") => |_| Ok(json!([])),
        ("GET", "/query-url-metadata") => query_url,
        ("GET", "/sdn/zones") => zones,
        ("GET", scan) if scan.starts_with("/scan/") => |_| Ok(json!([])),
        _ => return None,
    })
}

/// A task that takes its time and changes nothing.
struct Nothing;

impl Work for Nothing {
    fn finish(
        &mut self,
        _world: &mut World,
        _log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        Ok(Step::Done)
    }
}

const SERVICES: [(&str, &str); 12] = [
    ("chrony", "chrony, an NTP client/server"),
    ("corosync", "Corosync Cluster Engine"),
    ("cron", "Regular background program processing daemon"),
    ("pve-cluster", "The Proxmox VE cluster filesystem"),
    ("pve-firewall", "Proxmox VE firewall"),
    ("pve-ha-crm", "PVE Cluster HA Resource Manager Daemon"),
    ("pve-ha-lrm", "PVE Local HA Resource Manager Daemon"),
    ("pvedaemon", "PVE API Daemon"),
    ("pveproxy", "PVE API Proxy Server"),
    ("pvescheduler", "Proxmox VE scheduler"),
    ("pvestatd", "PVE Status Daemon"),
    ("sshd", "OpenBSD Secure Shell server"),
];

fn show_service(call: &Call<'_>, name: &str, description: &str) -> Value {
    let stopped = call.world.nodes[call.params.node()].settings.stopped.contains(name);
    let (state, active) = if stopped { ("dead", "inactive") } else { ("running", "active") };
    json!({
        "service": name, "name": name, "desc": description, "state": state, "active-state": active,
        "unit-state": "enabled",
    })
}

fn services(call: &mut Call<'_>) -> Result<Value, Fail> {
    Ok(SERVICES.iter().map(|(name, description)| show_service(call, name, description)).collect())
}

fn find_service(call: &Call<'_>) -> Result<(&'static str, &'static str), Fail> {
    let wanted = call.params.text("service");
    let found = SERVICES.iter().find(|(name, _)| *name == wanted).copied();
    found.ok_or_else(|| Fail::new(format!("unknown service '{wanted}'")))
}

fn service_state(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (name, description) = find_service(call)?;
    Ok(show_service(call, name, description))
}

/// Starts or stops a service at the end of a task.
struct Service {
    node: String,
    name: &'static str,
    stop: bool,
}

impl Work for Service {
    fn finish(
        &mut self,
        world: &mut World,
        log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        log.push(format!(
            "{} service {}",
            if self.stop { "stopping" } else { "starting" },
            self.name
        ));
        if let Some(node) = world.nodes.get_mut(&self.node) {
            if self.stop {
                node.settings.stopped.insert(self.name.to_owned());
            } else {
                node.settings.stopped.remove(self.name);
            }
        }
        Ok(Step::Done)
    }
}

fn service(call: &mut Call<'_>, kind: &str) -> Result<Value, Fail> {
    let (name, _) = find_service(call)?;
    let node = call.params.node().to_owned();
    Ok(call.task(kind, name, Service { node, name, stop: kind == "srvstop" }))
}

/// Traffic of the interfaces of running guests; figures are texts (recorded).
fn netstat(call: &mut Call<'_>) -> Result<Value, Fail> {
    let mut rows = Vec::new();
    for guest in call.world.guests_of(call.params.node()).filter(|guest| guest.process.is_some()) {
        let nets = guest
            .config
            .keys()
            .filter(|key| crate::schema::split_index(key).is_some_and(|(stem, _)| stem == "net"));
        rows.extend(
            nets.map(
                |net| json!({"vmid": guest.vmid.to_string(), "dev": net, "in": "0", "out": "0"}),
            ),
        );
    }
    Ok(Value::Array(rows))
}

/// The lines of the system's log: the newest tasks of the node, oldest first.
fn lines(call: &Call<'_>) -> Vec<String> {
    let node = call.params.node();
    let tasks = call.world.tasks.of_node(node).filter(|task| !task.is_hidden()).take(500);
    let mut lines: Vec<String> = tasks
        .map(|task| {
            let pid = task.upid.pid;
            let date = crate::http::date(task.upid.start);
            let time = date.get(17..25).unwrap_or_default();
            format!(
                "{} {} {time} {node} pvedaemon[{pid}]: <{}> starting task {}",
                &date[8..11],
                &date[5..7],
                task.upid.user,
                task.upid.text()
            )
        })
        .collect();
    lines.reverse();
    lines
}

fn syslog(call: &mut Call<'_>) -> Result<Value, Fail> {
    let lines = lines(call);
    let start = call.params.number("start").unwrap_or(0) as usize;
    let limit = call.params.number("limit").unwrap_or(50) as usize;
    call.total = Some(lines.len());
    let rows = lines.iter().enumerate().skip(start).take(limit);
    Ok(rows.map(|(at, text)| json!({"n": at + 1, "t": text})).collect())
}

fn journal(call: &mut Call<'_>) -> Result<Value, Fail> {
    let lines = lines(call);
    let last = call.params.number("lastentries").map_or(lines.len(), |last| last as usize);
    Ok(lines.iter().skip(lines.len().saturating_sub(last)).map(|text| json!(text)).collect())
}

fn report(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (version, _, repository) = call.world.version.numbers();
    let node = call.params.node();
    Ok(json!(format!(
        "==== general system info ====\n\n# hostname\n{node}\n\n# pveversion --verbose\nproxmox-ve: {version}\npve-manager: {version} (running version: {version}/{repository})\n"
    )))
}

fn versions(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (version, ..) = call.world.version.numbers();
    let names =
        ["proxmox-ve", "pve-manager", "qemu-server", "pve-container", "libpve-storage-perl"];
    let rows = names.iter().map(|name| {
        json!({
            "Package": name, "Title": name, "Description": name, "Arch": "amd64", "Origin": "Proxmox",
            "Priority": "optional", "Section": "admin", "Version": version, "OldVersion": version,
            "CurrentState": "Installed",
        })
    });
    Ok(rows.collect())
}

/// Vendor and name of each model. Source: the list of a running 8.4.21.
const CPUS: &str = include_str!("cpus.txt");

fn cpus(call: &mut Call<'_>) -> Result<Value, Fail> {
    let nine = call.world.version == Version::V9_2;
    let lines = CPUS.lines().filter_map(|line| line.split_once(' '));
    let rows = lines.map(|(vendor, name)| {
        let mut row = json!({"vendor": vendor, "name": name, "custom": 0});
        if nine && name.starts_with("x86-64-v") {
            row["abstract"] = json!(1);
        }
        row
    });
    Ok(rows.collect())
}

fn machines(_: &mut Call<'_>) -> Result<Value, Fail> {
    let versions = [
        "9.2", "9.1", "9.0", "8.2", "8.1", "8.0", "7.2", "7.1", "7.0", "6.2", "6.1", "6.0", "5.2",
        "5.1",
    ];
    let rows = ["q35", "i440fx"].iter().flat_map(|kind| {
        versions.iter().map(move |version| {
            json!({"id": format!("pc-{kind}-{version}"), "type": kind, "version": version})
        })
    });
    Ok(rows.collect())
}

/// The certificate that this server shows, as authority and as leaf.
fn certificates(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    let node = call.params.node();
    let row = |file: &str, subject: &str, san: Value| {
        json!({
            "filename": file, "subject": subject, "issuer": "/CN=Proxmox Virtual Environment/O=PVE Cluster Manager CA",
            "fingerprint": world.fingerprint, "pem": world.certificate, "san": san,
            "public-key-type": "id-ecPublicKey", "public-key-bits": 256,
            "notbefore": world.booted.as_secs(), "notafter": world.booted.as_secs() + 63_072_000,
        })
    };
    Ok(json!([
        row(
            "pve-root-ca.pem",
            "/CN=Proxmox Virtual Environment/O=PVE Cluster Manager CA",
            json!([])
        ),
        row(
            "pve-ssl.pem",
            &format!("/OU=PVE Cluster Node/O=Proxmox Virtual Environment/CN={node}"),
            json!(["127.0.0.1", "localhost", node])
        ),
    ]))
}

fn disks(call: &mut Call<'_>) -> Result<Value, Fail> {
    let size = call.world.storages.get("local").map_or(100 << 30, |storage| storage.capacity);
    Ok(json!([{
        "devpath": "/dev/sda", "by_id_link": "/dev/disk/by-id/ata-SIMULATED", "size": size, "gpt": 1, "used": "LVM",
        "model": "SIMULATED", "serial": "SIM0001", "vendor": "ATA", "wwn": "0x5000000000000001", "health": "PASSED",
        "type": "ssd", "rpm": 0, "wearout": "N/A", "osdid": -1, "osdid-list": null,
    }]))
}

fn pci(_: &mut Call<'_>) -> Result<Value, Fail> {
    Ok(json!([{
        "id": "0000:01:00.0", "class": "0x030000", "vendor": "0x10de", "device": "0x1eb8", "iommugroup": 1,
        "vendor_name": "Simulated Vendor", "device_name": "Simulated Accelerator",
        "subsystem_vendor": "0x10de", "subsystem_device": "0x12a2",
    }]))
}

/// Size, name and type of a file behind an address of this machine.
fn query_url(call: &mut Call<'_>) -> Result<Value, Fail> {
    call.ops.push(Op::Fetch { url: call.params.text("url").to_owned() });
    call.after = Some(|done| match done.first() {
        Some(Done::Fetched(file)) => {
            let mut row = json!({"size": file.size, "filename": file.name});
            if let Some(kind) = &file.mimetype {
                row["mimetype"] = json!(kind);
            }
            row
        }
        _ => Value::Null,
    });
    Ok(Value::Null)
}

fn zones(call: &mut Call<'_>) -> Result<Value, Fail> {
    let added = call.world.sections.all("sdn/zones").map(|(id, _)| id.as_str());
    let all = std::iter::once("localnetwork").chain(added);
    let seen = all.filter(|zone| {
        call.world.may_any(
            call.caller,
            &format!("/sdn/zones/{zone}"),
            &["SDN.Audit", "SDN.Allocate"],
        )
    });
    Ok(seen.map(|zone| json!({"zone": zone, "status": "available"})).collect())
}
