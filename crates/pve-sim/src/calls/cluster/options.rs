//! `/cluster/options`: the options of the datacenter.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::calls::Plain;
use crate::calls::sections::{typed, words};
use crate::engine::Call;
use crate::fail::Fail;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path) {
        ("GET", "/options") => read,
        ("PUT", "/options") => change,
        _ => return None,
    })
}

/// Options that are property strings and are shown in parts.
const IN_PARTS: [&str; 12] = [
    "migration",
    "next-id",
    "ha",
    "replication",
    "crs",
    "tag-style",
    "user-tag-access",
    "notify",
    "webauthn",
    "u2f",
    "fencing-options",
    "location",
];

/// The keys and values of a property string; the first part may be the bare
/// value of the default key.
pub(super) fn parts(text: &str) -> BTreeMap<String, String> {
    let parts = text.split(',').filter(|part| !part.trim().is_empty());
    parts
        .map(|part| match part.split_once('=') {
            Some((key, value)) => (key.trim().to_owned(), value.to_owned()),
            None => ("type".to_owned(), part.to_owned()),
        })
        .collect()
}

/// What may be set as a tag: those that guests have already, and the registered ones.
fn allowed_tags(call: &Call<'_>) -> BTreeSet<String> {
    let registered = call.world.options.get("registered-tags");
    let mut tags: BTreeSet<String> =
        words(registered.map_or("", String::as_str)).map(str::to_owned).collect();
    for guest in call.world.guests.values() {
        if let Some(text) = guest.config.get("tags")
            && call.may(&format!("/vms/{}", guest.vmid), "VM.Audit")
        {
            tags.extend(words(text).map(str::to_owned));
        }
    }
    tags
}

fn read(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    let mut row = Map::new();
    row.insert("mac_prefix".into(), json!("BC:24:11"));
    row.insert("description".into(), json!(""));
    // Without the right to audit only what a client needs to show itself.
    let all = call.may("/", "Sys.Audit");
    for (key, text) in &world.options {
        let shown = match key.as_str() {
            "registered-tags" => words(text).map(|tag| json!(tag)).collect(),
            key if IN_PARTS.contains(&key) => json!(parts(text)),
            key => typed(world, "/cluster/options", key, text),
        };
        if all || matches!(key.as_str(), "console" | "tag-style" | "language" | "keyboard") {
            row.insert(key.clone(), shown);
        }
    }
    if !all {
        row.remove("description");
        row.remove("mac_prefix");
    }
    row.insert("allowed-tags".into(), json!(allowed_tags(call)));
    Ok(Value::Object(row))
}

fn change(call: &mut Call<'_>) -> Result<Value, Fail> {
    let params = call.params;
    let gone: BTreeSet<&str> = words(params.text("delete")).collect();
    if let Some(both) = gone.iter().find(|name| params.get(name).is_some()) {
        let text = format!("unable to set and delete property '{both}' at the same time!");
        return Err(Fail::parameter("delete", text));
    }
    let tags = params.get("registered-tags").into_iter();
    if let Some(bad) = tags.flat_map(words).find(|tag| !is_tag(tag)) {
        let text = format!("invalid format - tag '{bad}' contains invalid characters\n");
        return Err(Fail::parameter("registered-tags", text));
    }
    for name in gone {
        call.world.options.remove(name);
    }
    for (key, value) in &params.texts {
        if !matches!(key.as_str(), "delete" | "digest") {
            call.world.options.insert(key.clone(), value.clone());
        }
    }
    Ok(Value::Null)
}

fn is_tag(tag: &str) -> bool {
    let first = tag.chars().next().unwrap_or(' ');
    (first.is_alphanumeric() || first == '_')
        && tag.chars().all(|letter| letter.is_alphanumeric() || "_-+.".contains(letter))
}
