//! `PUT /nodes/{node}/lxc/{vmid}/resize`

use serde_json::Value;

use crate::calls::guests::check_digest;
use crate::engine::Call;
use crate::fail::Fail;
use crate::tasks::{Done, Step, Work};
use crate::world::World;
use crate::world::guest::{Drive, parse_size, print_size};
use crate::world::storage::Key;

/// Grows a volume. Unlike with virtual machines, all is checked before the task.
pub(crate) fn resize(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    let (device, size) = (call.params.text("disk").to_owned(), call.params.text("size"));
    let guest = call.world.ct(&node, vmid)?;
    check_digest(call, "digest", guest)?;
    guest.check_lock()?;
    let text = guest.config.get(&device);
    let drive =
        Drive::parse(text.ok_or_else(|| {
            Fail::new(format!("no volume associated with mount point '{device}'"))
        })?);
    let (key, volume) = call.world.volume_at(&node, &drive.volume)?;
    let wanted = parse_size(size.trim_start_matches('+')).unwrap_or(0);
    let new = if size.starts_with('+') { volume.size.saturating_add(wanted) } else { wanted };
    if new < volume.size {
        return Err(Fail::new("unable to shrink disk size"));
    }
    call.require(&format!("/storage/{}", key.0), "Datastore.AllocateSpace")?;
    Ok(call.task("resize", &vmid.to_string(), Resize { node, vmid, device, key, size: new }))
}

struct Resize {
    node: String,
    vmid: u32,
    device: String,
    key: Key,
    size: u64,
}

impl Work for Resize {
    fn locks(&self) -> Option<u32> {
        Some(self.vmid)
    }

    fn finish(
        &mut self,
        world: &mut World,
        log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        world.check_space(&self.key.0)?;
        world.volumes.resize(&self.key, self.size);
        let guest = world.ct_mut(&self.node, self.vmid).map_err(|fail| fail.text)?;
        if let Some(text) = guest.config.get(&self.device) {
            let mut drive = Drive::parse(text);
            drive.options.insert("size".into(), print_size(self.size));
            let text = super::volumes::print(world, &self.device, &drive);
            if let Some(guest) = world.guests.get_mut(&self.vmid) {
                guest.config.insert(self.device.clone(), text);
            }
        }
        log.push("Image resized.".into());
        Ok(Step::Done)
    }
}
