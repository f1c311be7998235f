//! `POST …/status/suspend` with `todisk=1`: the memory goes to a volume, the
//! process ends, and the next start takes both back.

use serde_json::Value;

use crate::engine::Call;
use crate::fail::Fail;
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;
use crate::world::storage::{Key, Volume, volid};

/// The lock of a hibernated guest.
pub(crate) const LOCK: &str = "suspended";

/// Begins to hibernate a running guest.
pub(crate) fn suspend(call: &mut Call<'_>, vmid: u32) -> Result<Value, Fail> {
    let node = call.params.node().to_owned();
    let storage = call.params.get("statestorage").map(str::to_owned);
    if let Some(storage) = &storage {
        call.require(&format!("/storage/{storage}"), "Datastore.AllocateSpace")?;
        call.world.storage_on(&node, storage)?;
    }
    call.require(&format!("/vms/{vmid}"), "VM.Config.Disk")?;
    let work = Hibernate { node, vmid, storage, state: None };
    Ok(call.task("qmsuspend", &vmid.to_string(), work))
}

struct Hibernate {
    node: String,
    vmid: u32,
    storage: Option<String>,
    state: Option<Key>,
}

impl Work for Hibernate {
    fn locks(&self) -> Option<u32> {
        Some(self.vmid)
    }

    fn begin(&mut self, world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        let guest = world.vm(&self.node, self.vmid).map_err(|fail| fail.text)?;
        guest.check_lock()?;
        let own = guest
            .disks()
            .first()
            .and_then(|(_, drive)| drive.volume.split(':').next().map(str::to_owned));
        let storage = self
            .storage
            .clone()
            .or_else(|| guest.config.get("vmstatestorage").cloned())
            .or(own)
            .unwrap_or_else(|| "local".into());
        let storage = world.storage_on(&self.node, &storage).map_err(|fail| fail.text)?;
        let (vmid, size) = (self.vmid, guest.memory() * 2 + (500 << 20));
        let name = format!("vm-{vmid}-state-suspend-{}", world.now.as_secs());
        let name = if storage.is_files() { format!("{vmid}/{name}.raw") } else { name };
        let key: Key = (storage.id.clone(), storage.place(&self.node), name);
        let volume = Volume {
            content: "images".into(),
            format: "raw".into(),
            size,
            vmid: Some(vmid),
            created: world.now,
            ..Volume::default()
        };
        world.volumes.insert(key.clone(), volume);
        let guest = world.vm_mut(&self.node, vmid).map_err(|fail| fail.text)?;
        guest.config.insert("lock".into(), "suspending".into());
        guest.config.insert("vmstate".into(), volid(&key));
        self.state = Some(key);
        Ok(Vec::new())
    }

    fn effects(&mut self, _world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        Ok(vec![Op::Kill(self.vmid)])
    }

    fn finish(
        &mut self,
        world: &mut World,
        _log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        let now = world.now;
        if let Some(guest) = world.guests.get_mut(&self.vmid) {
            guest.halt(now);
            guest.config.insert("lock".into(), LOCK.into());
        }
        Ok(Step::Done)
    }

    fn fail(&mut self, world: &mut World) -> Vec<Op> {
        discard(world, &self.node, self.vmid);
        Vec::new()
    }
}

/// Drops the saved memory and its lock, when there are any.
pub(crate) fn discard(world: &mut World, node: &str, vmid: u32) {
    let Some(guest) = world.guests.get_mut(&vmid) else { return };
    if !guest.lock().is_some_and(|lock| lock == LOCK || lock == "suspending") {
        return;
    }
    guest.config.remove("lock");
    let state = guest.config.remove("vmstate");
    if let Some(key) = state.and_then(|volume| world.key_of(node, &volume)) {
        world.volumes.remove(&key);
    }
}
