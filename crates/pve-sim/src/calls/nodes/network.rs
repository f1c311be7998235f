//! `/nodes/{node}/network`: interfaces. Changes are pending until the next
//! reload, which is a task.

use serde_json::{Value, json};

use crate::calls::Plain;
use crate::calls::sections::words;
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::Version;
use crate::tasks::{Done, Step, Work};
use crate::world::node::{Interface, Interfaces, join_address, show};
use crate::world::{Node, World};

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path.strip_prefix("/network")?) {
        ("GET", "") => list,
        ("POST", "") => create,
        ("PUT", "") => reload,
        ("DELETE", "") => revert,
        ("GET", "/{iface}") => read,
        ("PUT", "/{iface}") => update,
        ("DELETE", "/{iface}") => delete,
        _ => return None,
    })
}

fn node<'a>(call: &'a Call<'_>) -> &'a Node {
    &call.world.nodes[call.params.node()]
}

fn missing() -> Fail {
    Fail::parameter("iface", "interface does not exist")
}

fn is_bridge(kind: &str) -> bool {
    matches!(kind, "bridge" | "OVSBridge")
}

/// Whether an interface is of the wanted type.
fn fits(wanted: &str, kind: &str) -> bool {
    match wanted {
        "any_bridge" | "any_local_bridge" => is_bridge(kind),
        "include_sdn" => true,
        _ => wanted == kind,
    }
}

fn list(call: &mut Call<'_>) -> Result<Value, Fail> {
    let node = node(call);
    let (now, coming) = (node.interfaces(), node.coming_interfaces());
    let wanted = call.params.get("type");
    let mut rows = Vec::new();
    let mut priority = 2;
    for (name, options) in &coming {
        let kind = options.get("type").map_or("", String::as_str);
        priority += 1;
        let path = format!("/sdn/zones/localnetwork/{name}");
        let seen = !is_bridge(kind)
            || call.world.version < Version::V8_4
            || call.world.may_any(call.caller, &path, &["SDN.Audit", "SDN.Use"])
            || call.may(&format!("/nodes/{}", node.name), "Sys.Audit");
        if seen && wanted.is_none_or(|wanted| fits(wanted, kind)) {
            let mut row = show(options, now.contains_key(name), priority);
            row["iface"] = json!(name);
            rows.push(row);
        }
    }
    // Bridges of virtual networks are in a file of their own; they are listed for
    // who asks for them. Source: Proxmox's `get_local_vnets`, from memory.
    if matches!(wanted, Some("any_bridge" | "include_sdn" | "vnet")) {
        let extra = call.world.sdn_bridges.iter().filter(|name| node.bridges.contains(*name));
        rows.extend(extra.map(|name| json!({"iface": name, "type": "vnet", "active": 1})));
    }
    if let Some(changes) = changes(&now, &coming) {
        call.beside.push(("changes", json!(changes)));
    }
    Ok(Value::Array(rows))
}

/// The interfaces file of a set of interfaces, by name.
fn stanza(name: &str, options: &Interface) -> Vec<String> {
    let mut lines = Vec::new();
    if options.get("autostart").is_some_and(|text| text == "1") {
        lines.push(format!("auto {name}"));
    }
    let method = if options.contains_key("cidr") { "static" } else { "manual" };
    lines.push(format!("iface {name} inet {method}"));
    for (key, label) in [
        ("cidr", "address"),
        ("gateway", "gateway"),
        ("bridge_ports", "bridge-ports"),
        ("mtu", "mtu"),
    ] {
        if let Some(text) = options.get(key) {
            lines.push(format!("\t{label} {}", if text.is_empty() { "none" } else { text }));
        }
    }
    lines
}

/// The difference between what is in use and what will be, as `diff -u` would
/// show it without context.
fn changes(now: &Interfaces, coming: &Interfaces) -> Option<String> {
    if now == coming {
        return None;
    }
    let mut text = String::from("--- /etc/network/interfaces\n+++ /etc/network/interfaces.new\n");
    let mut add = |sign: char, name: &str, options: &Interface| {
        for line in stanza(name, options) {
            text.push(sign);
            text.push_str(&line);
            text.push('\n');
        }
    };
    for (name, options) in now.iter().filter(|(name, options)| coming.get(*name) != Some(options)) {
        add('-', name, options);
    }
    for (name, options) in coming.iter().filter(|(name, options)| now.get(*name) != Some(options)) {
        add('+', name, options);
    }
    Some(text)
}

