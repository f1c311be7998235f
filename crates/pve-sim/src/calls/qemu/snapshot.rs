//! Snapshots: a tree of saved configurations.

use serde_json::{Value, json};

use super::{Plain, config};
use crate::engine::Call;
use crate::fail::Fail;
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;
use crate::world::guest::{Guest, Snapshot};

/// The handlers of this file; `rest` is the path below `/qemu/{vmid}`.
pub(crate) fn handler(verb: &str, rest: &str) -> Option<Plain> {
    Some(match (verb, rest.strip_prefix("/snapshot")?) {
        ("GET", "") => list,
        ("POST", "") => create,
        ("GET", "/{snapname}") => index,
        ("DELETE", "/{snapname}") => delete,
        ("GET", "/{snapname}/config") => read,
        ("PUT", "/{snapname}/config") => describe,
        ("POST", "/{snapname}/rollback") => rollback,
        _ => return None,
    })
}

fn list(call: &mut Call<'_>) -> Result<Value, Fail> {
    let guest = call.world.vm(call.params.node(), call.params.vmid())?;
    let mut rows = Vec::new();
    for (name, snapshot) in &guest.snapshots {
        let mut row = json!({
            "name": name, "description": snapshot.description, "snaptime": snapshot.time.as_secs(),
            "vmstate": u8::from(snapshot.with_memory),
        });
        if let Some(parent) = &snapshot.parent {
            row["parent"] = json!(parent);
        }
        rows.push(row);
    }
    let mut current = json!({
        "name": "current", "description": "You are here!", "running": u8::from(guest.process.is_some()),
        "digest": guest.digest(),
    });
    if let Some(parent) = &guest.parent {
        current["parent"] = json!(parent);
    }
    rows.push(current);
    Ok(Value::Array(rows))
}

fn index(_: &mut Call<'_>) -> Result<Value, Fail> {
    Ok(json!([{"cmd": "rollback"}, {"cmd": "config"}]))
}

fn find<'a>(guest: &'a Guest, name: &str) -> Result<&'a Snapshot, Fail> {
    guest.snapshots.get(name).ok_or_else(|| Fail::new(format!("snapshot '{name}' does not exist")))
}

fn read(call: &mut Call<'_>) -> Result<Value, Fail> {
    let guest = call.world.vm(call.params.node(), call.params.vmid())?;
    let snapshot = find(guest, call.params.text("snapname"))?;
    let mut row = config::show(call.world, &snapshot.config);
    // The hash of the password shows here (fact 84).
    if let Some(hash) = snapshot.config.get("cipassword") {
        row.insert("cipassword".into(), json!(hash));
    }
    row.insert("snaptime".into(), json!(snapshot.time.as_secs()));
    row.insert("description".into(), json!(snapshot.description));
    if let Some(parent) = &snapshot.parent {
        row.insert("parent".into(), json!(parent));
    }
    Ok(Value::Object(row))
}

fn describe(call: &mut Call<'_>) -> Result<Value, Fail> {
    let name = call.params.text("snapname");
    let text = call.params.get("description").map(str::to_owned);
    let guest = call.world.vm_mut(call.params.node(), call.params.vmid())?;
    find(guest, name)?;
    if let (Some(snapshot), Some(text)) = (guest.snapshots.get_mut(name), text) {
        snapshot.description = text;
    }
    Ok(Value::Null)
}

/// `GET …/feature`
pub(crate) fn feature(call: &mut Call<'_>) -> Result<Value, Fail> {
    let guest = call.world.vm(call.params.node(), call.params.vmid())?;
    let has = match call.params.text("feature") {
        "snapshot" => can_snapshot(call.world, guest),
        "clone" => guest.is_template(),
        _ => true,
    };
    Ok(json!({"hasFeature": u8::from(has), "nodes": [guest.node]}))
}

