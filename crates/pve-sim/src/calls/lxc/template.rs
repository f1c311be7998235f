//! `POST /nodes/{node}/lxc/{vmid}/template`

use serde_json::Value;

use super::volumes;
use crate::engine::Call;
use crate::fail::Fail;
use crate::tasks::{Done, Step, Work};
use crate::world::World;
use crate::world::storage::{Key, volid};

/// Makes a template of a stopped container. Answers null, although a task works
/// behind it (fact 70).
pub(crate) fn convert(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    let guest = call.world.ct(&node, vmid)?;
    guest.check_lock()?;
    if !guest.snapshots.is_empty() {
        return Err(Fail::new("unable to create template, because CT contains snapshots"));
    }
    if guest.is_template() {
        return Err(Fail::new("you can't convert a template to a template"));
    }
    if guest.process.is_some() {
        return Err(Fail::new("you can't convert a CT to template if the CT is running"));
    }
    call.task("vztemplate", &vmid.to_string(), Convert { node, vmid });
    Ok(Value::Null)
}

struct Convert {
    node: String,
    vmid: u32,
}

/// `510/vm-510-disk-0.raw` becomes `510/base-510-disk-0.raw`, `subvol-…` `basevol-…`.
fn base_name(name: &str) -> Option<String> {
    let last = name.rsplit('/').next().unwrap_or(name);
    let head = &name[..name.len() - last.len()];
    let base = match (last.strip_prefix("vm-"), last.strip_prefix("subvol-")) {
        (Some(tail), _) => format!("base-{tail}"),
        (_, Some(tail)) => format!("basevol-{tail}"),
        _ => return None,
    };
    Some(format!("{head}{base}"))
}

impl Work for Convert {
    fn locks(&self) -> Option<u32> {
        Some(self.vmid)
    }

    fn finish(
        &mut self,
        world: &mut World,
        _log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        let disks = world.ct(&self.node, self.vmid).map_err(|fail| fail.text)?.disks();
        for (device, mut drive) in disks {
            let Some(from) = world.key_of(&self.node, &drive.volume) else { continue };
            let Some(name) = base_name(&from.2) else { continue };
            let to: Key = (from.0.clone(), from.1.clone(), name);
            if let Some(volume) = world.volumes.remove(&from) {
                world.volumes.insert(to.clone(), volume);
            }
            drive.volume = volid(&to);
            let text = volumes::print(world, &device, &drive);
            if let Some(guest) = world.guests.get_mut(&self.vmid) {
                guest.config.insert(device, text);
            }
        }
        if let Some(guest) = world.guests.get_mut(&self.vmid) {
            guest.config.insert("template".into(), "1".into());
        }
        Ok(Step::Done)
    }
}
