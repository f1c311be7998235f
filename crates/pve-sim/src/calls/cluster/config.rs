//! `/cluster/config`: the members of the cluster.

use serde_json::{Map, Value, json};

use super::directory;
use crate::calls::Plain;
use crate::engine::Call;
use crate::fail::Fail;
use crate::world::guest::sha1;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path.strip_prefix("/config")?) {
        ("GET", "") => {
            |_| Ok(directory("name", &["nodes", "totem", "join", "qdevice", "apiversion"]))
        }
        ("GET", "/nodes") => nodes,
        ("GET", "/join") => join,
        ("GET", "/totem") => totem,
        ("GET", "/qdevice") => |_| Ok(json!({})),
        ("GET", "/apiversion") => |_| Ok(json!(1)),
        _ => return None,
    })
}

/// The members; a single node without a cluster has none (recorded).
fn members(call: &Call<'_>) -> Vec<Value> {
    if call.world.cluster_name.is_none() {
        return Vec::new();
    }
    let nodes = call.world.nodes.values().enumerate();
    nodes
        .map(|(at, node)| {
            json!({
                "node": node.name, "name": node.name, "nodeid": (at + 1).to_string(),
                "quorum_votes": "1", "ring0_addr": node.address,
            })
        })
        .collect()
}

fn nodes(call: &mut Call<'_>) -> Result<Value, Fail> {
    Ok(Value::Array(members(call)))
}

fn join(call: &mut Call<'_>) -> Result<Value, Fail> {
    let Some(name) = call.world.cluster_name.clone() else {
        return Err(Fail::new("node is not in a cluster, no join info available!"));
    };
    let mut members = members(call);
    for member in &mut members {
        member["pve_addr"] = member["ring0_addr"].clone();
        member["pve_fp"] = json!(call.world.fingerprint);
    }
    let totem = totem(call)?;
    Ok(json!({
        "config_digest": sha1(name.as_bytes()), "nodelist": members, "totem": totem,
        "preferred_node": call.params.get("node").unwrap_or(&call.world.entry),
    }))
}

fn totem(call: &mut Call<'_>) -> Result<Value, Fail> {
    let Some(name) = &call.world.cluster_name else { return Ok(Value::Object(Map::new())) };
    Ok(json!({
        "cluster_name": name, "config_version": call.world.nodes.len().to_string(),
        "interface": {"0": {"linknumber": "0"}}, "ip_version": "ipv4-6", "link_mode": "passive",
        "secauth": "on", "version": "2",
    }))
}
