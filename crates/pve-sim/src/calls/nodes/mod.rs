//! `/version` and `/nodes`.

use serde_json::{Map, Value, json};

use super::{Plain, rrd};
use crate::calls::cluster::replication;
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::Version;
use crate::world::World;
use crate::world::guest::Guest;

mod network;
mod power;
mod settings;
mod system;

/// The handlers of this folder.
pub(crate) fn handler(verb: &str, path: &str) -> Option<Plain> {
    if let Some(rest) = path.strip_prefix("/nodes/{node}")
        && let Some(found) = network::handler(verb, rest)
            .or_else(|| settings::handler(verb, rest))
            .or_else(|| system::handler(verb, rest))
            .or_else(|| power::handler(verb, rest))
    {
        return Some(found);
    }
    Some(match (verb, path.strip_prefix("/nodes")?) {
        ("GET", "") => list,
        ("GET", "/{node}") => index,
        ("GET", "/{node}/version") => version,
        ("GET", "/{node}/status") => status,
        ("GET", "/{node}/rrddata") => rrddata,
        ("GET", "/{node}/rrd") => rrd_image,
        ("GET", "/{node}/replication") => |call| Ok(Value::Array(replication::of_node(call))),
        ("GET", "/{node}/replication/{id}/status") => replication::status,
        ("GET", "/{node}/replication/{id}/log") => replication::log,
        (_, rest) if rest.starts_with("/{node}/ceph") => no_ceph,
        _ => return None,
    })
}

/// Every call about Ceph on a host where it is not installed. From memory.
pub(crate) fn no_ceph(_: &mut Call<'_>) -> Result<Value, Fail> {
    Err(Fail::new("binary not installed: /usr/bin/ceph-mon"))
}

/// `GET /version`
pub(crate) fn version(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (version, release, repository) = call.world.version.numbers();
    Ok(json!({"version": version, "release": release, "repoid": repository}))
}

/// Memory that the running guests of a node use, in bytes.
pub(crate) fn memory_in_use(world: &World, node: &str) -> u64 {
    let of_guests: u64 =
        world.guests_of(node).filter(|guest| guest.process.is_some()).map(Guest::memory).sum();
    (1 << 30) + of_guests
}

/// What `/nodes` and `/cluster/resources` say about a node's load.
pub(crate) fn load(world: &World, node: &str, row: &mut Map<String, Value>) {
    let Some(found) = world.nodes.get(node) else { return };
    let local = world.storages.get("local").map_or(100 << 30, |storage| storage.capacity);
    row.insert("maxcpu".into(), json!(found.cpus));
    row.insert("maxmem".into(), json!(found.memory));
    row.insert("cpu".into(), json!(0.01));
    row.insert("mem".into(), json!(memory_in_use(world, node).min(found.memory)));
    row.insert("disk".into(), json!(world.volumes.used("local", node)));
    row.insert("maxdisk".into(), json!(local));
    row.insert("uptime".into(), json!(world.now.saturating_sub(world.booted).as_secs()));
}

fn list(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    let rows = world.nodes.values().map(|node| {
        let mut row = Map::new();
        row.insert("node".into(), json!(node.name));
        row.insert("id".into(), json!(format!("node/{}", node.name)));
        row.insert("type".into(), json!("node"));
        row.insert("level".into(), json!(""));
        row.insert("status".into(), json!(if node.online { "online" } else { "offline" }));
        row.insert("ssl_fingerprint".into(), json!(world.fingerprint));
        if node.online && world.may(call.caller, &format!("/nodes/{}", node.name), "Sys.Audit") {
            load(world, &node.name, &mut row);
        }
        Value::Object(row)
    });
    Ok(Value::Array(rows.collect()))
}

fn index(_: &mut Call<'_>) -> Result<Value, Fail> {
    let names = ["lxc", "network", "qemu", "status", "storage", "tasks", "version"];
    Ok(Value::Array(names.iter().map(|name| json!({"name": name})).collect()))
}

fn status(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    let node = &world.nodes[call.params.node()];
    let used = memory_in_use(world, &node.name).min(node.memory);
    let (version, _, repository) = world.version.numbers();
    let disk = world.storages.get("local").map_or(100 << 30, |storage| storage.capacity);
    let disk_used = world.volumes.used("local", &node.name).min(disk);
    let mut memory = json!({"total": node.memory, "used": used, "free": node.memory - used});
    let mut cpu = json!({
        "cpus": node.cpus, "cores": node.cpus, "sockets": 1, "hvm": "1", "mhz": "2600.000",
        "model": "Simulated Processor", "user_hz": 100, "flags": "fpu vme de pse tsc msr",
    });
    if world.version == Version::V9_2 {
        memory["available"] = json!(node.memory - used);
        cpu["family"] = json!("6");
        cpu["vendor"] = json!("GenuineIntel");
    }
    Ok(json!({
        "cpuinfo": cpu, "memory": memory, "swap": {"total": 0, "used": 0, "free": 0},
        "rootfs": {"total": disk, "used": disk_used, "free": disk - disk_used, "avail": disk - disk_used},
        "ksm": {"shared": 0}, "loadavg": ["0.10", "0.05", "0.01"], "cpu": 0.01, "wait": 0, "idle": 0,
        "uptime": world.now.saturating_sub(world.booted).as_secs(),
        "pveversion": format!("pve-manager/{version}/{repository}"),
        "kversion": "Linux 6.8.12-1-pve #1 SMP PREEMPT_DYNAMIC",
        "current-kernel": {"sysname": "Linux", "release": "6.8.12-1-pve", "version": "#1 SMP PREEMPT_DYNAMIC", "machine": "x86_64"},
        "boot-info": {"mode": "legacy-bios"},
    }))
}

fn rrddata(call: &mut Call<'_>) -> Result<Value, Fail> {
    let node = call.params.node();
    let found = &call.world.nodes[node];
    let used = memory_in_use(call.world, node).min(found.memory);
    let disk = call.world.storages.get("local").map_or(100 << 30, |storage| storage.capacity);
    let disk_used = call.world.volumes.used("local", node).min(disk);
    let (memory, cpus) = (found.memory, found.cpus);
    let nine = call.world.version == Version::V9_2;
    Ok(rrd::series(call, node, |wave| {
        let mut point = vec![
            ("cpu", json!(0.01 + 0.04 * wave)),
            ("iowait", json!(0.001 * wave)),
            ("loadavg", json!(0.1 + 0.4 * wave)),
            ("maxcpu", json!(cpus)),
            ("memtotal", json!(memory)),
            ("memused", json!(used as f64 * (0.95 + 0.05 * wave))),
            ("netin", json!(1000.0 * wave)),
            ("netout", json!(800.0 * wave)),
            ("roottotal", json!(disk)),
            ("rootused", json!(disk_used as f64)),
            ("swaptotal", json!(0)),
            ("swapused", json!(0)),
        ];
        if nine {
            point.push(("memavailable", json!(memory - used)));
            point.push(("arcsize", json!(0)));
            let pressures = [
                "pressurecpusome",
                "pressureiosome",
                "pressureiofull",
                "pressurememorysome",
                "pressurememoryfull",
            ];
            point.extend(pressures.map(|name| (name, json!(0.0))));
        }
        point
    }))
}

fn rrd_image(call: &mut Call<'_>) -> Result<Value, Fail> {
    Ok(rrd::image(&format!("pve2-node/{}", call.params.node())))
}
