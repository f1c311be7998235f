//! Disks of an existing virtual machine: unlink, resize, move.

use serde_json::Value;

use super::config;
use crate::calls::guests::check_digest;
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::Version;
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;
use crate::world::guest::{Drive, is_drive, parse_size, print_size};
use crate::world::storage::{Key, Volume, volid};

/// `PUT …/unlink`: detaches, or destroys with `force=1` (fact 51).
pub(crate) fn unlink(call: &mut Call<'_>) -> Result<Value, Fail> {
    let text = call.params.text("idlist");
    let keys: Vec<String> =
        text.split([',', ';', ' ']).filter(|key| !key.is_empty()).map(str::to_owned).collect();
    let destroy = call.params.flag("force");
    let change = config::deletion(call, keys, destroy)?;
    config::apply_now(call, change)
}

/// `PUT …/resize`: everything is checked in the task (fact 53).
pub(crate) fn resize(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    let work = Resize {
        node,
        vmid,
        device: call.params.text("disk").to_owned(),
        size: call.params.text("size").to_owned(),
        digest: call.params.get("digest").map(str::to_owned),
        target: None,
    };
    super::check_skiplock(call)?;
    if call.world.version < Version::V8_4 {
        return call.at_once(work);
    }
    Ok(call.task("resize", &vmid.to_string(), work))
}

struct Resize {
    node: String,
    vmid: u32,
    device: String,
    size: String,
    digest: Option<String>,
    target: Option<(Key, u64)>,
}

impl Work for Resize {
    fn locks(&self) -> Option<u32> {
        Some(self.vmid)
    }

    fn begin(&mut self, world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        let guest = world.vm(&self.node, self.vmid).map_err(|fail| fail.text)?;
        if self.digest.as_ref().is_some_and(|digest| *digest != guest.digest()) {
            return Err("checksum mismatch (file change by other user?)".into());
        }
        guest.check_lock()?;
        let text = guest.config.get(&self.device).filter(|_| is_drive(&self.device));
        let drive =
            Drive::parse(text.ok_or_else(|| format!("disk '{}' does not exist", self.device))?);
        if drive.is_cdrom() {
            return Err("you can't resize a cdrom".into());
        }
        let key = world.key_of(&self.node, &drive.volume);
        let key = key.filter(|key| world.volumes.get(key).is_some());
        let key = key.ok_or_else(|| format!("volume '{}' does not exist", drive.volume))?;
        let old = world.volumes.get(&key).map_or(0, |volume| volume.size);
        let wanted = parse_size(self.size.trim_start_matches('+')).unwrap_or(0);
        let new = if self.size.starts_with('+') { old.saturating_add(wanted) } else { wanted };
        if new < old {
            return Err("shrinking disks is not supported".into());
        }
        if new > old {
            world.check_space(&key.0)?;
        }
        self.target = Some((key, new));
        Ok(Vec::new())
    }

    fn effects(&mut self, _world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        log.push("Image resized.".into());
        Ok(self
            .target
            .iter()
            .map(|(key, size)| Op::Grow { volume: volid(key), size: *size })
            .collect())
    }

    fn finish(
        &mut self,
        world: &mut World,
        _log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        let Some((key, size)) = &self.target else { return Ok(Step::Done) };
        world.volumes.resize(key, *size);
        let guest = world.vm_mut(&self.node, self.vmid).map_err(|fail| fail.text)?;
        if let Some(text) = guest.config.get_mut(&self.device) {
            let mut drive = Drive::parse(text);
            drive.options.insert("size".into(), print_size(*size));
            *text = drive.print();
        }
        Ok(Step::Done)
    }
}

/// `POST …/move_disk`
pub(crate) fn relocate(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    let device = call.params.text("disk").to_owned();
    let target = call.params.get("target-vmid").and_then(|id| id.parse().ok());
    let storage = match (call.params.get("storage"), target) {
        (Some(storage), None) => storage,
        (None, Some(target)) => return super::reassign::reassign(call, target),
        (None, None) => {
            let text = "either 'storage' or 'target-vmid' has to be set";
            return Err(Fail::parameter("storage", text));
        }
        (Some(_), Some(_)) => {
            let text = "either set 'storage' or 'target-vmid', but not both";
            return Err(Fail::parameter("storage", text));
        }
    };
    call.require(&format!("/storage/{storage}"), "Datastore.AllocateSpace")?;
    let guest = call.world.vm(&node, vmid)?;
    check_digest(call, "digest", guest)?;
    guest.check_lock()?;
    let text = guest
        .config
        .get(&device)
        .ok_or_else(|| Fail::new(format!("disk '{device}' does not exist")))?;
    let drive = Drive::parse(text);
    if drive.is_cdrom() && !drive.is_cloudinit() {
        return Err(Fail::new("you can't move a cdrom"));
    }
    let key = call.world.key_of(&node, &drive.volume);
    let found =
        key.and_then(|key| call.world.volumes.get(&key).map(|volume| (key, volume.clone())));
    let (from, volume) =
        found.ok_or_else(|| Fail::new(format!("volume '{}' does not exist", drive.volume)))?;
    let to = call.world.storage_on(&node, storage)?;
    let format = match (to.is_files(), call.params.get("format")) {
        (false, _) => "raw",
        (true, Some(format)) => format,
        (true, None) => &volume.format,
    };
    if from.0 == to.id && format == volume.format {
        return Err(Fail::new("you can't move to the same storage with same format"));
    }
    let delete = call.params.flag("delete");
    if delete && !guest.snapshots.is_empty() {
        return Err(Fail::new("you can't move a disk with snapshots and delete the source"));
    }
    let name =
        call.world.next_disk_name(to, &node, vmid, format, &std::collections::BTreeSet::new());
    let target: Key = (to.id.clone(), to.place(&node), name);
    let volume =
        Volume { format: format.to_owned(), parent: None, created: call.world.now, ..volume };
    let work = Relocate { node, vmid, device, from, target, volume, delete };
    Ok(call.task("qmmove", &vmid.to_string(), work))
}

struct Relocate {
    node: String,
    vmid: u32,
    device: String,
    from: Key,
    target: Key,
    volume: Volume,
    delete: bool,
}

impl Work for Relocate {
    fn locks(&self) -> Option<u32> {
        Some(self.vmid)
    }

    fn begin(&mut self, world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        world.check_space(&self.target.0)?;
        world.volumes.insert(self.target.clone(), self.volume.clone());
        log.push(format!("create full clone of drive {} ({})", self.device, volid(&self.from)));
        Ok(Vec::new())
    }

    fn effects(&mut self, _world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        let mut ops =
            vec![Op::CloneFull { source: volid(&self.from), target: volid(&self.target) }];
        if self.delete {
            ops.push(Op::Free { volume: volid(&self.from) });
        }
        Ok(ops)
    }

    fn finish(
        &mut self,
        world: &mut World,
        _log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        if self.delete {
            world.volumes.remove(&self.from);
        }
        let guest = world.vm_mut(&self.node, self.vmid).map_err(|fail| fail.text)?;
        let Some(text) = guest.config.get(&self.device).cloned() else { return Ok(Step::Done) };
        let mut drive = Drive::parse(&text);
        drive.volume = volid(&self.target);
        guest.config.insert(self.device.clone(), drive.print());
        if !self.delete {
            config::keep_unused(guest, &text);
        }
        Ok(Step::Done)
    }

    fn fail(&mut self, world: &mut World) -> Vec<Op> {
        world.volumes.remove(&self.target);
        vec![Op::Free { volume: volid(&self.target) }]
    }
}
