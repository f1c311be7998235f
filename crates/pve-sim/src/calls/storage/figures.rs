//! The storages of a node: what they are, and how full.

use serde_json::{Value, json};

use super::{Plain, may_see};
use crate::calls::{cluster, rrd};
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::Version;
use crate::world::World;
use crate::world::guest::sha1;
use crate::world::storage::Storage;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path) {
        ("GET", "") => list,
        ("GET", "/{storage}") => index,
        ("GET", "/{storage}/status") => status,
        ("GET", "/{storage}/identity") => identity,
        ("GET", "/{storage}/rrddata") => rrddata,
        ("GET", "/{storage}/rrd") => rrd_image,
        _ => return None,
    })
}

/// A storage of a node with its figures.
fn figures(world: &World, node: &str, storage: &Storage) -> Value {
    let content: Vec<&str> = storage.content.iter().map(String::as_str).collect();
    let active = storage.enabled && !storage.offline_on.contains(node);
    let mut row = json!({
        "type": storage.kind, "content": content.join(","), "shared": u8::from(storage.shared),
        "enabled": u8::from(storage.enabled), "active": u8::from(active), "total": 0, "used": 0, "avail": 0,
    });
    if active {
        let used = cluster::used(world, node, &storage.id);
        row["total"] = json!(storage.capacity);
        row["used"] = json!(used);
        row["avail"] = json!(storage.capacity.saturating_sub(used));
    }
    row
}

fn list(call: &mut Call<'_>) -> Result<Value, Fail> {
    let node = call.params.node();
    let wanted = call.params.get("content");
    let only = call.params.get("storage");
    let target = call.params.get("target").filter(|target| *target != node);
    let formats = call.params.flag("format");
    let mut rows = Vec::new();
    for storage in call.world.storages.values() {
        let fits = storage.is_on(node)
            && may_see(call, &storage.id)
            && (storage.enabled || !call.params.flag("enabled"))
            && target.is_none_or(|target| storage.shared && storage.is_on(target))
            && only.is_none_or(|id| id == storage.id)
            && wanted.is_none_or(|kinds| {
                kinds.split([',', ' ', ';']).any(|kind| storage.content.contains(kind))
            });
        if !fits {
            continue;
        }
        let mut row = figures(call.world, node, storage);
        row["storage"] = json!(storage.id);
        if let (Some(used), Some(total)) =
            (row["used"].as_f64(), row["total"].as_f64().filter(|total| *total > 0.0))
        {
            row["used_fraction"] = json!(used / total);
        }
        if formats {
            let all: &[&str] =
                if storage.is_files() { &["qcow2", "raw", "vmdk", "subvol"] } else { &["raw"] };
            row["formats"] = json!({"supported": all, "default": "raw"});
            row["select_existing"] = json!(u8::from(storage.kind == "iscsi"));
        }
        rows.push(row);
    }
    Ok(Value::Array(rows))
}

fn index(call: &mut Call<'_>) -> Result<Value, Fail> {
    let mut names = vec!["content", "download-url", "file-restore", "import-metadata"];
    if call.world.version == Version::V9_2 {
        names.extend(["identity", "oci-registry-pull"]);
    }
    names.extend(["prunebackups", "rrd", "rrddata", "status", "upload"]);
    Ok(cluster::directory("subdir", &names))
}

/// What tells two storages apart that may be the same one (9).
fn identity(call: &mut Call<'_>) -> Result<Value, Fail> {
    let storage = call.world.storage_on(call.params.node(), call.params.text("storage"))?;
    let place = storage.place(call.params.node());
    Ok(json!({"type": storage.kind, "id": sha1(format!("{}/{place}", storage.path()).as_bytes())}))
}

fn rrddata(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, id) = (call.params.node(), call.params.text("storage"));
    let storage = call.world.storage_on(node, id)?;
    let used = cluster::used(call.world, node, id);
    let total = storage.capacity;
    Ok(rrd::series(call, id, |wave| {
        vec![("total", json!(total)), ("used", json!(used as f64 * (0.98 + 0.02 * wave)))]
    }))
}

fn rrd_image(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, id) = (call.params.node(), call.params.text("storage"));
    call.world.storage_on(node, id)?;
    Ok(rrd::image(&format!("pve2-storage/{node}/{id}")))
}

fn status(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, id) = (call.params.node(), call.params.text("storage"));
    let found = call.world.storages.get(id).filter(|storage| storage.is_on(node));
    let storage = found.ok_or_else(|| Fail::parameter("storage", "No such storage."))?;
    Ok(figures(call.world, node, storage))
}
