//! `/nodes/{node}/lxc`: containers. They are records of the world with every
//! backend: nothing runs in them.

use serde_json::{Map, Value, json};

use super::Plain;
use super::guests::{self, Ct, rrd, snapshot};
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::Version;
use crate::world::World;
use crate::world::guest::{Drive, Guest, Kind, parse_size};

mod clone;
mod config;
mod create;
mod destroy;
mod migrate;
pub(crate) mod options;
mod relocate;
mod resize;
pub(crate) mod rights;
pub(crate) mod status;
mod template;
pub(crate) mod volumes;

/// The handlers of this folder; `rest` is the path below `/nodes/{node}/lxc`.
pub(crate) fn handler(verb: &str, rest: &str) -> Option<Plain> {
    let Some(rest) = rest.strip_prefix("/{vmid}") else {
        return match (verb, rest) {
            ("GET", "") => Some(list),
            ("POST", "") => Some(create::create),
            _ => None,
        };
    };
    Some(match (verb, rest) {
        ("GET", "") => index,
        ("DELETE", "") => destroy::destroy,
        ("GET", "/config") => guests::config::read::<Ct>,
        ("PUT", "/config") => config::update,
        ("GET", "/pending") => guests::config::pending::<Ct>,
        ("PUT", "/resize") => resize::resize,
        ("POST", "/move_volume") => relocate::relocate,
        ("POST", "/clone") => clone::clone,
        ("POST", "/template") => template::convert,
        ("GET", "/migrate") => migrate::conditions,
        ("POST", "/migrate") => migrate::migrate,
        ("POST", "/remote_migrate") => migrate::remote,
        ("GET", "/feature") => feature,
        ("GET", "/interfaces") => interfaces,
        ("GET", "/rrddata") => rrd::data::<Ct>,
        ("GET", "/rrd") => rrd::picture::<Ct>,
        ("GET", "/status") => status::index,
        ("GET", "/status/current") => status::current,
        ("POST", "/status/start") => status::start,
        ("POST", "/status/stop") => status::stop,
        ("POST", "/status/shutdown") => status::shutdown,
        ("POST", "/status/reboot") => status::reboot,
        ("POST", "/status/suspend") => status::suspend,
        ("POST", "/status/resume") => status::resume,
        _ => return snapshot::handler::<Ct>(verb, rest),
    })
}

fn index(call: &mut Call<'_>) -> Result<Value, Fail> {
    call.world.ct(call.params.node(), call.params.vmid())?;
    let names = [
        "config",
        "pending",
        "status",
        "vncproxy",
        "termproxy",
        "vncwebsocket",
        "spiceproxy",
        "migrate",
        "clone",
        "rrd",
        "rrddata",
        "firewall",
        "snapshot",
        "resize",
        "interfaces",
    ];
    Ok(names.iter().map(|name| json!({"subdir": name})).collect())
}

/// What the file system of a running container's root uses. Source: recorded
/// from a tiny template.
const USED: u64 = 2_174_976;

/// The figures that lists and `status/current` share.
pub(crate) fn figures(world: &World, guest: &Guest) -> Map<String, Value> {
    let process = guest.process.as_ref();
    let host = world.nodes.get(&guest.node).map_or(1, |node| u64::from(node.cpus));
    let root = Drive::parse(guest.config.get("rootfs").map_or("", String::as_str));
    let size = root.get("size").and_then(parse_size).unwrap_or(0);
    let mut row = guests::figures::common(world, guest);
    let mut set = |key: &str, value: Value| row.insert(key.to_owned(), value);
    set("type", json!("lxc"));
    set("cpus", json!(guest.number("cores", host)));
    set("maxswap", json!(guest.number("swap", 512) << 20));
    // The file system of a mounted root is a little smaller than its volume.
    set("maxdisk", json!(if process.is_some() { size - size / 30 } else { size }));
    set("disk", json!(if process.is_some() { USED.min(size) } else { 0 }));
    set("mem", json!(if process.is_some() { guest.memory() / 8 } else { 0 }));
    for counter in ["swap", "diskread", "diskwrite"] {
        set(counter, json!(0));
    }
    if process.is_some() && world.version == Version::V9_2 {
        for name in ["cpusome", "cpufull", "iosome", "iofull", "memorysome", "memoryfull"] {
            set(&format!("pressure{name}"), Value::Null);
        }
    }
    row
}

fn list(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    let seen = world.guests_of(call.params.node()).filter(|guest| {
        guest.kind == Kind::Lxc
            && world.may(call.caller, &format!("/vms/{}", guest.vmid), "VM.Audit")
    });
    Ok(seen.map(|guest| Value::Object(figures(world, guest))).collect())
}

/// `GET …/feature`
fn feature(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    let guest = world.ct(call.params.node(), call.params.vmid())?;
    let has = match call.params.text("feature") {
        "snapshot" => snapshot::is_possible(world, guest),
        "clone" => guest.disks().iter().all(|(_, drive)| volumes::can_link(world, guest, drive)),
        _ => guest.process.is_none() || snapshot::is_possible(world, guest),
    };
    Ok(json!({"hasFeature": u8::from(has)}))
}

/// `GET …/interfaces`: the loopback and what the configuration says (fact 66).
fn interfaces(call: &mut Call<'_>) -> Result<Value, Fail> {
    let vmid = call.params.vmid();
    let guest = call.world.ct(call.params.node(), vmid)?;
    if guest.process.is_none() {
        return Err(Fail::new(format!("CT {vmid} not running")));
    }
    let row = |name: &str, mac: &str| {
        let mac = mac.to_lowercase();
        json!({"name": name, "hwaddr": mac, "hardware-address": mac, "ip-addresses": []})
    };
    let mut rows = vec![row("lo", "00:00:00:00:00:00")];
    for (key, text) in &guest.config {
        if !key.starts_with("net") {
            continue;
        }
        let net = Drive::parse(text);
        let mut row =
            row(net.get("name").unwrap_or_default(), net.get("hwaddr").unwrap_or_default());
        row["ip-addresses"] = addresses(&net);
        rows.push(row);
    }
    Ok(Value::Array(rows))
}

/// The static addresses of a network card.
fn addresses(net: &Drive) -> Value {
    let of = |key: &str, kind: &str| {
        let (address, prefix) = net.get(key)?.split_once('/')?;
        let prefix: u32 = prefix.parse().ok()?;
        Some(json!({"ip-address": address, "ip-address-type": kind, "prefix": prefix}))
    };
    [of("ip", "inet"), of("ip6", "inet6")].into_iter().flatten().collect()
}
