//! `POST …/move_disk` with `target-vmid`: a disk gets another owner.

use std::collections::BTreeSet;

use serde_json::Value;

use super::is_owned;
use crate::calls::guests::check_digest;
use crate::calls::guests::snapshot::volumes_in;
use crate::engine::Call;
use crate::fail::Fail;
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;
use crate::world::guest::{Drive, is_drive};
use crate::world::storage::{Key, volid};

/// Gives a disk to another virtual machine of the same node.
pub(crate) fn reassign(call: &mut Call<'_>, target: u32) -> Result<Value, Fail> {
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    let device = call.params.text("disk").to_owned();
    let slot = call.params.get("target-disk").unwrap_or(&device).to_owned();
    call.require(&format!("/vms/{target}"), "VM.Config.Disk")?;
    if target == vmid {
        let text = "must be different than source VMID to reassign disk";
        return Err(Fail::parameter("target-vmid", text));
    }
    let (source, other) = (call.world.vm(&node, vmid)?, call.world.vm(&node, target)?);
    check_digest(call, "digest", source)?;
    check_digest(call, "target-digest", other)?;
    source.check_lock()?;
    other.check_lock()?;
    let text = source.config.get(&device);
    let text =
        text.ok_or_else(|| Fail::new(format!("Disk '{device}' for VM '{vmid}' does not exist")))?;
    let drive = Drive::parse(text);
    if drive.is_cdrom() || !is_owned(&drive.volume, vmid) {
        return Err(Fail::new(format!("Can't move disk '{device}': it is not owned by VM {vmid}")));
    }
    if volumes_in(source).contains(&drive.volume) {
        return Err(Fail::new("Can't move disk used by a snapshot to another owner"));
    }
    if source.process.is_some() && is_drive(&device) {
        return Err(Fail::new("Cannot move disk: the VM is running and the disk is attached"));
    }
    if other.config.contains_key(&slot) {
        return Err(Fail::new(format!(
            "Target disk key '{slot}' is already in use for VM '{target}'"
        )));
    }
    let (from, volume) = call.world.volume_at(&node, &drive.volume)?;
    call.world.check_no_children(&from)?;
    let storage = call.world.storage_on(&node, &from.0)?;
    let name = call.world.next_disk_name(storage, &node, target, &volume.format, &BTreeSet::new());
    let to: Key = (from.0.clone(), from.1.clone(), name);
    let id = vmid.to_string();
    Ok(call.task("qmmove", &id, Reassign { node, vmid, target, device, slot, drive, from, to }))
}

struct Reassign {
    node: String,
    vmid: u32,
    target: u32,
    device: String,
    slot: String,
    drive: Drive,
    from: Key,
    to: Key,
}

impl Work for Reassign {
    fn locks(&self) -> Option<u32> {
        Some(self.vmid)
    }

    fn effects(&mut self, _world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        let Self { vmid, target, device, slot, .. } = self;
        log.push(format!("moving disk '{device}' from VM '{vmid}' to '{target}'"));
        log.push(format!("removing disk '{device}' from VM '{vmid}' config"));
        log.push(format!("update VM {target}: -{slot}"));
        Ok(vec![Op::Rename { from: volid(&self.from), to: volid(&self.to) }])
    }

    fn finish(
        &mut self,
        world: &mut World,
        _log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        if let Some(mut volume) = world.volumes.remove(&self.from) {
            volume.vmid = Some(self.target);
            world.volumes.insert(self.to.clone(), volume);
        }
        let guest = world.vm_mut(&self.node, self.vmid).map_err(|fail| fail.text)?;
        guest.config.remove(&self.device);
        let mut drive = self.drive.clone();
        drive.volume = volid(&self.to);
        let text = if is_drive(&self.slot) { drive.print() } else { drive.volume };
        let other = world.vm_mut(&self.node, self.target).map_err(|fail| fail.text)?;
        other.config.insert(self.slot.clone(), text);
        Ok(Step::Done)
    }
}
