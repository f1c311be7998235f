//! Snapshots: a tree of saved configurations.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::time::Duration;

use serde_json::{Value, json};

use super::Family;
use crate::calls::Plain;
use crate::engine::Call;
use crate::fail::Fail;
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;
use crate::world::guest::{Config, Drive, Guest, Kind, Snapshot, parse_size};
use crate::world::guest_find::disks_of;
use crate::world::storage::{Key, Volume, volid};

/// The handlers of this file; `rest` is the path below `…/{vmid}`.
pub(crate) fn handler<F: Family>(verb: &str, rest: &str) -> Option<Plain> {
    Some(match (verb, rest.strip_prefix("/snapshot")?) {
        ("GET", "") => list::<F>,
        ("POST", "") => create::<F>,
        ("GET", "/{snapname}") => index,
        ("DELETE", "/{snapname}") => delete::<F>,
        ("GET", "/{snapname}/config") => read::<F>,
        ("PUT", "/{snapname}/config") => describe::<F>,
        ("POST", "/{snapname}/rollback") => rollback::<F>,
        _ => return None,
    })
}

fn list<F: Family>(call: &mut Call<'_>) -> Result<Value, Fail> {
    let guest = call.world.guest_at(F::KIND, call.params.node(), call.params.vmid())?;
    let mut rows = Vec::new();
    for (name, snapshot) in &guest.snapshots {
        let mut row = json!({
            "name": name, "description": snapshot.description, "snaptime": snapshot.time.as_secs(),
        });
        if F::KIND == Kind::Qemu {
            row["vmstate"] = json!(u8::from(snapshot.with_memory));
        }
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

fn read<F: Family>(call: &mut Call<'_>) -> Result<Value, Fail> {
    let guest = call.world.guest_at(F::KIND, call.params.node(), call.params.vmid())?;
    let snapshot = find(guest, call.params.text("snapname"))?;
    let mut row = super::config::show(call.world, F::KIND, &snapshot.config);
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

fn describe<F: Family>(call: &mut Call<'_>) -> Result<Value, Fail> {
    let name = call.params.text("snapname");
    let text = call.params.get("description").map(str::to_owned);
    let guest = call.world.guest_at_mut(F::KIND, call.params.node(), call.params.vmid())?;
    find(guest, name)?;
    if let (Some(snapshot), Some(text)) = (guest.snapshots.get_mut(name), text) {
        snapshot.description = text;
    }
    Ok(Value::Null)
}

/// Whether every volume of a guest lies where snapshots can be taken. Containers
/// on directories have raw files, which cannot (fact 69).
pub(crate) fn is_possible(world: &World, guest: &Guest) -> bool {
    guest.disks().iter().all(|(_, drive)| {
        let Ok((key, volume)) = world.volume_at(&guest.node, &drive.volume) else { return false };
        let storage = world.storages.get(&key.0);
        storage.is_some_and(|storage| storage.can_snapshot(&volume.format))
    })
}

fn create<F: Family>(call: &mut Call<'_>) -> Result<Value, Fail> {
    let name = call.params.text("snapname").to_owned();
    let guest = call.world.guest_at(F::KIND, call.params.node(), call.params.vmid());
    if F::KIND == Kind::Qemu {
        guest?;
    }
    if name == "current" || name == "pending" {
        return Err(Fail::new(format!("unable to use snapshot name '{name}' (reserved name)")));
    }
    let what = What::Create {
        description: call.params.text("description").to_owned(),
        with_memory: call.params.flag("vmstate"),
    };
    Ok(begin::<F>(call, "snapshot", what))
}

fn delete<F: Family>(call: &mut Call<'_>) -> Result<Value, Fail> {
    Ok(begin::<F>(call, "delsnapshot", What::Delete))
}

fn rollback<F: Family>(call: &mut Call<'_>) -> Result<Value, Fail> {
    let start = call.params.flag("start");
    Ok(begin::<F>(call, "rollback", What::Rollback { start }))
}

fn begin<F: Family>(call: &mut Call<'_>, task: &str, what: What) -> Value {
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    let name = call.params.text("snapname").to_owned();
    let force = call.params.flag("force");
    let work = Snap::<F> { node, vmid, name, what, force, state: None, family: PhantomData };
    call.task(&format!("{}{task}", F::TASK), &vmid.to_string(), work)
}

enum What {
    Create {
        description: String,
        with_memory: bool,
    },
    Delete,
    Rollback {
        start: bool,
    },
    /// The configuration is back; the guest starts.
    Resume,
}

struct Snap<F> {
    node: String,
    vmid: u32,
    name: String,
    what: What,
    force: bool,
    /// The volume that takes the memory.
    state: Option<(Key, u64)>,
    family: PhantomData<F>,
}

impl<F: Family> Snap<F> {
    fn check_create(&self, world: &World, log: &mut Vec<String>) -> Result<(), String> {
        let guest = world.guest_at(F::KIND, &self.node, self.vmid).map_err(|fail| fail.text)?;
        if guest.is_template() {
            return Err(match F::KIND {
                Kind::Qemu => "you can't take a snapshot if it's a template".into(),
                Kind::Lxc => "you can't take a snapshot of a template".into(),
            });
        }
        if guest.snapshots.contains_key(&self.name) {
            return Err(format!("snapshot name '{}' already used", self.name));
        }
        if !is_possible(world, guest) {
            return Err("snapshot feature is not available".into());
        }
        for (device, drive) in guest.disks() {
            let title = if F::KIND == Kind::Qemu { "drive-" } else { "" };
            log.push(format!("snapshotting '{title}{device}' ({})", drive.volume));
        }
        Ok(())
    }

    /// The volume for a running guest's memory: beside its first disk, or where
    /// `vmstatestorage` says.
    fn state_volume(&self, world: &World) -> Option<(Key, u64)> {
        let What::Create { with_memory: true, .. } = self.what else { return None };
        let guest = world.guests.get(&self.vmid).filter(|guest| guest.process.is_some())?;
        let storage = guest.config.get("vmstatestorage").cloned().or_else(|| {
            let (_, drive) = guest.disks().into_iter().next()?;
            drive.volume.split(':').next().map(str::to_owned)
        })?;
        let storage = world.storage_on(&self.node, &storage).ok()?;
        let name = format!("vm-{}-state-{}", self.vmid, self.name);
        let name = if storage.is_files() { format!("{}/{name}.raw", self.vmid) } else { name };
        // Twice the memory and 500 MB for the devices: `__snapshot_save_vmstate`.
        let size = guest.memory() * 2 + (500 << 20);
        Some(((storage.id.clone(), storage.place(&self.node), name), size))
    }

    fn take(&mut self, world: &mut World, description: String, with_memory: bool) {
        let now = world.now;
        let Some(guest) = world.guests.get_mut(&self.vmid) else { return };
        let mut config = guest.config.clone();
        config.retain(|key, _| key != "lock" && key != "description" && !key.starts_with("unused"));
        let with_memory = with_memory && guest.process.is_some();
        if let Some((key, _)) = &self.state {
            config.insert("vmstate".into(), volid(key));
        }
        let parent = guest.parent.replace(self.name.clone());
        let snapshot = Snapshot { config, time: now, description, parent, with_memory };
        guest.snapshots.insert(self.name.clone(), snapshot);
    }

    fn remove(&self, world: &mut World) {
        let Some(guest) = world.guests.get_mut(&self.vmid) else { return };
        let Some(gone) = guest.snapshots.remove(&self.name) else { return };
        for other in guest.snapshots.values_mut() {
            if other.parent.as_ref() == Some(&self.name) {
                other.parent.clone_from(&gone.parent);
            }
        }
        if guest.parent.as_ref() == Some(&self.name) {
            guest.parent = gone.parent;
        }
        if let Some(key) =
            gone.config.get("vmstate").and_then(|volume| world.key_of(&self.node, volume))
        {
            world.volumes.remove(&key);
        }
    }

    /// Configuration and sizes as they were; what came later stays as unused disks.
    fn apply(&self, world: &mut World) {
        let (generation, now) = (world.uuid(), world.now);
        let Some(guest) = world.guests.get_mut(&self.vmid) else { return };
        let Some(snapshot) = guest.snapshots.get(&self.name) else { return };
        let mut config = snapshot.config.clone();
        config.remove("vmstate");
        if F::KIND == Kind::Qemu {
            config.insert("vmgenid".into(), generation);
        }
        let kept = |key: &str| key == "description" || key.starts_with("unused");
        config.extend(
            guest.config.iter().filter(|(key, _)| kept(key)).map(|(k, v)| (k.clone(), v.clone())),
        );
        let back = disks_of(F::KIND, &config);
        let known: BTreeSet<String> = back.iter().map(|(_, drive)| drive.volume.clone()).collect();
        let later: Vec<String> = guest
            .disks()
            .into_iter()
            .map(|(_, drive)| drive.volume)
            .filter(|volume| !known.contains(volume))
            .collect();
        config.retain(|key, text| !(key.starts_with("unused") && known.contains(text)));
        later.into_iter().for_each(|volume| add_unused(&mut config, volume));
        guest.config = config;
        guest.pending.clear();
        guest.parent = Some(self.name.clone());
        guest.halt(now);
        for (_, drive) in back {
            if let Some(size) = drive.get("size").and_then(parse_size)
                && let Some(key) = world.key_of(&self.node, &drive.volume)
            {
                world.volumes.resize(&key, size);
            }
        }
    }
}

/// Notes a volume under the lowest free `unusedN`.
pub(crate) fn add_unused(config: &mut Config, volume: String) {
    let free = (0..256).map(|index| format!("unused{index}")).find(|key| !config.contains_key(key));
    if let Some(key) = free {
        config.insert(key, volume);
    }
}

impl<F: Family> Work for Snap<F> {
    fn locks(&self) -> Option<u32> {
        Some(self.vmid)
    }

    fn begin(&mut self, world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        let guest = world.guest_at(F::KIND, &self.node, self.vmid).map_err(|fail| fail.text)?;
        let forced = self.force && matches!(self.what, What::Delete);
        if !forced {
            guest.check_lock()?;
        }
        if let What::Create { .. } = self.what {
            self.check_create(world, log)?;
            self.state = self.state_volume(world);
        } else {
            let snapshot = find(guest, &self.name).map_err(|fail| fail.text)?;
            if matches!(self.what, What::Rollback { .. }) {
                for (_, drive) in disks_of(F::KIND, &snapshot.config) {
                    world.volume_at(&self.node, &drive.volume)?;
                }
            }
        }
        let Some((key, size)) = self.state.clone() else { return Ok(Vec::new()) };
        let format = "raw".to_owned();
        let (vmid, created, content) = (Some(self.vmid), world.now, "images".to_owned());
        let volume = Volume { content, format, size, vmid, created, ..Volume::default() };
        log.push(format!("saving VM state and RAM using storage '{}'", key.0));
        world.volumes.insert(key, volume);
        Ok(Vec::new())
    }

    fn effects(&mut self, world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        Ok(match (&self.what, F::KIND) {
            (What::Rollback { .. }, Kind::Qemu) => vec![Op::Kill(self.vmid)],
            (What::Resume, Kind::Qemu) => {
                let guest = world.vm(&self.node, self.vmid).map_err(|fail| fail.text)?;
                vec![Op::Start(Box::new(guest.spec()))]
            }
            _ => Vec::new(),
        })
    }

    fn finish(
        &mut self,
        world: &mut World,
        _log: &mut Vec<String>,
        done: &[Done],
    ) -> Result<Step, String> {
        match &self.what {
            What::Create { description, with_memory } => {
                let (description, with_memory) = (description.clone(), *with_memory);
                self.take(world, description, with_memory);
            }
            What::Delete => self.remove(world),
            What::Rollback { start } => {
                let snapshot =
                    world.guests.get(&self.vmid).and_then(|guest| guest.snapshots.get(&self.name));
                let start = *start || snapshot.is_some_and(|snapshot| snapshot.with_memory);
                self.apply(world);
                if start {
                    self.what = What::Resume;
                    return Ok(Step::Again(Duration::ZERO));
                }
            }
            What::Resume => {
                let pid = match done.first() {
                    Some(Done::Pid(pid)) => *pid,
                    _ => world.tasks.next_pid(),
                };
                let now = world.now;
                if let Some(guest) = world.guests.get_mut(&self.vmid) {
                    guest.run(pid, now);
                }
            }
        }
        Ok(Step::Done)
    }

    /// `snapshot_create` deletes what it has prepared when it fails.
    fn abandon(&mut self, world: &mut World) {
        self.fail(world);
    }

    fn fail(&mut self, world: &mut World) -> Vec<Op> {
        if let Some((key, _)) = &self.state {
            world.volumes.remove(key);
        }
        Vec::new()
    }
}

/// The volume ids that snapshots of a guest name beside its configuration.
pub(crate) fn volumes_in(guest: &Guest) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for snapshot in guest.snapshots.values() {
        found.extend(
            disks_of(guest.kind, &snapshot.config).into_iter().map(|(_, disk)| disk.volume),
        );
        found.extend(snapshot.config.get("vmstate").map(|text| Drive::parse(text).volume));
    }
    found
}
