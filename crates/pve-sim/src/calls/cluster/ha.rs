//! `/cluster/ha`: resources, status, groups (7 and 8) and rules (9).
//!
//! A resource's guest is started or stopped when its wanted state is set, at
//! once and not after the manager's next rounds; nothing is moved or fenced.

use serde_json::{Value, json};

use super::directory;
use crate::calls::Plain;
use crate::calls::sections::{Act, Spec, words};
use crate::calls::{lxc, qemu};
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::Version;
use crate::world::World;
use crate::world::guest::Kind;
use crate::world::sections::{HA_RESOURCES, Section};

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path.strip_prefix("/ha")?) {
        ("GET", "") => index,
        ("GET", "/resources") => list,
        ("POST", "/resources") => add,
        ("GET", "/resources/{sid}") => read,
        ("PUT", "/resources/{sid}") => update,
        ("DELETE", "/resources/{sid}") => delete,
        ("POST", "/resources/{sid}/migrate" | "/resources/{sid}/relocate") => migrate,
        ("GET", "/status") => |_| Ok(directory("name", &["current", "manager_status"])),
        ("GET", "/status/current") => status,
        ("GET", "/status/manager_status") => manager_status,
        ("POST", "/status/arm-ha") => |call| arm(call, true),
        ("POST", "/status/disarm-ha") => |call| arm(call, false),
        ("GET", "/groups") => |call| groups(call, "index groups", |call| GROUPS.list(call)),
        ("POST", "/groups") => |call| groups(call, "create group", create_group),
        ("GET", "/groups/{group}") => |call| groups(call, "read group", |call| GROUPS.read(call)),
        ("PUT", "/groups/{group}") => {
            |call| groups(call, "update group", |call| GROUPS.update(call))
        }
        ("DELETE", "/groups/{group}") => |call| groups(call, "delete group", delete_group),
        ("GET", "/rules") => rules,
        ("POST", "/rules") => create_rule,
        ("GET", "/rules/{rule}") => |call| RULES.read(call),
        ("PUT", "/rules/{rule}") => |call| RULES.update(call),
        ("DELETE", "/rules/{rule}") => |call| RULES.delete(call),
        _ => return None,
    })
}

const RESOURCES: Spec = Spec {
    file: HA_RESOURCES,
    id: "sid",
    create: "/cluster/ha/resources",
    kind: Some("type"),
    secret: &[],
    taken: |id| Fail::new(format!("create resource failed: resource ID '{id}' already defined")),
    missing: |id, act| {
        Fail::new(match act {
            Act::Read => format!("no such resource '{id}'"),
            Act::Update => format!("update resource failed: no such resource '{id}'"),
            Act::Delete => format!("cannot delete service '{id}', not HA managed!"),
        })
    },
};

const GROUPS: Spec = Spec {
    file: "ha/groups",
    id: "group",
    create: "/cluster/ha/groups",
    kind: Some("type"),
    secret: &[],
    taken: |id| Fail::new(format!("create ha group failed: group ID '{id}' already defined")),
    missing: |id, act| {
        Fail::new(match act {
            Act::Read => format!("no such ha group '{id}'"),
            Act::Update => format!("update ha group failed: no such ha group '{id}'"),
            Act::Delete => format!("delete ha group failed: no such ha group '{id}'"),
        })
    },
};

const RULES: Spec = Spec {
    file: "ha/rules",
    id: "rule",
    create: "/cluster/ha/rules",
    kind: Some("type"),
    secret: &[],
    taken: |id| Fail::new(format!("create ha rule failed: HA rule '{id}' already defined")),
    missing: |id, _| Fail::new(format!("no such ha rule '{id}'")),
};

fn index(call: &mut Call<'_>) -> Result<Value, Fail> {
    let mut names = vec!["status", "resources", "groups"];
    if call.world.version == Version::V9_2 {
        names.push("rules");
    }
    Ok(directory("id", &names))
}

