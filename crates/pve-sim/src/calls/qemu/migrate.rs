//! `/nodes/{node}/qemu/{vmid}/migrate`

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::Version;
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;
use crate::world::guest::Guest;
use crate::world::storage::{Key, volid};

/// `GET …/migrate`
pub(crate) fn conditions(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    let guest = world.vm(call.params.node(), call.params.vmid())?;
    let mut disks = Vec::new();
    for (device, drive) in guest.drives() {
        let storage = drive.volume.split(':').next().unwrap_or_default();
        if world.storages.get(storage).is_some_and(|storage| !storage.shared) {
            let mut row = json!({
                "volid": drive.volume, "drivename": device, "cdrom": u8::from(drive.is_cdrom()), "shared": 0,
                "is_attached": 1, "is_unused": 0, "is_vmstate": 0, "is_tpmstate": u8::from(device == "tpmstate0"),
                "replicate": u8::from(drive.get("replicate") != Some("0")),
            });
            if let Ok((_, volume)) = world.volume_at(&guest.node, &drive.volume) {
                row["size"] = json!(volume.size);
            }
            if world.version == Version::V9_2 {
                row["is_cloudinit"] = json!(u8::from(drive.is_cloudinit()));
            }
            disks.push(row);
        }
    }
    let others: Vec<&String> = world
        .nodes
        .values()
        .filter(|node| node.online && node.name != guest.node)
        .map(|node| &node.name)
        .collect();
    let mut row = json!({
        "running": u8::from(guest.process.is_some()), "local_disks": disks, "local_resources": [],
        "mapped-resources": [], "mapped-resource-info": {}, "allowed_nodes": others, "not_allowed_nodes": {},
    });
    if world.version == Version::V9_2 {
        row["has-dbus-vmstate"] = json!(0);
    }
    Ok(row)
}

/// `POST …/remote_migrate`: there is no other cluster that could be reached.
pub(crate) fn remote(call: &mut Call<'_>) -> Result<Value, Fail> {
    call.world.vm(call.params.node(), call.params.vmid())?.check_lock()?;
    Err(Fail::new("remote migration is not simulated: the target endpoint cannot be reached"))
}

/// `POST …/migrate`
pub(crate) fn migrate(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    let target = call.params.text("target").to_owned();
    if target == node {
        return Err(Fail::parameter("target", "target is local node."));
    }
    let found = call
        .world
        .nodes
        .get(&target)
        .ok_or_else(|| Fail::new(format!("no such cluster node '{target}'")))?;
    if !found.online {
        return Err(Fail::new(format!("node '{target}' is offline")));
    }
    let guest = call.world.vm(&node, vmid)?;
    guest.check_lock()?;
    if guest.process.is_some() && !call.params.flag("online") {
        return Err(Fail::new("can't migrate running VM without --online"));
    }
    let with_local = call.params.flag("with-local-disks");
    let storage = call.params.get("targetstorage").filter(|storage| *storage != "1");
    let storage = storage.map(str::to_owned);
    let work = Migrate { node, vmid, target, with_local, storage, moves: Vec::new() };
    Ok(call.task("qmigrate", &vmid.to_string(), work))
}

struct Migrate {
    node: String,
    vmid: u32,
    target: String,
    with_local: bool,
    storage: Option<String>,
    /// Local volumes: where they are, and where they will be.
    moves: Vec<(Key, Key)>,
}

impl Migrate {
    /// Where a volume goes. Volumes on shared storage stay where they are.
    fn destination(
        &self,
        world: &World,
        from: &Key,
        taken: &mut BTreeSet<String>,
    ) -> Result<Key, String> {
        let volume = world.volumes.get(from);
        if let Some(parent) = volume.and_then(|volume| volume.parent.as_ref()) {
            return Err(format!("can't migrate '{}' as it's a clone of '{parent}'", volid(from)));
        }
        let id = self.storage.as_deref().unwrap_or(&from.0);
        let storage = world.storage_on(&self.target, id).map_err(|fail| fail.text)?;
        let place = storage.place(&self.target);
        if id == from.0 {
            return Ok((from.0.clone(), place, from.2.clone()));
        }
        let format = volume.map_or("raw", |volume| volume.format.as_str());
        let name = world.next_disk_name(storage, &self.target, self.vmid, format, taken);
        taken.insert(name.clone());
        Ok((id.to_owned(), place, name))
    }

