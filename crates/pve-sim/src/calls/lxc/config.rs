//! `/nodes/{node}/lxc/{vmid}/config` and `/pending`

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::volumes::{self, Made};
use super::{options, rights};
use crate::calls::guests::snapshot::add_unused;
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::split_index;
use crate::world::World;
use crate::world::guest::{Drive, Guest};
use crate::world::storage::Key;

/// `GET …/config`: pending values unless `current=1`.
pub(crate) fn read(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    let guest = world.ct(call.params.node(), call.params.vmid())?;
    let mut config = guest.config.clone();
    if let Some(name) = call.params.get("snapshot") {
        let snapshot = guest.snapshots.get(name);
        config = snapshot
            .ok_or_else(|| Fail::new(format!("snapshot '{name}' does not exist")))?
            .config
            .clone();
    } else if !call.params.flag("current") {
        for (key, value) in &guest.pending {
            match value {
                Some(value) => config.insert(key.clone(), value.clone()),
                None => config.remove(key),
            };
        }
    }
    let mut row = options::show(world, &config);
    if let Some(parent) = &guest.parent {
        row.insert("parent".into(), json!(parent));
    }
    row.insert("digest".into(), json!(guest.digest()));
    Ok(Value::Object(row))
}

/// `GET …/pending`
pub(crate) fn pending(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    let guest = world.ct(call.params.node(), call.params.vmid())?;
    let keys: BTreeSet<&String> = guest.config.keys().chain(guest.pending.keys()).collect();
    let mut rows = Vec::new();
    for key in keys {
        let mut row = json!({"key": key});
        if let Some(text) = guest.config.get(key) {
            row["value"] = options::shown(world, key, text);
        }
        match guest.pending.get(key) {
            Some(Some(text)) => row["pending"] = options::shown(world, key, text),
            Some(None) => row["delete"] = json!(1),
            None => {}
        }
        rows.push(row);
    }
    rows.push(json!({"key": "digest", "value": guest.digest()}));
    Ok(Value::Array(rows))
}

/// The names in a list parameter.
fn list(text: Option<&str>) -> Vec<String> {
    text.unwrap_or_default()
        .split([',', ';', ' ', '\0'])
        .filter(|key| !key.is_empty())
        .map(str::to_owned)
        .collect()
}

/// `PUT …/config`
pub(crate) fn update(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    let given = options::of(&call.params.texts);
    let (delete, revert) = (list(call.params.get("delete")), list(call.params.get("revert")));
    if given.is_empty() && delete.is_empty() && revert.is_empty() {
        return Err(Fail::new("no options specified"));
    }
    check_names(call, &given, &delete)?;
    let unprivileged = {
        let guest = call.world.ct(&node, vmid)?;
        if call.params.get("digest").is_some_and(|digest| digest != guest.digest()) {
            return Err(Fail::new(
                "detected modified configuration - file changed by other user? Try again.",
            ));
        }
        guest.check_lock()?;
        guest.number("unprivileged", 0) == 1
    };
    let mut touched = given.clone();
    touched.extend(delete.iter().map(|key| (key.clone(), String::new())));
    rights::check(call, vmid, None, &touched, unprivileged)?;
    if given.contains_key("unprivileged") {
        return Err(Fail::new("unable to modify read-only option: 'unprivileged'"));
    }
    let mut plans = Vec::new();
    let mut set = BTreeMap::new();
    for (key, value) in &given {
        if options::is_volume(key) {
            plans.push(volumes::plan(call, key, value)?);
        } else if key.starts_with("unused") {
            return Err(Fail::parameter(key, "unused volumes cannot be set"));
        } else {
            set.insert(key.clone(), options::stored(call.world, key, value)?);
        }
    }
    let made = volumes::make(call.world, &node, vmid, &plans, &mut Vec::new())?;
    apply(call.world, &node, vmid, Change { set, made, delete, revert })?;
    Ok(Value::Null)
}

