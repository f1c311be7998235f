//! `DELETE /nodes/{node}/qemu/{vmid}`

use std::collections::BTreeSet;

use serde_json::Value;

use super::check_skiplock;
use super::drives::is_owned;
use crate::calls::cluster;
use crate::engine::Call;
use crate::fail::Fail;
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;
use crate::world::guest::{Drive, is_drive};
use crate::world::storage::{Key, volid};

/// Destroys a stopped virtual machine.
pub(crate) fn destroy(call: &mut Call<'_>) -> Result<Value, Fail> {
    let skiplock = check_skiplock(call)?;
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    let guest = call.world.vm(&node, vmid)?;
    if guest.config.get("protection").is_some_and(|value| value == "1") {
        return Err(Fail::new(format!("can't remove VM {vmid} - protection mode enabled")));
    }
    let purge = call.params.flag("purge");
    if !purge && call.world.ha_resource(vmid).is_some() {
        let text = "used in HA resources and purge parameter not set.";
        return Err(Fail::new(format!("unable to remove VM {vmid} - {text}")));
    }
    if let Some(job) = cluster::replication::job_of(call.world, vmid).filter(|_| !purge) {
        let text = format!("There is a replication job '{job}' for guest '{vmid}'");
        return Err(Fail::new(format!("{text} - Please remove that first.")));
    }
    if guest.process.is_some() {
        return Err(Fail::new(format!("VM {vmid} is running - destroy failed")));
    }
    let unreferenced = call.params.flag("destroy-unreferenced-disks");
    let work = Destroy { node, vmid, skiplock, purge, unreferenced, volumes: Vec::new() };
    Ok(call.task("qmdestroy", &vmid.to_string(), work))
}

struct Destroy {
    node: String,
    vmid: u32,
    skiplock: bool,
    purge: bool,
    unreferenced: bool,
    volumes: Vec<Key>,
}

impl Destroy {
    fn find_volumes(&self, world: &World) -> Result<BTreeSet<Key>, String> {
        let guest = world.vm(&self.node, self.vmid).map_err(|fail| fail.text)?;
        let mut found = BTreeSet::new();
        let configs = std::iter::once(&guest.config)
            .chain(guest.snapshots.values().map(|snapshot| &snapshot.config));
        for (key, text) in
            configs.flatten().filter(|(key, _)| is_drive(key) || key.starts_with("unused"))
        {
            let volume = Drive::parse(text).volume;
            let _ = key;
            if is_owned(&volume, self.vmid)
                && let Some(key) = world.key_of(&self.node, &volume)
                && world.volumes.get(&key).is_some()
            {
                found.insert(key);
            }
        }
        if self.unreferenced {
            let owned = world.volumes.of_guest(self.vmid);
            let is_disk = |key: &&Key| {
                world.volumes.get(key).is_some_and(|volume| volume.content == "images")
            };
            found.extend(owned.filter(is_disk).cloned());
        }
        Ok(found)
    }
}

impl Work for Destroy {
    fn locks(&self) -> Option<u32> {
        Some(self.vmid)
    }

    fn begin(&mut self, world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        let guest = world.vm(&self.node, self.vmid).map_err(|fail| fail.text)?;
        if !self.skiplock {
            guest.check_lock()?;
        }
        if guest.process.is_some() {
            return Err(format!("VM {} is running - destroy failed", self.vmid));
        }
        for key in self.find_volumes(world)? {
            if world.volumes.children(&key) > 0 {
                return Err(format!(
                    "base volume '{}' is still in use by linked cloned",
                    volid(&key)
                ));
            }
        }
        if self.purge {
            log.push(format!("purging VM {} from related configurations..", self.vmid));
        }
        Ok(Vec::new())
    }

    fn effects(&mut self, world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        self.volumes = self.find_volumes(world)?.into_iter().collect();
        for key in &self.volumes {
            if world.volumes.children(key) > 0 {
                return Err(format!(
                    "base volume '{}' is still in use by linked cloned",
                    volid(key)
                ));
            }
        }
        let mut ops = vec![Op::Kill(self.vmid)];
        ops.extend(self.volumes.iter().map(|key| Op::Free { volume: volid(key) }));
        Ok(ops)
    }

    fn finish(
        &mut self,
        world: &mut World,
        _log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        for key in &self.volumes {
            world.volumes.remove(key);
        }
        world.remove_guest(self.vmid);
        let path = format!("/vms/{}", self.vmid);
        world.access.entries.retain(|entry| entry.path != path);
        if self.purge {
            world.purge_guest(self.vmid);
        }
        Ok(Step::Done)
    }
}
