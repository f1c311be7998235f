//! `/cluster/status` and `/cluster/tasks`

use serde_json::{Value, json};

use crate::calls::{Plain, tasks};
use crate::engine::Call;
use crate::fail::Fail;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path) {
        ("GET", "/status") => status,
        ("GET", "/tasks") => task_list,
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
            row.insert("saved".into(), json!(if task.is_running() { "0" } else { "1" }));
        }
        row
    });
    Ok(rows.collect())
}