fn check_names(
    call: &Call<'_>,
    given: &BTreeMap<String, String>,
    delete: &[String],
) -> Result<(), Fail> {
    for key in delete {
        if !options::is_known(call.world.version, key) {
            return Err(Fail::parameter("delete", format!("unknown option '{key}'")));
        }
        if given.contains_key(key) {
            let text = format!("you can't use '-{key}' and -delete {key}' at the same time");
            return Err(Fail::parameter("delete", text));
        }
        if matches!(key.as_str(), "hostname" | "memory" | "rootfs") {
            return Err(Fail::new(format!("unable to delete required option '{key}'")));
        }
        if key == "unprivileged" {
            return Err(Fail::new("unable to delete read-only option: 'unprivileged'"));
        }
    }
    Ok(())
}

struct Change {
    set: BTreeMap<String, String>,
    made: Made,
    delete: Vec<String>,
    revert: Vec<String>,
}

fn apply(world: &mut World, node: &str, vmid: u32, mut change: Change) -> Result<(), Fail> {
    change.made.register(world);
    let guest = world.ct_mut(node, vmid)?;
    let mut freed = Vec::new();
    for key in &change.revert {
        guest.pending.remove(key);
    }
    for key in &change.delete {
        freed.extend(remove(guest, key));
    }
    for (key, text) in change.set.into_iter().chain(change.made.options.drain(..)) {
        insert(guest, key, text);
    }
    for volume in freed {
        let Some(key) = world.key_of(node, &volume) else { continue };
        free(world, &key)?;
    }
    Ok(())
}

/// Destroys a volume; containers' volumes are records, no backend knows them.
pub(crate) fn free(world: &mut World, key: &Key) -> Result<(), String> {
    world.check_no_children(key)?;
    world.volumes.remove(key);
    Ok(())
}

/// Deletes an option; returns the volume that goes with it.
fn remove(guest: &mut Guest, key: &str) -> Option<String> {
    let running = guest.process.is_some();
    let is_mount = options::is_volume(key);
    if running && guest.config.contains_key(key) && !options::is_hotpluggable(key, true) {
        guest.pending.insert(key.to_owned(), None);
        return None;
    }
    guest.pending.remove(key);
    let text = guest.config.remove(key)?;
    let volume = Drive::parse(&text).volume;
    if key.starts_with("unused") {
        return Some(volume);
    }
    if is_mount && !volume.starts_with('/') {
        add_unused(&mut guest.config, volume);
    }
    None
}

fn insert(guest: &mut Guest, key: String, text: String) {
    let running = guest.process.is_some();
    let exists = guest.config.contains_key(&key);
    if running && !options::is_hotpluggable(&key, exists) && guest.config.get(&key) != Some(&text) {
        guest.pending.insert(key, Some(text));
        return;
    }
    guest.pending.remove(&key);
    let volume = Drive::parse(&text).volume;
    let is_mount = options::is_volume(&key);
    if is_mount {
        guest.config.retain(|name, other| !(name.starts_with("unused") && *other == volume));
    }
    let old = guest.config.insert(key, text).map(|old| Drive::parse(&old).volume);
    if let Some(old) = old.filter(|old| is_mount && *old != volume && !old.starts_with('/')) {
        add_unused(&mut guest.config, old);
    }
}

/// Applies what waited for a start; volumes that leave stay as unused ones.
pub(crate) fn apply_pending(guest: &mut Guest) {
    for (key, value) in std::mem::take(&mut guest.pending) {
        let old = guest.config.get(&key).map(|old| Drive::parse(old).volume);
        let new = value.as_ref().map(|text| Drive::parse(text).volume);
        match value {
            Some(value) => guest.config.insert(key.clone(), value),
            None => guest.config.remove(&key),
        };
        let is_mount = split_index(&key).is_some_and(|(stem, _)| stem == "mp");
        if let Some(old) = old.filter(|_| is_mount)
            && Some(&old) != new.as_ref()
            && !old.starts_with('/')
        {
            add_unused(&mut guest.config, old);
        }
    }
}