fn can_snapshot(world: &World, guest: &Guest) -> bool {
    guest.drives().filter(|(_, drive)| !drive.is_cdrom()).all(|(_, drive)| {
        let Some(key) = world.key_of(&guest.node, &drive.volume) else { return false };
        let format = world.volumes.get(&key).map_or("", |volume| volume.format.as_str());
        world.storages.get(&key.0).is_some_and(|storage| storage.can_snapshot(format))
    })
}

fn create(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    let name = call.params.text("snapname").to_owned();
    call.world.vm(&node, vmid)?;
    if name == "current" || name == "pending" {
        return Err(Fail::new(format!("unable to use snapshot name '{name}' (reserved name)")));
    }
    let what = What::Create {
        description: call.params.text("description").to_owned(),
        with_memory: call.params.flag("vmstate"),
    };
    Ok(call.task("qmsnapshot", &vmid.to_string(), Snap { node, vmid, name, what }))
}

fn delete(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    let name = call.params.text("snapname").to_owned();
    Ok(call.task("qmdelsnapshot", &vmid.to_string(), Snap { node, vmid, name, what: What::Delete }))
}

fn rollback(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    let name = call.params.text("snapname").to_owned();
    Ok(call.task("qmrollback", &vmid.to_string(), Snap { node, vmid, name, what: What::Rollback }))
}

enum What {
    Create { description: String, with_memory: bool },
    Delete,
    Rollback,
}

struct Snap {
    node: String,
    vmid: u32,
    name: String,
    what: What,
}

impl Work for Snap {
    fn locks(&self) -> Option<u32> {
        Some(self.vmid)
    }

    fn begin(&mut self, world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        let guest = world.vm(&self.node, self.vmid).map_err(|fail| fail.text)?;
        guest.check_lock()?;
        if let What::Create { .. } = self.what {
            if guest.is_template() {
                return Err("you can't take a snapshot if it's a template".into());
            }
            if guest.snapshots.contains_key(&self.name) {
                return Err(format!("snapshot name '{}' already used", self.name));
            }
            if !can_snapshot(world, guest) {
                return Err("snapshot feature is not available".into());
            }
            for (device, drive) in guest.drives().filter(|(_, drive)| !drive.is_cdrom()) {
                log.push(format!("snapshotting 'drive-{device}' ({})", drive.volume));
            }
        } else {
            find(guest, &self.name).map_err(|fail| fail.text)?;
        }
        Ok(Vec::new())
    }

    fn effects(&mut self, _world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        // A rollback to a state without memory leaves the guest stopped.
        Ok(if matches!(self.what, What::Rollback) { vec![Op::Kill(self.vmid)] } else { Vec::new() })
    }

    fn finish(
        &mut self,
        world: &mut World,
        _log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        let (now, generation) = (world.now, world.uuid());
        let guest = world.vm_mut(&self.node, self.vmid).map_err(|fail| fail.text)?;
        let name = self.name.clone();
        match &self.what {
            What::Create { description, with_memory } => {
                let snapshot = Snapshot {
                    config: guest.config.clone(),
                    time: now,
                    description: description.clone(),
                    parent: guest.parent.replace(name.clone()),
                    with_memory: *with_memory && guest.process.is_some(),
                };
                guest.snapshots.insert(name, snapshot);
            }
            What::Delete => {
                let Some(gone) = guest.snapshots.remove(&name) else { return Ok(Step::Done) };
                for other in guest
                    .snapshots
                    .values_mut()
                    .filter(|other| other.parent.as_ref() == Some(&name))
                {
                    other.parent.clone_from(&gone.parent);
                }
                if guest.parent.as_ref() == Some(&name) {
                    guest.parent = gone.parent;
                }
            }
            What::Rollback => {
                let Some(snapshot) = guest.snapshots.get(&name) else { return Ok(Step::Done) };
                guest.config = snapshot.config.clone();
                guest.config.insert("vmgenid".into(), generation);
                guest.pending.clear();
                guest.parent = Some(name);
                guest.halt(now);
            }
        }
        Ok(Step::Done)
    }
}
