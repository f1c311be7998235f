//! `POST /nodes/{node}/qemu/{vmid}/template`

use serde_json::Value;

use super::not_found;
use crate::engine::Call;
use crate::fail::Fail;
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;
use crate::world::guest::Drive;
use crate::world::storage::{Key, volid};

/// Makes a template of a stopped virtual machine.
pub(crate) fn convert(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    let guest = call.world.vm(&node, vmid).map_err(|_| Fail::new(not_found(&node, vmid)))?;
    guest.check_lock()?;
    if !guest.snapshots.is_empty() {
        return Err(Fail::new("unable to create template, because VM contains snapshots"));
    }
    if guest.is_template() {
        return Err(Fail::new("you can't convert a template to a template"));
    }
    if guest.process.is_some() {
        return Err(Fail::new("you can't convert a VM to template if VM is running"));
    }
    Ok(call.task("qmtemplate", &vmid.to_string(), Convert { node, vmid, renames: Vec::new() }))
}

struct Convert {
    node: String,
    vmid: u32,
    renames: Vec<(String, Drive, Key, Key)>,
}

impl Work for Convert {
    fn locks(&self) -> Option<u32> {
        Some(self.vmid)
    }

    fn effects(&mut self, world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        let guest = world.vm(&self.node, self.vmid).map_err(|fail| fail.text)?;
        let mut ops = Vec::new();
        for (device, drive) in guest.drives().filter(|(_, drive)| !drive.is_cdrom()) {
            let Some(from) = world.key_of(&self.node, &drive.volume) else { continue };
            let last = from.2.rsplit('/').next().unwrap_or(&from.2).to_owned();
            let head = &from.2[..from.2.len() - last.len()];
            let Some(tail) = last.strip_prefix("vm-") else { continue };
            let to: Key = (from.0.clone(), from.1.clone(), format!("{head}base-{tail}"));
            ops.push(Op::Rename { from: volid(&from), to: volid(&to) });
            self.renames.push((device.to_owned(), drive, from, to));
        }
        Ok(ops)
    }

    fn finish(
        &mut self,
        world: &mut World,
        _log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        for (device, mut drive, from, to) in self.renames.drain(..) {
            if let Some(volume) = world.volumes.remove(&from) {
                world.volumes.insert(to.clone(), volume);
            }
            drive.volume = volid(&to);
            if let Some(guest) = world.guests.get_mut(&self.vmid) {
                guest.config.insert(device, drive.print());
            }
        }
        if let Some(guest) = world.guests.get_mut(&self.vmid) {
            guest.config.insert("template".into(), "1".into());
        }
        Ok(Step::Done)
    }
}
