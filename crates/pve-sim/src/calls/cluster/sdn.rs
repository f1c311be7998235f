//! `/cluster/sdn`: zones, virtual networks, subnets, controllers, address
//! management and name services. Changes are pending until they are applied;
//! a virtual network is then a bridge of every node.

use serde_json::{Map, Value, json};

use super::{directory, sdn_lock};
use crate::calls::Plain;
use crate::calls::sections::{Act, Spec};
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::Version;
use crate::tasks::{Done, Step, Work};
use crate::world::World;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    let rest = path.strip_prefix("/sdn")?;
    if let Some(found) = objects(verb, rest) {
        return Some(found);
    }
    Some(match (verb, rest) {
        ("GET", "") => index,
        ("PUT", "") => apply,
        ("GET", "/vnets/{vnet}/subnets") => subnets,
        ("POST", "/vnets/{vnet}/subnets") => create_subnet,
        ("GET", "/vnets/{vnet}/subnets/{subnet}") => subnet,
        ("PUT", "/vnets/{vnet}/subnets/{subnet}") => {
            |call| changed(call, |call| SUBNETS.update(call))
        }
        ("DELETE", "/vnets/{vnet}/subnets/{subnet}") => {
            |call| changed(call, |call| SUBNETS.delete(call))
        }
        ("GET", "/fabrics") => |_| Ok(directory("subdir", &["fabric", "node", "all"])),
        ("GET", "/fabrics/fabric" | "/fabrics/node") => |_| Ok(json!([])),
        ("GET", "/fabrics/all") => |_| Ok(json!({"fabrics": [], "nodes": []})),
        ("GET", "/ipams/{ipam}/status") => |_| Ok(json!([])),
        _ => return None,
    })
}

