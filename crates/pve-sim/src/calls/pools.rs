//! `/pools`

use serde_json::{Value, json};

use super::{Plain, cluster};
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::Version;
use crate::world::{Pool, World};

/// The handlers of this file. `/pools?poolid=…` and `/pools/{poolid}` are the same.
pub(crate) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path) {
        ("GET", "/pools") => list,
        ("POST", "/pools") => create,
        ("PUT", "/pools" | "/pools/{poolid}") => update,
        ("DELETE", "/pools" | "/pools/{poolid}") => delete,
        ("GET", "/pools/{poolid}") => read,
        _ => return None,
    })
}

fn full(world: &World, id: &str, kind: Option<&str>) -> Result<Value, Fail> {
    let pool =
        world.pools.get(id).ok_or_else(|| Fail::new(format!("pool '{id}' does not exist")))?;
    let mut members = Vec::new();
    for guest in pool.guests.iter().filter_map(|vmid| world.guests.get(vmid)) {
        let mut row = json!(cluster::guest_row(world, guest));
        if let Some(map) = row.as_object_mut() {
            map.remove("pool");
        }
        if kind.is_none_or(|kind| row["type"] == kind) {
            members.push(row);
        }
    }
    if kind.is_none_or(|kind| kind == "storage") {
        for storage in pool.storages.iter().filter_map(|id| world.storages.get(id)) {
            let on = world.nodes.keys().filter(|node| storage.is_on(node));
            members.extend(on.map(|node| cluster::storage_row(world, node, &storage.id)));
        }
    }
    let mut row = json!({"members": members});
    if let Some(comment) = &pool.comment {
        row["comment"] = json!(comment);
    }
    Ok(row)
}

fn list(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    if let Some(id) = call.params.get("poolid") {
        call.require(&format!("/pool/{id}"), "Pool.Audit")?;
        let mut row = full(world, id, call.params.get("type"))?;
        if call.world.version >= Version::V8_4 {
            row["poolid"] = json!(id);
        }
        return Ok(json!([row]));
    }
    let seen = world.pools.iter().filter(|(id, _)| call.may(&format!("/pool/{id}"), "Pool.Audit"));
    let rows = seen.map(|(id, pool)| match &pool.comment {
        Some(comment) => json!({"poolid": id, "comment": comment}),
        None => json!({"poolid": id}),
    });
    Ok(rows.collect())
}

fn read(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("poolid");
    let mut row = full(call.world, id, call.params.get("type"))?;
    if call.world.version >= Version::V8_4 {
        row["poolid"] = json!(id);
    }
    Ok(row)
}

fn create(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("poolid").to_owned();
    if call.world.pools.contains_key(&id) {
        return Err(Fail::new(format!("create pool failed: pool '{id}' already exists")));
    }
    if let Some((parent, _)) = id.rsplit_once('/')
        && !call.world.pools.contains_key(parent)
    {
        return Err(Fail::new(format!(
            "create pool failed: parent '{parent}' of pool '{id}' does not exist"
        )));
    }
    let pool = Pool { comment: call.params.get("comment").map(str::to_owned), ..Pool::default() };
    call.world.pools.insert(id, pool);
    Ok(Value::Null)
}

fn update(call: &mut Call<'_>) -> Result<Value, Fail> {
    let params = call.params;
    let id = params.text("poolid").to_owned();
    let failed = |text: String| Fail::new(format!("update pools failed: {text}"));
    let delete = params.flag("delete");
    let allow_move = params.flag("allow-move");
    let words = |name: &str| -> Vec<String> {
        params
            .text(name)
            .split([',', ';', ' '])
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let (guests, storages) = (words("vms"), words("storage"));
    let world = &mut *call.world;
    if !world.pools.contains_key(&id) {
        return Err(failed(format!("pool '{id}' does not exist")));
    }
    let guests: Vec<u32> = guests.iter().filter_map(|text| text.parse().ok()).collect();
    // All is checked before anything changes.
    check_guests(world, &id, &guests, delete, allow_move).map_err(failed)?;
    let mut kept = world.pools.get(&id).map(|pool| pool.storages.clone()).unwrap_or_default();
    for storage in storages {
        if delete && !kept.remove(&storage) {
            return Err(failed(format!("Storage '{storage}' is not a pool member")));
        }
        if !delete && !kept.insert(storage.clone()) {
            return Err(failed(format!("Storage '{storage}' is already a pool member")));
        }
    }
    for vmid in guests {
        for pool in world.pools.values_mut() {
            pool.guests.remove(&vmid);
        }
        if let Some(guest) = world.guests.get_mut(&vmid) {
            guest.pool = (!delete).then(|| id.clone());
        }
        if let Some(pool) = world.pools.get_mut(&id).filter(|_| !delete) {
            pool.guests.insert(vmid);
        }
    }
    let Some(pool) = world.pools.get_mut(&id) else { return Ok(Value::Null) };
    pool.storages = kept;
    if let Some(comment) = params.get("comment") {
        pool.comment = Some(comment.to_owned());
    }
    Ok(Value::Null)
}

/// Whether all guests can join the pool, or leave it.
fn check_guests(
    world: &World,
    id: &str,
    guests: &[u32],
    delete: bool,
    allow_move: bool,
) -> Result<(), String> {
    for vmid in guests {
        let member_of = world.pools.iter().find(|(_, pool)| pool.guests.contains(vmid));
        let member_of = member_of.map(|(name, _)| name.as_str());
        if delete && member_of != Some(id) {
            return Err(format!("VM {vmid} is not a pool member"));
        }
        if !delete && (member_of == Some(id) || (member_of.is_some() && !allow_move)) {
            return Err(format!("VM {vmid} is already a pool member"));
        }
    }
    Ok(())
}

fn delete(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("poolid").to_owned();
    let failed = |text: String| Fail::new(format!("delete pool failed: {text}"));
    let world = &mut *call.world;
    let pool = world.pools.get(&id).ok_or_else(|| failed(format!("pool '{id}' does not exist")))?;
    // Ids that name no guest do not count (fact 81).
    if let Some(vmid) = pool.guests.iter().find(|vmid| world.guests.contains_key(vmid)) {
        return Err(failed(format!("pool '{id}' is not empty (contains VM {vmid})")));
    }
    if let Some(storage) = pool.storages.iter().next() {
        return Err(failed(format!("pool '{id}' is not empty (contains storage '{storage}')")));
    }
    world.pools.remove(&id);
    Ok(Value::Null)
}