/// The full id of a resource: `vm:100` for `100`, with the guest's kind.
fn sid(call: &Call<'_>) -> String {
    let text = call.params.text("sid");
    let Ok(vmid) = text.parse::<u32>() else { return text.to_owned() };
    match call.world.guests.get(&vmid) {
        Some(guest) if guest.kind == Kind::Lxc => format!("ct:{vmid}"),
        _ => format!("vm:{vmid}"),
    }
}

fn show(call: &Call<'_>, id: &str, section: &Section) -> Value {
    let mut row = RESOURCES.show(call.world, id, section);
    if row.get("state").is_none() {
        row["state"] = json!("started");
    }
    row
}

fn list(call: &mut Call<'_>) -> Result<Value, Fail> {
    let wanted = call.params.get("type");
    let all = call.world.sections.all(HA_RESOURCES);
    let fits = all.filter(|(_, section)| wanted.is_none_or(|kind| section.kind == kind));
    Ok(fits.map(|(id, section)| show(call, id, section)).collect())
}

fn read(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = sid(call);
    let found = call.world.sections.get(HA_RESOURCES, &id);
    let section = found.ok_or_else(|| (RESOURCES.missing)(&id, Act::Read))?;
    Ok(show(call, &id, section))
}

/// `enabled` is the old name of `started`; groups ended with 9.
fn check(call: &Call<'_>, section: &mut Section) -> Result<(), Fail> {
    if let Some(state) = section.values.get_mut("state").filter(|state| *state == "enabled") {
        *state = "started".into();
    }
    let Some(group) = section.values.get("group") else { return Ok(()) };
    if call.world.version == Version::V9_2 {
        return Err(Fail::parameter("group", "ha groups have been migrated to rules"));
    }
    match call.world.sections.get(GROUPS.file, group) {
        Some(_) => Ok(()),
        None => Err(Fail::new(format!("HA group '{group}' does not exist"))),
    }
}

fn add(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = sid(call);
    let mut section = RESOURCES.given(call);
    let (kind, vmid) = id.split_once(':').unwrap_or(("", &id));
    let guest = vmid.parse::<u32>().ok().and_then(|vmid| call.world.guests.get(&vmid));
    let fits = guest.is_some_and(|guest| (guest.kind == Kind::Lxc) == (kind == "ct"));
    if !fits {
        return Err(Fail::new(format!("resource '{id}' does not exist in cluster")));
    }
    if !section.kind.is_empty() && section.kind != kind {
        return Err(Fail::parameter("type", "types does not match"));
    }
    section.kind = kind.to_owned();
    check(call, &mut section)?;
    let answer = RESOURCES.insert(call, &id, section)?;
    act(call, &id);
    Ok(answer)
}

/// Brings the guest of a resource into its wanted state.
fn act(call: &mut Call<'_>, id: &str) {
    let section = call.world.sections.get(HA_RESOURCES, id);
    let state = section.and_then(|section| section.values.get("state"));
    let start = match state.map_or("started", String::as_str) {
        "started" => true,
        "stopped" | "disabled" => false,
        _ => return,
    };
    let vmid = id.split_once(':').and_then(|(_, vmid)| vmid.parse().ok()).unwrap_or(0);
    let Some(guest) = call.world.guests.get(&vmid) else { return };
    if guest.process.is_some() == start || guest.is_template() {
        return;
    }
    let (kind, node) = (guest.kind, guest.node.clone());
    match kind {
        Kind::Qemu => qemu::status::managed(call, &node, vmid, start),
        Kind::Lxc => lxc::status::managed(call, &node, vmid, start),
    }
}

/// A managed guest that somebody starts or stops is wanted so from then on.
pub(crate) fn wanted(call: &mut Call<'_>, vmid: u32, state: &str) {
    let Some((id, _)) = call.world.ha_resource(vmid) else { return };
    if let Some(section) = call.world.sections.get_mut(HA_RESOURCES, &id)
        && section.values.get("state").is_none_or(|state| state != "ignored")
    {
        section.values.insert("state".into(), state.to_owned());
    }
}

