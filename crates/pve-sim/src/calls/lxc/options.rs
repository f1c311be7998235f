//! Options of a container: the form in which they are stored and shown, and
//! which of them a running container takes at once.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::fail::Fail;
use crate::schema::{Parameter, Table, Version, property, split_index};
use crate::world::World;
use crate::world::guest::Kind;

/// Parameters of create and update that are no options of the container.
const NOT_OPTIONS: &[&str] = &[
    "node",
    "vmid",
    "ostemplate",
    "restore",
    "force",
    "pool",
    "storage",
    "unique",
    "start",
    "bwlimit",
    "ha-managed",
    "ignore-unpack-errors",
    // What opens the container is never stored.
    "password",
    "ssh-public-keys",
    "delete",
    "revert",
    "digest",
];

/// The options among parameters.
pub(crate) fn of(params: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    params
        .iter()
        .filter(|(key, _)| !NOT_OPTIONS.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// The definition of an option.
pub(crate) fn definition(version: Version, key: &str) -> Option<&'static Parameter> {
    let table = Table::of(version);
    let (index, _) = table.find("POST", "/nodes/n/lxc")?;
    table.methods[index].parameter(key).map(|found| &**found)
}

/// Whether an option exists that can be deleted.
pub(crate) fn is_known(version: Version, key: &str) -> bool {
    key == "lock"
        || (!NOT_OPTIONS.contains(&key)
            && (key.starts_with("unused") || definition(version, key).is_some()))
}

/// The text under which an option that is no volume is stored.
pub(crate) fn stored(world: &mut World, key: &str, text: &str) -> Result<String, Fail> {
    let stem = split_index(key).map_or(key, |(stem, _)| stem);
    if stem == "tags" {
        return Ok(crate::calls::qemu::tags(text));
    }
    let Some(keys) = definition(world.version, key).and_then(Parameter::keys) else {
        return Ok(text.to_owned());
    };
    let parsed = property::parse(keys, text);
    let mut found = parsed.map_err(|_| Fail::parameter(key, "invalid format - format error\n"))?;
    if stem == "net" {
        let mac = found.remove("hwaddr").unwrap_or_else(|| world.mac());
        found.insert("hwaddr".into(), mac.to_uppercase());
        found.entry("type".into()).or_insert_with(|| "veth".into());
    }
    Ok(printed(keys, &found))
}

/// A property string in Proxmox's order: the default key, the required keys,
/// the others; each group sorted.
pub(crate) fn printed(
    keys: &BTreeMap<String, Parameter>,
    found: &BTreeMap<String, String>,
) -> String {
    let class = |name: &str| match keys.get(name) {
        Some(key) if key.default_key.is_some() => 0,
        Some(key) if key.optional == 0 => 1,
        _ => 2,
    };
    let mut parts: Vec<(u8, &String, &String)> =
        found.iter().map(|(name, value)| (class(name), name, value)).collect();
    parts.sort();
    let part = |(class, name, value): &(u8, &String, &String)| match class {
        0 => (*value).clone(),
        _ => format!("{name}={value}"),
    };
    parts.iter().map(part).collect::<Vec<_>>().join(",")
}

/// An option as the API shows it: numbers where the schema says so, and the
/// description with a final line break (recorded).
pub(crate) fn shown(world: &World, key: &str, text: &str) -> Value {
    if key == "description" {
        return json!(format!("{}\n", text.trim_end_matches('\n')));
    }
    match definition(world.version, key).map_or("string", |found| found.kind.as_str()) {
        "integer" | "boolean" => {
            text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number))
        }
        "number" => text.parse::<f64>().map_or_else(|_| json!(text), |number| json!(number)),
        _ => json!(text),
    }
}

/// Whether a running container takes a change at once. Source: the fast-plug
/// options and the hot-plug function of pve-container.
pub(crate) fn is_hotpluggable(key: &str, exists: bool) -> bool {
    let stem = split_index(key).map_or(key, |(stem, _)| stem);
    match stem {
        // A mount point that is mounted stays as it is.
        "mp" => !exists,
        _ => matches!(
            stem,
            "lock"
                | "hostname"
                | "hookscript"
                | "cores"
                | "tags"
                | "description"
                | "onboot"
                | "startup"
                | "protection"
                | "memory"
                | "swap"
                | "cpulimit"
                | "cpuunits"
                | "net"
                | "unused"
        ),
    }
}

/// Whether an option holds a volume.
pub(crate) fn is_volume(key: &str) -> bool {
    Kind::Lxc.is_volume(key)
}
