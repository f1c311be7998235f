//! Changes of `/nodes/{node}/lxc/{vmid}/config`; `calls/guests/config.rs` reads it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::volumes::{self, Made};
use super::{options, rights};
use crate::calls::guests::check_digest;
use crate::calls::guests::config::list;
use crate::calls::guests::snapshot::add_unused;
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::split_index;
use crate::world::World;
use crate::world::guest::{Drive, Guest};
use crate::world::storage::Key;

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
        check_digest(call, "digest", guest)?;
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