fn update(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = sid(call);
    if call.world.sections.get(HA_RESOURCES, &id).is_none() {
        return Err((RESOURCES.missing)(&id, Act::Update));
    }
    RESOURCES.check_digest(call)?;
    let mut given = RESOURCES.given(call);
    check(call, &mut given)?;
    let gone: Vec<&str> = words(call.params.text("delete")).collect();
    if let Some(section) = call.world.sections.get_mut(HA_RESOURCES, &id) {
        section.values.retain(|name, _| !gone.contains(&name.as_str()));
        section.values.extend(given.values);
    }
    act(call, &id);
    Ok(Value::Null)
}

fn delete(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = sid(call);
    let gone = call.world.sections.remove(HA_RESOURCES, &id);
    gone.map(|_| Value::Null).ok_or_else(|| (RESOURCES.missing)(&id, Act::Delete))
}

/// Asks for a move. 9 says what it will do; nothing moves here.
fn migrate(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (id, node) = (sid(call), call.params.text("node"));
    if call.world.sections.get(HA_RESOURCES, &id).is_none() {
        return Err(Fail::new(format!("no such resource '{id}'")));
    }
    if !call.world.nodes.contains_key(node) {
        return Err(Fail::new(format!("no such cluster node '{node}'")));
    }
    Ok(match call.world.version {
        Version::V9_2 => json!({"sid": id, "requested-node": node}),
        _ => Value::Null,
    })
}

/// Whether the watchdog guards anything: with resources, and unless disarmed.
fn armed(world: &World) -> &'static str {
    if world.sections.get("ha/manager", "disarmed").is_some() {
        "disarmed"
    } else if world.sections.all(HA_RESOURCES).next().is_some() {
        "armed"
    } else {
        "standby"
    }
}

fn arm(call: &mut Call<'_>, on: bool) -> Result<Value, Fail> {
    if on {
        call.world.sections.remove("ha/manager", "disarmed");
    } else {
        call.world.sections.insert("ha/manager", "disarmed", Section::default());
    }
    Ok(Value::Null)
}

/// The state that a resource is in: what was asked for, at once.
fn state_of(world: &World, section: &Section) -> (String, &'static str) {
    let wanted = section.values.get("state").map_or("started", String::as_str);
    let state = match wanted {
        "disabled" | "stopped" => "stopped",
        "ignored" => "ignored",
        _ if !world.quorate => "freeze",
        _ => "started",
    };
    (wanted.to_owned(), state)
}

fn node_of(world: &World, sid: &str) -> String {
    let vmid = sid.split_once(':').and_then(|(_, vmid)| vmid.parse::<u32>().ok());
    vmid.and_then(|vmid| world.guests.get(&vmid))
        .map_or_else(|| world.entry.clone(), |guest| guest.node.clone())
}

fn status(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    let entry = &world.entry;
    let mut rows = vec![json!({
        "id": "quorum", "type": "quorum", "node": entry, "quorate": u8::from(world.quorate),
        "status": if world.quorate { "OK" } else { "No quorum on node!" },
    })];
    let time = world.now.as_secs();
    let resources: Vec<_> = world.sections.all(HA_RESOURCES).collect();
    if !resources.is_empty() {
        rows.push(json!({
            "id": "master", "type": "master", "node": entry, "timestamp": time,
            "status": format!("{entry} (active, {time})"),
        }));
    }
    if world.version == Version::V9_2 {
        let state = armed(world);
        let text = format!(
            "{state} (CRM watchdog {})",
            if state == "armed" { "active" } else { "standby" }
        );
        rows.push(json!({
            "id": "fencing", "type": "fencing", "node": entry, "status": text, "armed-state": state,
        }));
    }
    if !resources.is_empty() {
        rows.extend(world.nodes.keys().map(|node| {
            let busy = resources.iter().any(|(id, _)| node_of(world, id) == *node);
            let state = if busy { "active" } else { "idle" };
            json!({
                "id": format!("lrm:{node}"), "type": "lrm", "node": node, "timestamp": time,
                "status": format!("{node} ({state}, {time})"),
            })
        }));
    }
    for (id, section) in resources {
        let node = node_of(world, id);
        let (wanted, state) = state_of(world, section);
        let mut row = RESOURCES.show(world, id, section);
        if let Some(map) = row.as_object_mut() {
            map.remove("digest");
        }
        row["id"] = json!(format!("service:{id}"));
        row["type"] = json!("service");
        row["status"] = json!(format!("{id} ({node}, {state})"));
        row["node"] = json!(node);
        row["state"] = json!(state);
        row["crm_state"] = json!(state);
        row["request_state"] = json!(wanted);
        for (name, default) in [("max_restart", 1), ("max_relocate", 1)] {
            if row.get(name).is_none() {
                row[name] = json!(default);
            }
        }
        rows.push(row);
    }
    Ok(Value::Array(rows))
}

