//! `POST /nodes/{node}/lxc/{vmid}/move_volume`: to another storage, or to
//! another container of the same node.

use serde_json::Value;

use super::volumes::{self, Made, Plan};
use super::{config, options};
use crate::calls::guests::check_digest;
use crate::calls::guests::snapshot::{add_unused, volumes_in};
use crate::engine::Call;
use crate::fail::Fail;
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;
use crate::world::guest::Drive;
use crate::world::storage::{Key, volid};

/// Moves a volume.
pub(crate) fn relocate(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    let device = call.params.text("volume").to_owned();
    let target = call.params.number("target-vmid").and_then(|id| u32::try_from(id).ok());
    let storage = call.params.get("storage").map(str::to_owned);
    match (&storage, target) {
        (None, None) => {
            let text = "either 'storage' or 'target-vmid' has to be set";
            return Err(Fail::parameter("storage", text));
        }
        (Some(_), Some(_)) => {
            let text = "either set 'storage' or 'target-vmid', but not both";
            return Err(Fail::parameter("storage", text));
        }
        _ => {}
    }
    let guest = call.world.ct(&node, vmid)?;
    check_digest(call, "digest", guest)?;
    guest.check_lock()?;
    let text = guest.config.get(&device);
    let text = text.ok_or_else(|| Fail::new(format!("mountpoint '{device}' does not exist")))?;
    let drive = Drive::parse(text);
    if let Some(target) = target {
        return reassign(call, &device, drive, target);
    }
    if device.starts_with("unused") {
        return Err(Fail::new("moving an unused volume to another storage is not possible"));
    }
    let storage = storage.unwrap_or_default();
    let (from, volume) = call.world.volume_at(&node, &drive.volume)?;
    if guest.process.is_some() {
        return Err(Fail::new(format!("cannot move volumes of a running container {vmid}")));
    }
    let delete = call.params.flag("delete");
    if delete && volumes_in(guest).contains(&drive.volume) {
        return Err(Fail::new("you can't move a volume with snapshots and delete the source"));
    }
    let to = call.world.storage_on(&node, &storage)?;
    volumes::check_storage(call, to)?;
    let plan = Plan::new(&device, drive.clone(), &storage, volume.size);
    let work = Move { node, vmid, device, from, plan, delete, made: Made::default() };
    Ok(call.task("move_volume", &vmid.to_string(), work))
}

struct Move {
    node: String,
    vmid: u32,
    device: String,
    from: Key,
    plan: Plan,
    delete: bool,
    made: Made,
}

impl Work for Move {
    fn locks(&self) -> Option<u32> {
        Some(self.vmid)
    }

    fn begin(&mut self, world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        world.ct(&self.node, self.vmid).map_err(|fail| fail.text)?.check_lock()?;
        let plans = std::slice::from_ref(&self.plan);
        self.made = volumes::make(world, &self.node, self.vmid, plans, log)?;
        for (key, volume) in &self.made.volumes {
            world.volumes.insert(key.clone(), volume.clone());
        }
        copied(log);
        let guest = world.ct_mut(&self.node, self.vmid).map_err(|fail| fail.text)?;
        guest.config.insert("lock".into(), "disk".into());
        Ok(Vec::new())
    }

    fn finish(
        &mut self,
        world: &mut World,
        _log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        let guest = world.ct_mut(&self.node, self.vmid).map_err(|fail| fail.text)?;
        guest.config.remove("lock");
        guest.config.extend(self.made.options.drain(..));
        if self.delete {
            config::free(world, &self.from)?;
        } else {
            add_unused(&mut guest.config, volid(&self.from));
        }
        Ok(Step::Done)
    }

    fn fail(&mut self, world: &mut World) -> Vec<Op> {
        if let Some(guest) = world.guests.get_mut(&self.vmid) {
            guest.config.remove("lock");
        }
        for (key, _) in &self.made.volumes {
            world.volumes.remove(key);
        }
        let _ = &self.device;
        Vec::new()
    }
}

/// What `rsync --stats` says; the figures are those of an empty file system.
pub(super) fn copied(log: &mut Vec<String>) {
    let lines = [
        "",
        "Number of files: 2 (dir: 2)",
        "Number of created files: 0",
        "Number of deleted files: 0",
        "Number of regular files transferred: 0",
        "Total file size: 0 bytes",
        "Total transferred file size: 0 bytes",
        "Literal data: 0 bytes",
        "Matched data: 0 bytes",
        "File list size: 0",
        "File list generation time: 0.001 seconds",
        "File list transfer time: 0.000 seconds",
        "Total bytes sent: 93",
        "Total bytes received: 23",
        "",
        "sent 93 bytes  received 23 bytes  232.00 bytes/sec",
        "total size is 0  speedup is 0.00",
    ];
    log.extend(lines.map(str::to_owned));
}

/// Gives a volume to another container; it gets a name of its new owner.
fn reassign(call: &mut Call<'_>, device: &str, drive: Drive, target: u32) -> Result<Value, Fail> {
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    call.require(&format!("/vms/{target}"), "VM.Config.Disk")?;
    let slot = call.params.get("target-volume").unwrap_or(device).to_owned();
    if device == "rootfs" {
        return Err(Fail::new("cannot move 'rootfs' to another container"));
    }
    let other = call.world.ct(&node, target)?;
    check_digest(call, "target-digest", other)?;
    other.check_lock()?;
    if other.config.contains_key(&slot) {
        return Err(Fail::new(format!("target volume '{slot}' is already in use on CT {target}")));
    }
    let id = vmid.to_string();
    let work = Reassign { node, vmid, target, device: device.to_owned(), slot, drive };
    Ok(call.task("move_volume", &id, work))
}

struct Reassign {
    node: String,
    vmid: u32,
    target: u32,
    device: String,
    slot: String,
    drive: Drive,
}

impl Work for Reassign {
    fn locks(&self) -> Option<u32> {
        Some(self.vmid)
    }

    fn finish(
        &mut self,
        world: &mut World,
        log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        let (from, volume) = world.volume_at(&self.node, &self.drive.volume)?;
        let mut volume = volume.clone();
        let storage = world.storage_on(&self.node, &from.0).map_err(|fail| fail.text)?;
        let none = std::collections::BTreeSet::new();
        let name = world.next_disk_name(storage, &self.node, self.target, &volume.format, &none);
        let key: Key = (from.0.clone(), from.1.clone(), name);
        volume.vmid = Some(self.target);
        let mut drive = self.drive.clone();
        drive.volume = volid(&key);
        let text = volumes::print(world, &self.slot, &drive);
        log.push(format!("moving volume '{}' between containers", self.device));
        let guest = world.ct_mut(&self.node, self.vmid).map_err(|fail| fail.text)?;
        guest.config.remove(&self.device);
        let other = world.ct_mut(&self.node, self.target).map_err(|fail| fail.text)?;
        let text = if options::is_volume(&self.slot) { text } else { drive.volume };
        other.config.insert(self.slot.clone(), text);
        world.volumes.remove(&from);
        world.volumes.insert(key, volume);
        Ok(Step::Done)
    }
}
