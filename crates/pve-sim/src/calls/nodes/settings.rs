//! What can be set on a node: time, name service, hosts, options, subscription.

use serde_json::{Map, Value, json};

use crate::calls::Plain;
use crate::calls::sections::{MODIFIED, typed, words};
use crate::engine::Call;
use crate::fail::Fail;
use crate::world::Node;
use crate::world::guest::sha1;
use crate::world::node::Settings;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path) {
        ("GET", "/time") => time,
        ("PUT", "/time") => set_time,
        ("GET", "/dns") => dns,
        ("PUT", "/dns") => set_dns,
        ("GET", "/hosts") => hosts,
        ("POST", "/hosts") => set_hosts,
        ("GET", "/config") => config,
        ("PUT", "/config") => set_config,
        ("GET", "/subscription") => subscription,
        ("PUT", "/subscription") => set_subscription,
        ("DELETE", "/subscription") => end_subscription,
        // Asks the shop again, which is not there.
        ("POST", "/subscription") => |_| Ok(Value::Null),
        ("POST", "/wakeonlan") => wake,
        _ => return None,
    })
}

fn node<'a>(call: &'a Call<'_>) -> &'a Node {
    &call.world.nodes[call.params.node()]
}

fn change(call: &mut Call<'_>, set: impl FnOnce(&mut Settings)) -> Result<Value, Fail> {
    if let Some(node) = call.world.nodes.get_mut(call.params.node()) {
        set(&mut node.settings);
    }
    Ok(Value::Null)
}

/// The offset of a zone is not simulated: local time is UTC.
fn time(call: &mut Call<'_>) -> Result<Value, Fail> {
    let now = call.world.now.as_secs();
    let zone = node(call).settings.timezone.clone().unwrap_or_else(|| "Etc/UTC".into());
    Ok(json!({"time": now, "localtime": now, "timezone": zone}))
}

fn set_time(call: &mut Call<'_>) -> Result<Value, Fail> {
    let zone = call.params.text("timezone").to_owned();
    change(call, |settings| settings.timezone = Some(zone))
}

fn dns(call: &mut Call<'_>) -> Result<Value, Fail> {
    Ok(match &node(call).settings.dns {
        Some(set) => json!(set),
        None => json!({"dns1": "10.255.255.53"}),
    })
}

fn set_dns(call: &mut Call<'_>) -> Result<Value, Fail> {
    let known = ["search", "dns1", "dns2", "dns3"];
    let texts = call.params.texts.iter().filter(|(name, _)| known.contains(&name.as_str()));
    let set = texts.map(|(name, text)| (name.clone(), text.clone())).collect();
    change(call, |settings| settings.dns = Some(set))
}

fn hosts_of(node: &Node) -> String {
    let default = || {
        let Node { name, address, .. } = node;
        format!("127.0.0.1 localhost\n{address} {name}.example.invalid {name}\n")
    };
    node.settings.hosts.clone().unwrap_or_else(default)
}

fn hosts(call: &mut Call<'_>) -> Result<Value, Fail> {
    let text = hosts_of(node(call));
    Ok(json!({"data": text, "digest": sha1(text.as_bytes())}))
}

fn set_hosts(call: &mut Call<'_>) -> Result<Value, Fail> {
    let now = sha1(hosts_of(node(call)).as_bytes());
    if call.params.get("digest").is_some_and(|digest| digest != now) {
        return Err(Fail::new(MODIFIED));
    }
    let text = call.params.text("data").to_owned();
    change(call, |settings| settings.hosts = Some(text))
}

fn config(call: &mut Call<'_>) -> Result<Value, Fail> {
    let options = &node(call).settings.options;
    let wanted = call.params.get("property");
    let mut row = Map::new();
    for (name, text) in options.iter().filter(|(name, _)| wanted.is_none_or(|one| *name == one)) {
        row.insert(name.clone(), typed(call.world, "/nodes/x/config", name, text));
    }
    if !options.is_empty() {
        row.insert("digest".into(), json!(sha1(format!("{options:?}").as_bytes())));
    }
    Ok(Value::Object(row))
}

fn set_config(call: &mut Call<'_>) -> Result<Value, Fail> {
    let now = sha1(format!("{:?}", node(call).settings.options).as_bytes());
    if call.params.get("digest").is_some_and(|digest| digest != now) {
        return Err(Fail::new(MODIFIED));
    }
    let params = call.params;
    change(call, |settings| {
        for name in words(params.text("delete")) {
            settings.options.remove(name);
        }
        for (name, text) in &params.texts {
            if !matches!(name.as_str(), "node" | "delete" | "digest") {
                settings.options.insert(name.clone(), text.clone());
            }
        }
    })
}

/// With a key it is a valid one: the shop that tells is not there. What the
/// levels are called is from memory.
fn subscription(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = sha1(call.params.node().as_bytes())[..32].to_uppercase();
    let url = "https://www.proxmox.com/en/proxmox-virtual-environment/pricing";
    let Some(key) = node(call).settings.subscription.clone() else {
        return Ok(json!({
            "status": "notfound", "message": "There is no subscription key", "serverid": id,
            "url": url,
        }));
    };
    let (sockets, level) = (key.get(3..4).unwrap_or("1"), key.get(4..5).unwrap_or("c"));
    let name = match level {
        "b" => "Basic",
        "s" => "Standard",
        "p" => "Premium",
        _ => "Community",
    };
    Ok(json!({
        "status": "active", "key": key, "level": level, "serverid": id, "url": url,
        "sockets": sockets.parse::<u32>().unwrap_or(1), "checktime": call.world.now.as_secs(),
        "productname": format!("Proxmox VE {name} Subscription {sockets} CPUs/year"),
    }))
}

fn set_subscription(call: &mut Call<'_>) -> Result<Value, Fail> {
    let key = call.params.text("key").trim().to_owned();
    change(call, |settings| settings.subscription = Some(key))
}

fn end_subscription(call: &mut Call<'_>) -> Result<Value, Fail> {
    change(call, |settings| settings.subscription = None)
}

fn wake(call: &mut Call<'_>) -> Result<Value, Fail> {
    let name = call.params.node().to_owned();
    let set = node(call).settings.options.get("wakeonlan");
    let mac = set
        .and_then(|text| text.split(',').next())
        .map(|mac| mac.trim_start_matches("mac=").to_owned());
    let mac =
        mac.ok_or_else(|| Fail::new(format!("No wake on LAN MAC address defined for '{name}'!")))?;
    if let Some(node) = call.world.nodes.get_mut(&name) {
        node.online = true;
    }
    Ok(json!(mac))
}