fn manager_status(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    let mut services = json!({});
    for (id, section) in world.sections.all(HA_RESOURCES) {
        let (_, state) = state_of(world, section);
        services[id] = json!({"node": node_of(world, id), "state": state, "uid": world.sections.digest(HA_RESOURCES)});
    }
    let mut nodes = json!({});
    let mut lrm = json!({});
    for node in world.nodes.values() {
        nodes[&node.name] = json!(if node.online { "online" } else { "unknown" });
        lrm[&node.name] = json!({"mode": "active", "state": "active", "results": {}, "timestamp": world.now.as_secs()});
    }
    Ok(json!({
        "manager_status": {
            "master_node": world.entry, "node_status": nodes, "service_status": services,
            "timestamp": world.now.as_secs(),
        },
        "lrm_status": lrm, "quorum": {"node": world.entry, "quorate": u8::from(world.quorate)},
    }))
}

/// 9 knows groups only to say where they went (fact 85).
fn groups(
    call: &mut Call<'_>,
    act: &str,
    run: fn(&mut Call<'_>) -> Result<Value, Fail>,
) -> Result<Value, Fail> {
    if call.world.version == Version::V9_2 {
        return Err(Fail::new(format!("cannot {act}: ha groups have been migrated to rules")));
    }
    run(call)
}

fn create_group(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("group").to_owned();
    let mut section = GROUPS.given(call);
    section.kind = "group".into();
    GROUPS.insert(call, &id, section)
}

fn delete_group(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("group");
    let uses = |section: &Section| section.values.get("group").is_some_and(|group| group == id);
    let user = call.world.sections.all(HA_RESOURCES).find(|(_, section)| uses(section));
    if let Some((sid, _)) = user {
        return Err(Fail::new(format!(
            "delete ha group failed: ha group is used by service '{sid}'"
        )));
    }
    GROUPS.delete(call)
}

fn rules(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (kind, resource) = (call.params.get("type"), call.params.get("resource"));
    let world = &*call.world;
    let fits = world.sections.all(RULES.file).filter(|(_, section)| {
        let has = |wanted: &str| {
            section.values.get("resources").is_some_and(|text| words(text).any(|sid| sid == wanted))
        };
        kind.is_none_or(|kind| section.kind == kind) && resource.is_none_or(has)
    });
    Ok(fits.map(|(id, section)| RULES.show(world, id, section)).collect())
}

/// The schema leaves a rule's options open: what is required is checked here.
fn create_rule(call: &mut Call<'_>) -> Result<Value, Fail> {
    let section = RULES.given(call);
    let id = call.params.text("rule").to_owned();
    let needed: &[&str] = match section.kind.as_str() {
        "node-affinity" => &["resources", "nodes"],
        "resource-affinity" => &["resources", "affinity"],
        _ => &[],
    };
    let mut missing: Vec<&str> =
        needed.iter().copied().filter(|name| !section.values.contains_key(*name)).collect();
    missing.extend(id.is_empty().then_some("rule"));
    missing.extend(section.kind.is_empty().then_some("type"));
    if !missing.is_empty() {
        let text = crate::schema::check::MISSING;
        return Err(Fail::parameters(
            missing.iter().map(|name| ((*name).to_owned(), text.to_owned())).collect(),
        ));
    }
    RULES.insert(call, &id, section)
}
