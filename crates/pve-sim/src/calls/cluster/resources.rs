//! `/cluster/resources`: what there is, as the last statistics round saw it.

use serde_json::{Map, Value, json};

use crate::calls::{Plain, nodes};
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::Version;
use crate::world::World;
use crate::world::access::Caller;
use crate::world::guest::{Guest, Kind};

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    (verb == "GET" && path == "/resources").then_some(resources)
}

/// A guest as `/cluster/resources` and pools show it: the state of the last
/// statistics round (facts 65 and 72).
pub(crate) fn guest_row(world: &World, guest: &Guest) -> Value {
    let kind = if guest.kind == Kind::Qemu { "qemu" } else { "lxc" };
    let round = world.last_round();
    let online = world.nodes.get(&guest.node).is_some_and(|node| node.online);
    let mut row = json!({"id": format!("{kind}/{}", guest.vmid), "type": kind, "vmid": guest.vmid, "node": guest.node});
    if let Some(pool) = &guest.pool {
        row["pool"] = json!(pool);
    }
    if !world.round_saw(guest.created) || !online {
        row["status"] = json!("unknown");
        if let Some(lock) = guest.lock() {
            row["lock"] = json!(lock);
        }
        return row;
    }
    let now_running = guest.process.is_some();
    let running = if world.round_saw(guest.changed) { now_running } else { !now_running };
    let uptime =
        guest.process.as_ref().map_or(0, |process| round.saturating_sub(process.since).as_secs());
    row["status"] = json!(if running { "running" } else { "stopped" });
    row["name"] = json!(guest.name());
    row["template"] = json!(u8::from(guest.is_template()));
    row["maxcpu"] = json!(guest.cpus());
    row["maxmem"] = json!(guest.memory());
    row["maxdisk"] = json!(guest.disk_size());
    row["mem"] = json!(if running { guest.memory() / 4 } else { 0 });
    row["uptime"] = json!(if running { uptime } else { 0 });
    for counter in ["cpu", "disk", "diskread", "diskwrite", "netin", "netout"] {
        row[counter] = json!(0);
    }
    if let Some(tags) = guest.config.get("tags") {
        row["tags"] = json!(tags);
    }
    if let Some(lock) = guest.lock() {
        row["lock"] = json!(lock);
    }
    if world.version == Version::V9_2 {
        row["memhost"] = json!(if running { guest.memory() / 4 } else { 0 });
    }
    row
}

fn node_row(world: &World, caller: &Caller, name: &str) -> Value {
    let node = &world.nodes[name];
    let mut row = Map::new();
    row.insert("id".into(), json!(format!("node/{name}")));
    row.insert("type".into(), json!("node"));
    row.insert("node".into(), json!(name));
    row.insert("status".into(), json!(if node.online { "online" } else { "offline" }));
    row.insert("level".into(), json!(""));
    row.insert("cgroup-mode".into(), json!(2));
    if node.online && world.may(caller, &format!("/nodes/{name}"), "Sys.Audit") {
        nodes::load(world, name, &mut row);
    }
    Value::Object(row)
}

/// A storage of a node as `/cluster/resources` shows it.
pub(crate) fn storage_row(world: &World, node: &str, id: &str) -> Value {
    let storage = &world.storages[id];
    let available =
        !storage.offline_on.contains(node) && world.nodes.get(node).is_some_and(|node| node.online);
    let content: Vec<&str> = storage.content.iter().map(String::as_str).collect();
    json!({
        "id": format!("storage/{node}/{id}"), "type": "storage", "storage": id, "node": node,
        "plugintype": storage.kind, "content": content.join(","), "shared": u8::from(storage.shared),
        "status": if available { "available" } else { "unknown" },
        "disk": used(world, node, id), "maxdisk": storage.capacity,
    })
}

/// Bytes in use; a storage that takes nothing more is full to the last byte.
pub(crate) fn used(world: &World, node: &str, id: &str) -> u64 {
    let storage = &world.storages[id];
    if storage.full {
        storage.capacity
    } else {
        world.volumes.used(id, &storage.place(node)).min(storage.capacity)
    }
}

fn resources(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    let caller = call.caller;
    let wanted = call.params.get("type");
    let wants = |kind: &str| wanted.is_none_or(|wanted| wanted == kind);
    let mut rows = Vec::new();
    if wanted.is_none() {
        for id in
            world.pools.keys().filter(|id| world.may(caller, &format!("/pool/{id}"), "Pool.Audit"))
        {
            rows.push(json!({"id": format!("/pool/{id}"), "type": "pool", "pool": id}));
        }
    }
    if wants("vm") {
        let seen = |guest: &&Guest| world.may(caller, &format!("/vms/{}", guest.vmid), "VM.Audit");
        rows.extend(world.guests.values().filter(seen).map(|guest| guest_row(world, guest)));
    }
    if wants("node") {
        rows.extend(world.nodes.keys().map(|name| node_row(world, caller, name)));
    }
    if wants("storage") {
        for storage in world.storages.values() {
            let path = format!("/storage/{}", storage.id);
            if !world.may_any(caller, &path, &["Datastore.Audit", "Datastore.AllocateSpace"]) {
                continue;
            }
            let on = world.nodes.keys().filter(|node| storage.is_on(node));
            rows.extend(on.map(|node| storage_row(world, node, &storage.id)));
        }
    }
    if wants("sdn") || wanted == Some("network") {
        let old = world.version < Version::V9_2;
        if world.may(caller, "/sdn/zones/localnetwork", "SDN.Audit")
            && (old || wanted != Some("sdn"))
        {
            rows.extend(world.nodes.keys().map(|node| zone_row(old, node)));
        }
    }
    Ok(Value::Array(rows))
}

fn zone_row(old: bool, node: &str) -> Value {
    if old {
        return json!({"id": format!("sdn/{node}/localnetwork"), "type": "sdn", "sdn": "localnetwork", "node": node, "status": "ok"});
    }
    json!({
        "id": format!("network/{node}/zone/localnetwork"), "type": "network", "network": "localnetwork",
        "network-type": "zone", "node": node, "status": "ok",
    })
}
