//! `/storage`: the configuration of storages.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::kinds::{self, COMMON, FIXED};
use super::{Plain, may_see};
use crate::calls::sections::{MODIFIED, typed, words};
use crate::engine::Call;
use crate::fail::Fail;
use crate::world::World;
use crate::world::guest::sha1;
use crate::world::storage::Storage;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path) {
        ("GET", "/storage") => list,
        ("POST", "/storage") => create,
        ("GET", "/storage/{storage}") => read,
        ("PUT", "/storage/{storage}") => update,
        ("DELETE", "/storage/{storage}") => delete,
        _ => return None,
    })
}

/// Bytes that a storage without a seed has.
const CAPACITY: u64 = 100 << 30;
/// Options that are never shown.
const SECRET: [&str; 3] = ["password", "encryption-key", "keyring"];

/// The digest of the file with all storages.
fn digest(world: &World) -> String {
    let all: Vec<_> = world
        .storages
        .values()
        .map(|storage| {
            (
                &storage.id,
                &storage.kind,
                &storage.content,
                &storage.nodes,
                storage.enabled,
                &storage.options,
            )
        })
        .collect();
    sha1(format!("{all:?}").as_bytes())
}

fn joined(set: &BTreeSet<String>) -> String {
    set.iter().map(String::as_str).collect::<Vec<_>>().join(",")
}

fn show(world: &World, storage: &Storage, digest: &str) -> Value {
    let mut row = json!({"storage": storage.id, "type": storage.kind, "digest": digest});
    if !storage.content.is_empty() {
        row["content"] = json!(joined(&storage.content));
    }
    if storage.is_files() {
        row["path"] = json!(storage.path());
    }
    if storage.id == "local" {
        row["prune-backups"] = json!("keep-all=1");
    }
    for (name, text) in &storage.options {
        if !SECRET.contains(&name.as_str()) {
            row[name] = typed(world, "/storage", name, text);
        }
    }
    // Kinds that are always shared say so, too (Proxmox's `parse_config`, from memory).
    if storage.shared {
        row["shared"] = json!(1);
    }
    if !storage.enabled {
        row["disable"] = json!(1);
    }
    if let Some(nodes) = &storage.nodes {
        row["nodes"] = json!(joined(nodes));
    }
    row
}

fn list(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    let digest = digest(world);
    let kind = call.params.get("type");
    let seen = world.storages.values().filter(|storage| {
        may_see(call, &storage.id) && kind.is_none_or(|kind| storage.kind == kind)
    });
    Ok(seen.map(|storage| show(world, storage, &digest)).collect())
}

fn read(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("storage");
    let found = call.world.storages.get(id);
    let storage = found.ok_or_else(|| Fail::new(format!("storage '{id}' does not exist")))?;
    Ok(show(call.world, storage, &digest(call.world)))
}

/// The options among the parameters of a call.
fn given(call: &Call<'_>) -> BTreeMap<String, String> {
    let options = call.params.texts.iter();
    let left_out = ["storage", "type", "delete", "digest"];
    options
        .filter(|(name, _)| !left_out.contains(&name.as_str()))
        .map(|(name, text)| (name.clone(), text.clone()))
        .collect()
}

/// Puts options where they belong; content is checked against the type.
fn apply(storage: &mut Storage, options: BTreeMap<String, String>) -> Result<(), Fail> {
    let kind = kinds::of(&storage.kind);
    for (name, text) in options {
        match name.as_str() {
            "content" => {
                let content: BTreeSet<String> = words(&text).map(str::to_owned).collect();
                let bad = content.iter().find(|one| !kind.holds.contains(&one.as_str()));
                if let Some(bad) = bad {
                    let text = format!("storage does not support content type '{bad}'");
                    return Err(Fail::new(text));
                }
                storage.content = content;
            }
            "nodes" => {
                storage.nodes = Some(words(&text).map(str::to_owned).collect());
            }
            "disable" => storage.enabled = text != "1",
            "shared" => storage.shared = kind.shared || text == "1",
            "maxfiles" => {
                storage.options.insert("prune-backups".into(), format!("keep-last={text}"));
            }
            _ => {
                storage.options.insert(name, text);
            }
        }
    }
    Ok(())
}

fn create(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (id, kind) = (call.params.text("storage").to_owned(), call.params.text("type").to_owned());
    let options = given(call);
    let known = kinds::of(&kind);
    let is_known = |name: &&String| {
        let name = name.as_str();
        COMMON.contains(&name) || known.required.contains(&name) || known.optional.contains(&name)
    };
    if let Some(name) = known.required.iter().find(|name| !options.contains_key(**name)) {
        return Err(Fail::new(format!("missing value for required option '{name}'")));
    }
    if let Some(name) = options.keys().find(|name| !is_known(name)) {
        return Err(Fail::new(format!("unexpected property '{name}'")));
    }
    if call.world.storages.contains_key(&id) {
        return Err(Fail::new(format!("create storage failed: storage ID '{id}' already defined")));
    }
    let mut storage = Storage {
        id: id.clone(),
        kind: kind.clone(),
        content: known.default.iter().map(|one| (*one).to_owned()).collect(),
        shared: known.shared,
        nodes: None,
        capacity: CAPACITY,
        enabled: true,
        full: false,
        offline_on: BTreeSet::new(),
        options: BTreeMap::new(),
    };
    apply(&mut storage, options)?;
    call.world.storages.insert(id.clone(), storage);
    Ok(json!({"storage": id, "type": kind}))
}

fn update(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("storage").to_owned();
    let failed = |text: &str| Fail::new(format!("update storage failed: {text}"));
    let found = call.world.storages.get(&id).cloned();
    let mut storage = found.ok_or_else(|| failed(&format!("storage '{id}' does not exist")))?;
    if call.params.get("digest").is_some_and(|digest| digest != self::digest(call.world)) {
        return Err(failed(MODIFIED));
    }
    let options = given(call);
    for (name, text) in &options {
        let stays = FIXED.contains(&name.as_str());
        if stays && storage.options.get(name).is_some_and(|old| old != text) {
            return Err(failed(&format!("can't change value of fixed parameter '{name}'")));
        }
    }
    let kind = kinds::of(&storage.kind);
    for name in words(call.params.text("delete")) {
        if options.contains_key(name) {
            let text = format!("unable to set and delete property '{name}' at the same time!");
            return Err(failed(&text));
        }
        match name {
            "content" => {
                storage.content = kind.default.iter().map(|one| (*one).to_owned()).collect();
            }
            "nodes" => storage.nodes = None,
            "disable" => storage.enabled = true,
            "shared" => storage.shared = kind.shared,
            _ if kind.required.contains(&name) => {
                return Err(failed(&format!("unable to delete required option '{name}'")));
            }
            _ => {
                storage.options.remove(name);
            }
        }
    }
    apply(&mut storage, options)?;
    let kind = storage.kind.clone();
    call.world.storages.insert(id.clone(), storage);
    Ok(json!({"storage": id, "type": kind}))
}

/// Volumes stay where they are; guests that use them fail from now on (fact 61).
fn delete(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("storage");
    if call.world.storages.remove(id).is_none() {
        return Err(Fail::new(format!("delete storage failed: storage '{id}' does not exist")));
    }
    let path = format!("/storage/{id}");
    call.world.access.entries.retain(|entry| entry.path != path);
    Ok(Value::Null)
}