fn read(call: &mut Call<'_>) -> Result<Value, Fail> {
    let node = node(call);
    let name = call.params.text("iface");
    let coming = node.coming_interfaces();
    let at = coming.keys().position(|key| key == name).unwrap_or_default();
    let options = coming.get(name).ok_or_else(missing)?;
    Ok(show(options, node.interfaces().contains_key(name), at + 3))
}

/// The options among the parameters.
fn given(call: &Call<'_>) -> Interface {
    let left_out = ["node", "iface", "delete", "digest"];
    let texts = call.params.texts.iter();
    let mut options: Interface = texts
        .filter(|(name, _)| !left_out.contains(&name.as_str()))
        .map(|(name, text)| (name.clone(), text.clone()))
        .collect();
    join_address(&mut options);
    options
}

/// What an interface must not be.
fn check(all: &Interfaces, name: &str, options: &Interface) -> Result<(), Fail> {
    if options.contains_key("gateway") {
        let other =
            all.iter().find(|(other, options)| *other != name && options.contains_key("gateway"));
        if let Some((other, _)) = other {
            let text = format!("Default gateway already exists on interface '{other}'.");
            return Err(Fail::parameter("gateway", text));
        }
    }
    let kind = options.get("type").map_or("", String::as_str);
    let vlan = name.split_once('.').is_some() || name.starts_with("vlan");
    if kind == "vlan"
        && !vlan
        && !(options.contains_key("vlan-raw-device") && options.contains_key("vlan-id"))
    {
        return Err(Fail::parameter("vlan-raw-device", "vlan-raw-device option is required"));
    }
    Ok(())
}

fn store(call: &mut Call<'_>, all: Interfaces) {
    if let Some(node) = call.world.nodes.get_mut(call.params.node()) {
        let same = node.interfaces() == all;
        node.settings.new_interfaces = (!same).then_some(all);
    }
}

fn create(call: &mut Call<'_>) -> Result<Value, Fail> {
    let name = call.params.text("iface").to_owned();
    let mut all = node(call).coming_interfaces();
    if all.contains_key(&name) {
        return Err(Fail::parameter("iface", "interface already exists"));
    }
    let mut options = given(call);
    check(&all, &name, &options)?;
    // `eno1.5` says by its name what it is part of.
    if options.get("type").is_some_and(|kind| kind == "vlan")
        && let Some((device, tag)) = name.split_once('.')
    {
        options.entry("vlan-raw-device".into()).or_insert_with(|| device.to_owned());
        options.entry("vlan-id".into()).or_insert_with(|| tag.to_owned());
    }
    all.insert(name, options);
    store(call, all);
    Ok(Value::Null)
}

fn update(call: &mut Call<'_>) -> Result<Value, Fail> {
    let name = call.params.text("iface").to_owned();
    let mut all = node(call).coming_interfaces();
    let mut options = all.get(&name).cloned().ok_or_else(missing)?;
    for gone in words(call.params.text("delete")) {
        options.remove(gone);
        match gone {
            "address" | "netmask" => options.remove("cidr"),
            "address6" | "netmask6" => options.remove("cidr6"),
            _ => None,
        };
    }
    options.extend(given(call));
    check(&all, &name, &options)?;
    all.insert(name, options);
    store(call, all);
    Ok(Value::Null)
}

fn delete(call: &mut Call<'_>) -> Result<Value, Fail> {
    let mut all = node(call).coming_interfaces();
    all.remove(call.params.text("iface")).ok_or_else(missing)?;
    store(call, all);
    Ok(Value::Null)
}

fn revert(call: &mut Call<'_>) -> Result<Value, Fail> {
    if let Some(node) = call.world.nodes.get_mut(call.params.node()) {
        node.settings.new_interfaces = None;
    }
    Ok(Value::Null)
}

/// Takes the pending interfaces into use.
struct Reload {
    node: String,
}

impl Work for Reload {
    fn finish(
        &mut self,
        world: &mut World,
        _log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        let sdn = world.sdn_bridges.clone();
        let Some(node) = world.nodes.get_mut(&self.node) else { return Ok(Step::Done) };
        if let Some(new) = node.settings.new_interfaces.take() {
            let of_kind =
                |options: &Interface| options.get("type").is_some_and(|kind| is_bridge(kind));
            let bridges =
                new.iter().filter(|(_, options)| of_kind(options)).map(|(name, _)| name.clone());
            node.bridges = bridges.chain(sdn).collect();
            node.settings.interfaces = Some(new);
        }
        Ok(Step::Done)
    }
}

fn reload(call: &mut Call<'_>) -> Result<Value, Fail> {
    let node = call.params.node().to_owned();
    Ok(call.task("srvreload", "networking", Reload { node }))
}
