//! Firewalls of the cluster, of nodes, of virtual networks and of guests: one
//! implementation for all.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Plain;
use super::sections::{MODIFIED, words};
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::Version;
use crate::world::firewall::{Firewall, digest};

mod aliases;
mod cluster;
mod rules;
mod sets;

/// The handlers of this folder, for every path with `/firewall` in it.
pub(crate) fn handler(verb: &str, path: &str) -> Option<Plain> {
    const BASES: [&str; 5] = [
        "/cluster/firewall",
        "/cluster/sdn/vnets/{vnet}/firewall",
        "/nodes/{node}/firewall",
        "/nodes/{node}/qemu/{vmid}/firewall",
        "/nodes/{node}/lxc/{vmid}/firewall",
    ];
    let rest = BASES.iter().find_map(|base| path.strip_prefix(base))?;
    match (verb, rest) {
        ("GET", "") => return Some(index_of(path)),
        ("GET", "/options") => return Some(options),
        ("PUT", "/options") => return Some(set_options),
        ("GET", "/refs") => return Some(refs),
        ("GET", "/log") => return Some(log),
        _ => {}
    }
    rules::handler(verb, rest)
        .or_else(|| aliases::handler(verb, rest))
        .or_else(|| sets::handler(verb, rest))
        .or_else(|| {
            if path.starts_with("/cluster/firewall") { cluster::handler(verb, rest) } else { None }
        })
}

/// What lies below a firewall's path.
fn index_of(path: &str) -> Plain {
    if path.starts_with("/cluster/firewall") {
        return |_| {
            Ok(super::cluster::directory(
                "name",
                &["aliases", "rules", "options", "groups", "ipset", "macros", "refs"],
            ))
        };
    }
    if path.contains("{vmid}") {
        return |_| {
            Ok(super::cluster::directory(
                "name",
                &["rules", "aliases", "ipset", "options", "refs", "log"],
            ))
        };
    }
    |_| Ok(super::cluster::directory("name", &["rules", "options", "log"]))
}

/// The firewall that a call is about.
fn scope<'a>(call: &'a mut Call<'_>) -> Result<&'a mut Firewall, Fail> {
    let params = call.params;
    let (node, vmid) = (params.node(), params.vmid());
    if params.get("vmid").is_some() {
        let guest = call.world.guests.get_mut(&vmid).filter(|guest| guest.node == node);
        return guest
            .map(|guest| &mut guest.firewall)
            .ok_or_else(|| Fail::new(crate::world::no_config(node, vmid)));
    }
    let name = match params.get("vnet") {
        Some(vnet) => format!("vnet/{vnet}"),
        None if node.is_empty() => "cluster".to_owned(),
        None => format!("node/{node}"),
    };
    Ok(call.world.firewalls.entry(name).or_default())
}

/// Refuses a change that was based on another version of a part of the file.
fn check_digest(given: Option<&str>, now: &str) -> Result<(), Fail> {
    match given {
        Some(given) if given != now => Err(Fail::new(MODIFIED)),
        _ => Ok(()),
    }
}

fn options(call: &mut Call<'_>) -> Result<Value, Fail> {
    let options = &scope(call)?.options;
    let mut row = Map::new();
    for (key, text) in options {
        let value = text.parse::<u64>().map_or_else(|_| json!(text), |number| json!(number));
        row.insert(key.clone(), value);
    }
    row.insert("digest".into(), json!(digest(options, options.is_empty())));
    Ok(Value::Object(row))
}

fn set_options(call: &mut Call<'_>) -> Result<Value, Fail> {
    let params = call.params;
    let options = &mut scope(call)?.options;
    check_digest(params.get("digest"), &digest(options, options.is_empty()))?;
    for name in words(params.text("delete")) {
        options.remove(name);
    }
    for (key, value) in &params.texts {
        if !matches!(key.as_str(), "node" | "vmid" | "vnet" | "digest" | "delete") {
            options.insert(key.clone(), value.clone());
        }
    }
    Ok(Value::Null)
}

/// The names that rules may use: aliases and sets, of the guest and of the cluster.
fn refs(call: &mut Call<'_>) -> Result<Value, Fail> {
    let wanted = call.params.get("type").map(str::to_owned);
    let own = scope(call)?.clone();
    let is_guest = call.params.get("vmid").is_some();
    let mut rows = Vec::new();
    if is_guest {
        rows.extend(refs_of(&own, "guest"));
        if let Some(cluster) = call.world.firewalls.get("cluster") {
            rows.extend(refs_of(cluster, "dc"));
        }
    } else {
        rows.extend(refs_of(&own, "dc"));
    }
    rows.retain(|row| wanted.as_deref().is_none_or(|kind| row["type"] == kind));
    Ok(Value::Array(rows))
}

/// Whether a source or destination names a set or an alias that is there; an
/// address is neither. Those of the guest may come without `guest/`, those of
/// the cluster without `dc/`.
fn check_reference(call: &mut Call<'_>, item: &str) -> Result<(), String> {
    let (kind, reference) = match item.strip_prefix('+') {
        Some(name) => ("ipset", name),
        None if item.starts_with(|letter: char| letter.is_ascii_alphabetic())
            && !item.contains(':') =>
        {
            ("alias", item)
        }
        None => return Ok(()),
    };
    if reference.starts_with("sdn/") {
        return Ok(());
    }
    let own = scope(call).map(|own| own.clone()).unwrap_or_default();
    let cluster = call.world.firewalls.get("cluster");
    let (place, name) = reference.split_once('/').unwrap_or(("", reference));
    let has = |firewall: &Firewall| match kind {
        "ipset" => firewall.sets.contains_key(name),
        _ => firewall.aliases.contains_key(&name.to_ascii_lowercase()),
    };
    let there = match place {
        "dc" => cluster.is_some_and(has),
        "guest" => has(&own),
        _ => has(&own) || cluster.is_some_and(has),
    };
    if there { Ok(()) } else { Err(format!("no such {kind} '{reference}'")) }
}

fn refs_of(firewall: &Firewall, scope: &str) -> Vec<Value> {
    let row = |kind: &str, name: &str, reference: String, comment: &Option<String>| {
        let mut row = json!({"type": kind, "name": name, "ref": reference, "scope": scope});
        if let Some(comment) = comment {
            row["comment"] = json!(comment);
        }
        row
    };
    let aliases = firewall
        .aliases
        .iter()
        .map(|(name, alias)| row("alias", name, format!("{scope}/{name}"), &alias.comment));
    let sets = firewall
        .sets
        .iter()
        .map(|(name, set)| row("ipset", name, format!("+{scope}/{name}"), &set.comment));
    aliases.chain(sets).collect()
}

/// Nothing is ever logged: the file is not there. 8.4 forgets the list around
/// the row (recorded).
fn log(call: &mut Call<'_>) -> Result<Value, Fail> {
    scope(call)?;
    call.total = Some(1);
    let row = json!({"n": 1, "t": "unable to open file - No such file or directory"});
    Ok(if call.world.version == Version::V9_2 { json!([row]) } else { row })
}

/// Sets an option of a map, or removes it when the text is absent.
fn put(map: &mut BTreeMap<String, String>, key: &str, text: Option<&str>) {
    match text {
        Some(text) => map.insert(key.to_owned(), text.to_owned()),
        None => map.remove(key),
    };
}
