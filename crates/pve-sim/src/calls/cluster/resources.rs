//! `/cluster/resources`: what there is, as the last statistics round saw it.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::calls::nodes;
use crate::engine::Params;
use crate::fail::Fail;
use crate::schema::Version;
use crate::world::World;
use crate::world::access::Caller;
use crate::world::guest::{Guest, Kind};

/// A guest as `/cluster/resources` and pools show it.
#[derive(Serialize)]
pub(crate) struct GuestRow<'a> {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    vmid: u32,
    node: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<&'a str>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock: Option<&'a str>,
    #[serde(flatten)]
    seen: Option<Seen<'a>>,
}

/// What the last statistics round saw of a guest.
#[derive(Serialize)]
struct Seen<'a> {
    name: String,
    template: u8,
    maxcpu: u64,
    maxmem: u64,
    maxdisk: u64,
    mem: u64,
    uptime: u64,
    cpu: u8,
    disk: u8,
    diskread: u8,
    diskwrite: u8,
    netin: u8,
    netout: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memhost: Option<u64>,
}

/// A guest with the state of the last statistics round (facts 65 and 72).
pub(crate) fn guest_row<'a>(world: &World, guest: &'a Guest) -> GuestRow<'a> {
    let kind = if guest.kind == Kind::Qemu { "qemu" } else { "lxc" };
    let online = world.nodes.get(&guest.node).is_some_and(|node| node.online);
    let mut row = GuestRow {
        id: format!("{kind}/{}", guest.vmid),
        kind,
        vmid: guest.vmid,
        node: &guest.node,
        pool: guest.pool.as_deref(),
        status: "unknown",
        lock: guest.lock(),
        seen: None,
    };
    if !world.round_saw(guest.created) || !online {
        return row;
    }
    let now_running = guest.process.is_some();
    let running = if world.round_saw(guest.changed) { now_running } else { !now_running };
    row.status = if running { "running" } else { "stopped" };
    row.seen = Some(seen(world, guest, running));
    row
}

fn seen<'a>(world: &World, guest: &'a Guest, running: bool) -> Seen<'a> {
    let round = world.last_round();
    let uptime =
        guest.process.as_ref().map_or(0, |process| round.saturating_sub(process.since).as_secs());
    let memory = guest.memory();
    let mem = if running { memory / 4 } else { 0 };
    Seen {
        name: guest.name(),
        template: u8::from(guest.is_template()),
        maxcpu: guest.cpus(),
        maxmem: memory,
        maxdisk: guest.disk_size(),
        mem,
        uptime: if running { uptime } else { 0 },
        cpu: 0,
        disk: 0,
        diskread: 0,
        diskwrite: 0,
        netin: 0,
        netout: 0,
        tags: guest.config.get("tags").map(String::as_str),
        memhost: (world.version == Version::V9_2).then_some(mem),
    }
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

/// `GET /cluster/resources`.
pub(crate) fn resources(world: &World, params: &Params, caller: &Caller) -> Result<String, Fail> {
    let wanted = params.get("type");
    let wants = |kind: &str| wanted.is_none_or(|wanted| wanted == kind);
    let mut rows = Rows::default();
    if wanted.is_none() {
        for id in
            world.pools.keys().filter(|id| world.may(caller, &format!("/pool/{id}"), "Pool.Audit"))
        {
            rows.add(&json!({"id": format!("/pool/{id}"), "type": "pool", "pool": id}))?;
        }
    }
    if wants("vm") {
        for guest in world.guests.values() {
            if world.may(caller, &format!("/vms/{}", guest.vmid), "VM.Audit") {
                rows.add(&guest_row(world, guest))?;
            }
        }
    }
    if wants("node") {
        for name in world.nodes.keys() {
            rows.add(&node_row(world, caller, name))?;
        }
    }
    if wants("storage") {
        for storage in world.storages.values() {
            let path = format!("/storage/{}", storage.id);
            if !world.may_any(caller, &path, &["Datastore.Audit", "Datastore.AllocateSpace"]) {
                continue;
            }
            for node in world.nodes.keys().filter(|node| storage.is_on(node)) {
                rows.add(&storage_row(world, node, &storage.id))?;
            }
        }
    }
    if wants("sdn") || wanted == Some("network") {
        let old = world.version < Version::V9_2;
        if world.may(caller, "/sdn/zones/localnetwork", "SDN.Audit")
            && (old || wanted != Some("sdn"))
        {
            for node in world.nodes.keys() {
                rows.add(&zone_row(old, node))?;
            }
        }
    }
    rows.finish()
}

/// A JSON array that is written row by row: ten thousand guests make no tree of values.
#[derive(Default)]
struct Rows(Vec<u8>);

impl Rows {
    fn add(&mut self, row: &impl Serialize) -> Result<(), Fail> {
        self.0.push(if self.0.is_empty() { b'[' } else { b',' });
        serde_json::to_writer(&mut self.0, row).map_err(|error| Fail::new(error.to_string()))
    }

    fn finish(mut self) -> Result<String, Fail> {
        if self.0.is_empty() {
            self.0.push(b'[');
        }
        self.0.push(b']');
        String::from_utf8(self.0).map_err(|error| Fail::new(error.to_string()))
    }
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