    fn plan(&self, world: &World) -> Result<Vec<(Key, Key)>, String> {
        let guest = world.vm(&self.node, self.vmid).map_err(|fail| fail.text)?;
        let owned = world.volumes.of_guest(self.vmid).filter(|key| {
            key.1 == self.node
                && world.volumes.get(key).is_some_and(|volume| volume.content == "images")
        });
        let local: Vec<&Key> = owned.collect();
        if guest.process.is_some() && !self.with_local && !local.is_empty() {
            return Err(
                "can't live migrate attached local disks without with-local-disks option".into()
            );
        }
        self.check_foreign(world, guest)?;
        let mut taken = BTreeSet::new();
        let mut moves = Vec::new();
        for from in local {
            let to = self.destination(world, from, &mut taken).map_err(|text| {
                format!("migration aborted: can't migrate local disk '{}': {text}", volid(from))
            })?;
            moves.push((from.clone(), to));
        }
        Ok(moves)
    }

    /// CD images and other guests' volumes cannot follow.
    fn check_foreign(&self, world: &World, guest: &Guest) -> Result<(), String> {
        for (_, drive) in guest.drives() {
            let Some(key) = world.key_of(&self.node, &drive.volume) else { continue };
            let storage = world.storages.get(&key.0);
            let is_there = storage.is_some_and(|storage| storage.is_on(&self.target));
            let is_own = super::is_owned(&drive.volume, self.vmid);
            if (!key.1.is_empty() && !is_own) || (key.1.is_empty() && !is_there) {
                return Err(format!(
                    "migration aborted: can't migrate local disk '{}'",
                    drive.volume
                ));
            }
        }
        Ok(())
    }
}

impl Work for Migrate {
    fn locks(&self) -> Option<u32> {
        Some(self.vmid)
    }

    fn begin(&mut self, world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        self.moves = self.plan(world)?;
        log.push(format!("starting migration of VM {} to node '{}'", self.vmid, self.target));
        for (from, _) in &self.moves {
            log.push(format!("found local disk '{}' (attached)", volid(from)));
        }
        let guest = world.vm_mut(&self.node, self.vmid).map_err(|fail| fail.text)?;
        guest.config.insert("lock".into(), "migrate".into());
        Ok(Vec::new())
    }

    fn effects(&mut self, _world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        let renamed = self.moves.iter().filter(|(from, to)| volid(from) != volid(to));
        Ok(renamed.map(|(from, to)| Op::Rename { from: volid(from), to: volid(to) }).collect())
    }

    fn finish(
        &mut self,
        world: &mut World,
        log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        for (from, to) in &self.moves {
            let Some(volume) = world.volumes.remove(from) else { continue };
            world.volumes.insert(to.clone(), volume);
            let (old, new) = (volid(from), volid(to));
            let Some(guest) = world.guests.get_mut(&self.vmid).filter(|_| old != new) else {
                continue;
            };
            for text in guest.config.values_mut() {
                if *text == old {
                    text.clone_from(&new);
                } else if let Some(rest) = text.strip_prefix(&format!("{old},")) {
                    *text = format!("{new},{rest}");
                }
            }
        }
        if let Some(guest) = world.guests.get_mut(&self.vmid) {
            guest.config.remove("lock");
        }
        world.move_guest(self.vmid, &self.target);
        log.push("migration finished successfully (duration 00:00:03)".into());
        Ok(Step::Done)
    }

    fn fail(&mut self, world: &mut World) -> Vec<Op> {
        if let Some(guest) = world.guests.get_mut(&self.vmid) {
            guest.config.remove("lock");
        }
        Vec::new()
    }
}
