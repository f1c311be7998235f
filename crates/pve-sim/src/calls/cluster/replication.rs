//! `/cluster/replication`, and what a node says about it. Jobs are kept and
//! shown; nothing is replicated.

use serde_json::{Value, json};

use crate::calls::Plain;
use crate::calls::sections::{Act, Spec};
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::Version;
use crate::world::World;
use crate::world::guest::{Guest, Kind};
use crate::world::sections::Section;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path.strip_prefix("/replication")?) {
        ("GET", "") => list,
        ("POST", "") => create,
        ("GET", "/{id}") => read,
        ("PUT", "/{id}") => update,
        ("DELETE", "/{id}") => delete,
        _ => return None,
    })
}

const JOBS: Spec = Spec {
    file: "replication",
    id: "id",
    create: "/cluster/replication",
    kind: Some("type"),
    secret: &[],
    taken: |id| {
        Fail::new(format!("create replication job failed: replication job '{id}' already exists"))
    },
    missing: |id, act| match act {
        Act::Read => Fail::parameter("id", format!("no such job '{id}'")),
        _ => Fail::new(format!("no such replication job '{id}'")),
    },
};

fn guest_of(id: &str) -> (u32, u32) {
    let (guest, number) = id.split_once('-').unwrap_or((id, "0"));
    (guest.parse().unwrap_or(0), number.parse().unwrap_or(0))
}

fn show(world: &World, id: &str, section: &Section) -> Value {
    let (guest, number) = guest_of(id);
    let mut row = JOBS.show(world, id, section);
    row["guest"] = json!(guest);
    row["jobnum"] = json!(number);
    if row.get("schedule").is_none() {
        row["schedule"] = json!("*/15");
    }
    row
}

/// Whether the caller may see or change the jobs of a guest.
fn may(call: &Call<'_>, id: &str, write: bool) -> Result<(), Fail> {
    let path = format!("/vms/{}", guest_of(id).0);
    if !write {
        return call.require(&path, "VM.Audit");
    }
    match call.world.version {
        Version::V9_2 => call.require(&path, "VM.Replicate"),
        _ => call.require("/storage", "Datastore.Allocate"),
    }
}

fn list(call: &mut Call<'_>) -> Result<Value, Fail> {
    let all = call.world.sections.all(JOBS.file);
    let seen = all.filter(|(id, _)| may(call, id, false).is_ok());
    Ok(seen.map(|(id, section)| show(call.world, id, section)).collect())
}

fn create(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("id").to_owned();
    may(call, &id, true)?;
    let section = JOBS.given(call);
    let vmid = guest_of(&id).0;
    let guest = call.world.guests.get(&vmid);
    let source = guest.map(|guest| guest.node.clone());
    let source = source.ok_or_else(|| Fail::new(format!("guest '{vmid}' does not exist")))?;
    let target = call.params.text("target");
    if !call.world.nodes.contains_key(target) {
        return Err(Fail::parameter("target", format!("no such cluster node '{target}'")));
    }
    if source == target {
        return Err(Fail::parameter("target", "source and target node are the same"));
    }
    JOBS.insert(call, &id, section)
}

fn read(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("id");
    may(call, id, false)?;
    let found = call.world.sections.get(JOBS.file, id);
    let section = found.ok_or_else(|| (JOBS.missing)(id, Act::Read))?;
    Ok(show(call.world, id, section))
}

fn update(call: &mut Call<'_>) -> Result<Value, Fail> {
    may(call, call.params.text("id"), true)?;
    JOBS.update(call)
}

fn delete(call: &mut Call<'_>) -> Result<Value, Fail> {
    may(call, call.params.text("id"), true)?;
    JOBS.delete(call)
}

/// The jobs of the guests on a node, with their state: none has ever run.
pub(crate) fn of_node(call: &Call<'_>) -> Vec<Value> {
    let (world, node) = (&*call.world, call.params.node());
    let mut rows = Vec::new();
    for (id, section) in world.sections.all(JOBS.file) {
        let Some(guest) = world.guests.get(&guest_of(id).0).filter(|guest| guest.node == node)
        else {
            continue;
        };
        if may(call, id, false).is_err() {
            continue;
        }
        rows.push(state(world, id, section, guest));
    }
    rows
}

/// A job with its state: nothing is ever sent.
fn state(world: &World, id: &str, section: &Section, guest: &Guest) -> Value {
    let mut row = show(world, id, section);
    row["vmtype"] = json!(if guest.kind == Kind::Qemu { "qemu" } else { "lxc" });
    row["source"] = json!(guest.node);
    for name in ["duration", "fail_count", "last_sync", "last_try"] {
        row[name] = json!(0);
    }
    row["next_sync"] = json!((world.now.as_secs() / 900 + 1) * 900);
    row
}

/// The first job of a guest.
pub(crate) fn job_of(world: &World, vmid: u32) -> Option<String> {
    let mut ids = world.sections.all(JOBS.file).map(|(id, _)| id);
    ids.find(|id| guest_of(id).0 == vmid).cloned()
}

/// The job that a call about a node names, and its guest.
fn named<'a>(call: &'a Call<'_>) -> Result<(&'a Section, &'a Guest), Fail> {
    let (id, node) = (call.params.text("id"), call.params.node());
    may(call, id, false)?;
    let guest = call.world.guests.get(&guest_of(id).0).filter(|guest| guest.node == node);
    let section = call.world.sections.get(JOBS.file, id);
    section.zip(guest).ok_or_else(|| Fail::new(format!("no such replication job '{id}'")))
}

/// `GET /nodes/{node}/replication/{id}/status`
pub(crate) fn status(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (section, guest) = named(call)?;
    Ok(state(call.world, call.params.text("id"), section, guest))
}

/// `GET /nodes/{node}/replication/{id}/log`: no job has run.
pub(crate) fn log(call: &mut Call<'_>) -> Result<Value, Fail> {
    named(call)?;
    call.total = Some(1);
    Ok(json!([{"n": 1, "t": "no content"}]))
}
