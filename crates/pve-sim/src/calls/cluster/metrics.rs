//! `/cluster/metrics`: servers that figures are sent to.

use serde_json::{Value, json};

use super::directory;
use crate::calls::Plain;
use crate::calls::sections::Spec;
use crate::engine::Call;
use crate::fail::Fail;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path.strip_prefix("/metrics")?) {
        ("GET", "") => |_| Ok(directory("name", &["server", "export"])),
        ("GET", "/server") => list,
        ("POST", "/server/{id}") => |call| SERVERS.create(call),
        ("GET", "/server/{id}") => |call| SERVERS.read(call),
        ("PUT", "/server/{id}") => |call| SERVERS.update(call),
        ("DELETE", "/server/{id}") => |call| SERVERS.delete(call),
        ("GET", "/export") => export,
        _ => return None,
    })
}

const SERVERS: Spec = Spec {
    file: "status",
    id: "id",
    create: "/cluster/metrics/server/x",
    kind: Some("type"),
    secret: &["token"],
    taken: |id| {
        Fail::new(format!("create metric server failed: metric server '{id}' already defined"))
    },
    missing: |id, _| Fail::new(format!("status server entry '{id}' does not exist")),
};

fn list(call: &mut Call<'_>) -> Result<Value, Fail> {
    let Value::Array(mut rows) = SERVERS.list(call)? else { return Ok(json!([])) };
    for row in &mut rows {
        if let Some(map) = row.as_object_mut() {
            map.retain(|name, _| {
                matches!(name.as_str(), "id" | "type" | "server" | "port" | "disable")
            });
            map.entry("disable").or_insert(json!(0));
        }
    }
    Ok(Value::Array(rows))
}

/// The newest figures of all nodes and guests that the caller may audit.
fn export(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    let time = world.last_round().as_secs();
    let mut data = Vec::new();
    for name in world.nodes.keys() {
        let id = format!("node/{name}");
        data.push(json!({"id": id, "metric": "uptime", "timestamp": time, "type": "gauge", "value": world.now.saturating_sub(world.booted).as_secs()}));
    }
    for guest in world.guests.values() {
        let id = format!(
            "{}/{}",
            if guest.kind == crate::world::guest::Kind::Qemu { "qemu" } else { "lxc" },
            guest.vmid
        );
        data.push(json!({"id": id, "metric": "mem_total", "timestamp": time, "type": "gauge", "value": guest.memory()}));
    }
    Ok(json!({ "data": data }))
}
