//! `DELETE /nodes/{node}/lxc/{vmid}`

use std::collections::BTreeSet;

use serde_json::Value;

use super::config;
use crate::calls::guests::snapshot::volumes_in;
use crate::engine::Call;
use crate::fail::Fail;
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;
use crate::world::guest::Drive;
use crate::world::storage::Key;

/// Destroys a container; with `force` a running one is stopped first.
pub(crate) fn destroy(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    let guest = call.world.ct(&node, vmid)?;
    if guest.number("protection", 0) == 1 {
        return Err(Fail::new(format!("can't remove CT {vmid} - protection mode enabled")));
    }
    let force = call.params.flag("force");
    if guest.process.is_some() && !force {
        return Err(Fail::new(format!("unable to destroy CT {vmid} - container is running")));
    }
    let purge = call.params.flag("purge");
    if !purge && call.world.ha_resource(vmid).is_some() {
        let text = "used in HA resources and purge parameter not set.";
        return Err(Fail::new(format!("unable to remove CT {vmid} - {text}")));
    }
    let unreferenced = call.params.flag("destroy-unreferenced-disks");
    let work = Destroy { node, vmid, force, purge, unreferenced };
    Ok(call.task("vzdestroy", &vmid.to_string(), work))
}

struct Destroy {
    node: String,
    vmid: u32,
    force: bool,
    purge: bool,
    unreferenced: bool,
}

impl Destroy {
    fn volumes(&self, world: &World) -> Result<BTreeSet<Key>, String> {
        let guest = world.ct(&self.node, self.vmid).map_err(|fail| fail.text)?;
        let mut ids = volumes_in(guest);
        ids.extend(guest.disks().into_iter().map(|(_, drive)| drive.volume));
        let unused = guest.config.iter().filter(|(key, _)| key.starts_with("unused"));
        ids.extend(unused.map(|(_, text)| Drive::parse(text).volume));
        let mut found: BTreeSet<Key> =
            ids.iter().filter_map(|id| world.key_of(&self.node, id)).collect();
        found.retain(|key| {
            world.volumes.get(key).is_some_and(|volume| volume.vmid == Some(self.vmid))
        });
        if self.unreferenced {
            let is_disk = |key: &&Key| {
                world.volumes.get(key).is_some_and(|volume| volume.content != "backup")
            };
            found.extend(world.volumes.of_guest(self.vmid).filter(is_disk).cloned());
        }
        Ok(found)
    }
}

impl Work for Destroy {
    fn locks(&self) -> Option<u32> {
        Some(self.vmid)
    }

    fn begin(&mut self, world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        let guest = world.ct(&self.node, self.vmid).map_err(|fail| fail.text)?;
        if !self.force {
            guest.check_lock()?;
        }
        if guest.process.is_some() && !self.force {
            return Err(format!("unable to destroy CT {} - container is running", self.vmid));
        }
        for key in self.volumes(world)? {
            world.check_no_children(&key)?;
        }
        if self.purge {
            log.push(format!("purging CT {} from related configurations..", self.vmid));
        }
        Ok(Vec::new())
    }

    fn finish(
        &mut self,
        world: &mut World,
        _log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        for key in self.volumes(world)? {
            config::free(world, &key)?;
        }
        world.remove_guest(self.vmid);
        if self.purge {
            world.purge_guest(self.vmid);
        }
        let path = format!("/vms/{}", self.vmid);
        world.access.entries.retain(|entry| entry.path != path);
        Ok(Step::Done)
    }
}