/// The handlers of one kind of object: they differ in the file alone.
macro_rules! crud {
    ($verb:expr, $tail:expr, $spec:ident) => {
        match ($verb, $tail) {
            ("GET", "") => Some(|call: &mut Call<'_>| list(call, &$spec)),
            ("POST", "") => Some(|call: &mut Call<'_>| changed(call, |call| create(call, &$spec))),
            ("GET", _) => Some(|call: &mut Call<'_>| read(call, &$spec)),
            ("PUT", _) => Some(|call: &mut Call<'_>| changed(call, |call| $spec.update(call))),
            ("DELETE", _) => Some(|call: &mut Call<'_>| changed(call, |call| delete(call, &$spec))),
            _ => None,
        }
    };
}

fn objects(verb: &str, rest: &str) -> Option<Plain> {
    let rest = rest.strip_prefix('/')?;
    let (kind, tail) = rest.split_once('/').unwrap_or((rest, ""));
    if tail.contains('/') {
        return None;
    }
    match kind {
        "zones" => crud!(verb, tail, ZONES),
        "vnets" => crud!(verb, tail, VNETS),
        "controllers" => crud!(verb, tail, CONTROLLERS),
        "ipams" => crud!(verb, tail, IPAMS),
        "dns" => crud!(verb, tail, DNS),
        _ => None,
    }
}

const ZONES: Spec = Spec {
    file: "sdn/zones",
    id: "zone",
    create: "/cluster/sdn/zones",
    kind: Some("type"),
    secret: &[],
    taken: |id| taken("zone", id),
    missing: |id, act| missing("zone", id, act),
};
const VNETS: Spec = Spec {
    file: "sdn/vnets",
    id: "vnet",
    create: "/cluster/sdn/vnets",
    taken: |id| taken("vnet", id),
    missing: |id, act| missing("vnet", id, act),
    ..ZONES
};
const SUBNETS: Spec = Spec {
    file: "sdn/subnets",
    id: "subnet",
    create: "/cluster/sdn/vnets/x/subnets",
    taken: |id| taken("subnet", id),
    missing: |id, act| missing("subnet", id, act),
    ..ZONES
};
const CONTROLLERS: Spec = Spec {
    file: "sdn/controllers",
    id: "controller",
    create: "/cluster/sdn/controllers",
    taken: |id| taken("controller", id),
    missing: |id, act| missing("controller", id, act),
    ..ZONES
};
const IPAMS: Spec = Spec {
    file: "sdn/ipams",
    id: "ipam",
    create: "/cluster/sdn/ipams",
    secret: &["token"],
    taken: |id| taken("ipam", id),
    missing: |id, act| missing("ipam", id, act),
    ..ZONES
};
const DNS: Spec = Spec {
    file: "sdn/dns",
    id: "dns",
    create: "/cluster/sdn/dns",
    secret: &["key"],
    taken: |id| taken("dns", id),
    missing: |id, act| missing("dns", id, act),
    ..ZONES
};

fn taken(kind: &str, id: &str) -> Fail {
    let text = format!("sdn {kind} object ID '{id}' already defined");
    Fail::new(format!("create sdn {kind} object failed: {text}"))
}

fn missing(kind: &str, id: &str, act: Act) -> Fail {
    let text = format!("sdn '{id}' does not exist");
    Fail::new(match act {
        Act::Read => text,
        Act::Update => format!("update sdn {kind} object failed: {text}"),
        Act::Delete => format!("delete sdn {kind} object failed: {text}"),
    })
}

fn index(call: &mut Call<'_>) -> Result<Value, Fail> {
    let mut names = vec!["vnets", "zones", "controllers", "ipams", "dns"];
    if call.world.version == Version::V9_2 {
        names.push("fabrics");
    }
    Ok(directory("id", &names))
}

/// Marks the configuration as changed, when the change was good.
fn changed(
    call: &mut Call<'_>,
    run: fn(&mut Call<'_>) -> Result<Value, Fail>,
) -> Result<Value, Fail> {
    sdn_lock::check(call)?;
    let done = run(call)?;
    call.world.sdn_pending = true;
    Ok(done)
}

fn list(call: &mut Call<'_>, spec: &Spec) -> Result<Value, Fail> {
    let world = &*call.world;
    let kind = call.params.get("type");
    let area = spec.file;
    let seen = world.sections.all(spec.file).filter(|(id, section)| {
        let path = match section.values.get("zone") {
            Some(zone) if area == VNETS.file => format!("/sdn/zones/{zone}/{id}"),
            _ => format!("/{area}/{id}"),
        };
        kind.is_none_or(|kind| section.kind == kind)
            && world.may_any(call.caller, &path, &["SDN.Audit", "SDN.Use", "SDN.Allocate"])
    });
    let mut rows: Vec<Value> = seen.map(|(id, section)| spec.show(world, id, section)).collect();
    if area == IPAMS.file
        && world.sections.get(area, "pve").is_none()
        && kind.is_none_or(|kind| kind == "pve")
    {
        rows.push(json!({"ipam": "pve", "type": "pve", "digest": world.sections.digest(area)}));
    }
    Ok(Value::Array(rows))
}

/// A list's rights, for one object.
fn check(call: &Call<'_>, id: &str, zone: Option<&str>) -> Result<(), Fail> {
    let Some(zone) = zone else { return Ok(()) };
    call.require(&format!("/sdn/zones/{zone}/{id}"), "SDN.Allocate")
}

fn zone_of(call: &Call<'_>, spec: &Spec, id: &str) -> Option<String> {
    if spec.file != VNETS.file {
        return None;
    }
    call.world.sections.get(spec.file, id)?.values.get("zone").cloned()
}

fn read(call: &mut Call<'_>, spec: &Spec) -> Result<Value, Fail> {
    let id = call.params.text(spec.id);
    check(call, id, zone_of(call, spec, id).as_deref())?;
    spec.read(call)
}

fn create(call: &mut Call<'_>, spec: &Spec) -> Result<Value, Fail> {
    let id = call.params.text(spec.id).to_owned();
    let mut section = spec.given(call);
    if spec.file == VNETS.file {
        let zone = call.params.text("zone");
        if call.world.sections.get(ZONES.file, zone).is_none() {
            return Err(Fail::new(format!(
                "create sdn vnet object failed: zone {zone} does not exist"
            )));
        }
        section.kind = "vnet".into();
    }
    if spec.file == ZONES.file && section.kind != "simple" {
        let needed = match section.kind.as_str() {
            "vlan" | "qinq" => "bridge",
            "vxlan" => "peers",
            _ => "controller",
        };
        if !section.values.contains_key(needed) {
            return Err(Fail::new(format!(
                "create sdn zone object failed: missing value for required option '{needed}'"
            )));
        }
    }
    spec.insert(call, &id, section)
}

fn delete(call: &mut Call<'_>, spec: &Spec) -> Result<Value, Fail> {
    let id = call.params.text(spec.id).to_owned();
    check(call, &id, zone_of(call, spec, &id).as_deref())?;
    let (users, name) = match spec.file {
        "sdn/zones" => (VNETS.file, "zone"),
        "sdn/vnets" => (SUBNETS.file, "vnet"),
        _ => return spec.delete(call),
    };
    let mut users = call.world.sections.all(users);
    if let Some((user, _)) = users.find(|(_, section)| section.values.get(name) == Some(&id)) {
        let what = if name == "zone" { "vnet" } else { "subnet" };
        return Err(Fail::new(format!(
            "delete sdn {name} object failed: {name} {id} is used by {what} {user}"
        )));
    }
    drop(users);
    spec.delete(call)
}

fn subnets(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    let vnet = call.params.text("vnet");
    let all = world.sections.all(SUBNETS.file);
    let of_vnet =
        all.filter(|(_, section)| section.values.get("vnet").is_some_and(|own| own == vnet));
    Ok(of_vnet.map(|(id, section)| show_subnet(SUBNETS.show(world, id, section))).collect())
}

fn subnet(call: &mut Call<'_>) -> Result<Value, Fail> {
    SUBNETS.read(call).map(show_subnet)
}

/// A subnet has its id twice, and its address ranges in parts, if it has any.
fn show_subnet(mut row: Value) -> Value {
    row["id"] = row["subnet"].clone();
    let ranges = row["dhcp-range"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let parts = |text: &str| -> Map<String, Value> {
        let pairs = text.split(',').filter_map(|part| part.split_once('='));
        pairs.map(|(key, value)| (key.to_owned(), json!(value))).collect()
    };
    row["dhcp-range"] = ranges.map(parts).collect::<Vec<_>>().into();
    row
}

/// A subnet's id is its zone and the network, with `-` for `/`.
fn create_subnet(call: &mut Call<'_>) -> Result<Value, Fail> {
    changed(call, |call| {
        let vnet = call.params.text("vnet").to_owned();
        let found = call.world.sections.get(VNETS.file, &vnet);
        let zone = found.and_then(|found| found.values.get("zone").cloned());
        let zone = zone.ok_or_else(|| missing("vnet", &vnet, Act::Read))?;
        let network = call.params.text("subnet").to_owned();
        let mut section = SUBNETS.given(call);
        section.kind = "subnet".into();
        section.values.insert("vnet".into(), vnet);
        section.values.insert("zone".into(), zone.clone());
        section.values.insert("cidr".into(), network.clone());
        if let Some((address, mask)) = network.split_once('/') {
            section.values.insert("network".into(), address.to_owned());
            section.values.insert("mask".into(), mask.to_owned());
        }
        SUBNETS.insert(call, &format!("{zone}-{}", network.replace('/', "-")), section)
    })
}

/// Brings the networks of all nodes up to date.
struct Apply;

impl Work for Apply {
    fn finish(
        &mut self,
        world: &mut World,
        log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        let vnets: Vec<String> = world.sections.all(VNETS.file).map(|(id, _)| id.clone()).collect();
        for node in world.nodes.values_mut().filter(|node| node.online) {
            node.bridges.retain(|bridge| !world.sdn_bridges.contains(bridge));
            // The host's own interfaces stay as they are.
            let own = node.interfaces();
            node.settings.interfaces.get_or_insert(own);
            node.bridges.extend(vnets.iter().cloned());
            log.push(format!("{}: reloading network config", node.name));
        }
        world.sdn_bridges = vnets.into_iter().collect();
        world.sdn_pending = false;
        world.sdn_applied = world.sections.part("sdn/");
        Ok(Step::Done)
    }
}

fn apply(call: &mut Call<'_>) -> Result<Value, Fail> {
    sdn_lock::check(call)?;
    sdn_lock::release(call);
    Ok(call.task_on(&call.world.entry.clone(), "reloadnetworkall", "", Apply))
}
