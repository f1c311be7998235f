//! `/cluster`: status, resources, ids, tasks, options.

use serde_json::{Map, Value, json};

use super::{Plain, nodes, tasks};
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::Version;
use crate::world::World;
use crate::world::access::Caller;
use crate::world::guest::{Guest, Kind};

/// The handlers of this file.
pub(crate) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path.strip_prefix("/cluster")?) {
        ("GET", "/status") => status,
        ("GET", "/resources") => resources,
        ("GET", "/nextid") => next_id,
        ("GET", "/tasks") => task_list,
        ("GET", "/options") => options,
        ("PUT", "/options") => set_options,
        _ => return None,
    })
}

fn status(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    let mut rows = Vec::new();
    if let Some(name) = &world.cluster_name {
        rows.push(json!({
            "type": "cluster", "id": "cluster", "name": name, "version": 3, "nodes": world.nodes.len(),
            "quorate": u8::from(world.quorate),
        }));
    }
    for (index, node) in world.nodes.values().enumerate() {
        rows.push(json!({
            "type": "node", "id": format!("node/{}", node.name), "name": node.name, "ip": node.address,
            "nodeid": if world.cluster_name.is_some() { index + 1 } else { 0 }, "level": "",
            "online": u8::from(node.online), "local": u8::from(node.name == world.entry),
        }));
    }
    Ok(Value::Array(rows))
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
        let old = world.version == Version::V8_4;
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

fn next_id(call: &mut Call<'_>) -> Result<Value, Fail> {
    if let Some(wanted) = call.params.get("vmid") {
        return match call.world.guests.get(&call.params.vmid()) {
            Some(guest) => {
                let kind = if guest.kind == Kind::Qemu { "VM" } else { "CT" };
                Err(Fail::parameter("vmid", format!("{kind} {wanted} already exists")))
            }
            None => Ok(json!(wanted)),
        };
    }
    let free =
        (100..=999_999_999_u32).find(|vmid| !call.world.guests.contains_key(vmid)).unwrap_or(100);
    Ok(json!(free.to_string()))
}

fn task_list(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    let seen = world.tasks.newest().filter(|task| {
        let own = task.upid.user.split('!').next() == Some(call.caller.user.as_str());
        !task.is_hidden()
            && (own || world.may(call.caller, &format!("/nodes/{}", task.upid.node), "Sys.Audit"))
    });
    // pvestatd keeps the newest 25 tasks of each node (source: PVE/API2/Cluster.pm).
    let limit = 25 * world.nodes.len().max(1);
    let rows = seen.take(limit).map(|task| {
        let mut row = tasks::row(task, false);
        if let Some(row) = row.as_object_mut() {
            row.remove("pid");
            row.remove("pstart");
        }
        row
    });
    Ok(rows.collect())
}

fn options(call: &mut Call<'_>) -> Result<Value, Fail> {
    let mut row = json!({"mac_prefix": "BC:24:11", "allowed-tags": []});
    for (key, value) in &call.world.options {
        row[key] = json!(value);
    }
    Ok(row)
}

fn set_options(call: &mut Call<'_>) -> Result<Value, Fail> {
    for (key, value) in &call.params.texts {
        match key.as_str() {
            "delete" => {
                for name in value.split([',', ';', ' ']) {
                    call.world.options.remove(name);
                }
            }
            "digest" => {}
            _ => {
                call.world.options.insert(key.clone(), value.clone());
            }
        }
    }
    Ok(Value::Null)
}
