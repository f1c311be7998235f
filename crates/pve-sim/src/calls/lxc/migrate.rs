//! `/nodes/{node}/lxc/{vmid}/migrate`

use serde_json::{Value, json};

use crate::engine::Call;
use crate::fail::Fail;
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;

/// `GET …/migrate`
pub(crate) fn conditions(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    let guest = world.ct(call.params.node(), call.params.vmid())?;
    let others: Vec<&String> = world
        .nodes
        .values()
        .filter(|node| node.online && node.name != guest.node)
        .map(|node| &node.name)
        .collect();
    let running = u8::from(guest.process.is_some());
    Ok(json!({"running": running, "allowed-nodes": others, "not-allowed-nodes": {}}))
}

/// `POST …/remote_migrate`: there is no other cluster to go to.
pub(crate) fn remote(call: &mut Call<'_>) -> Result<Value, Fail> {
    call.world.ct(call.params.node(), call.params.vmid())?;
    Err(Fail::new("remote migration is not simulated: the target endpoint cannot be reached"))
}

/// `POST …/migrate`: a running container moves by a restart.
pub(crate) fn migrate(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    let target = call.params.text("target").to_owned();
    if target == node {
        return Err(Fail::parameter("target", "target is local node."));
    }
    let found = call.world.nodes.get(&target);
    let found = found.ok_or_else(|| Fail::new(format!("no such cluster node '{target}'")))?;
    if !found.online {
        return Err(Fail::new(format!("node '{target}' is offline")));
    }
    let guest = call.world.ct(&node, vmid)?;
    guest.check_lock()?;
    let restart = call.params.flag("restart");
    if guest.process.is_some() && !restart && !call.params.flag("online") {
        return Err(Fail::new("can't migrate running container without --online or --restart"));
    }
    let storage = call.params.get("target-storage").map(str::to_owned);
    let work = Migrate { node, vmid, target, restart, storage };
    Ok(call.task("vzmigrate", &vmid.to_string(), work))
}

struct Migrate {
    node: String,
    vmid: u32,
    target: String,
    restart: bool,
    storage: Option<String>,
}

impl Migrate {
    /// Every volume must be able to follow: it lies on shared storage, or its
    /// storage exists at the target as well.
    fn check(&self, world: &World) -> Result<(), String> {
        let guest = world.ct(&self.node, self.vmid).map_err(|fail| fail.text)?;
        guest.check_lock()?;
        if guest.process.is_some() && !self.restart {
            return Err("lxc live migration is currently not implemented".into());
        }
        if self.storage.as_deref().is_some_and(|storage| !world.storages.contains_key(storage)) {
            return Err(format!(
                "migration aborted: storage '{}' does not exist",
                self.storage.as_deref().unwrap_or_default()
            ));
        }
        for (_, drive) in guest.disks() {
            let storage = drive.volume.split(':').next().unwrap_or_default();
            let to = self.storage.as_deref().unwrap_or(storage);
            world
                .storage_on(&self.target, to)
                .map_err(|fail| format!("migration aborted: {}", fail.text))?;
        }
        Ok(())
    }
}

impl Work for Migrate {
    fn locks(&self) -> Option<u32> {
        Some(self.vmid)
    }

    fn begin(&mut self, world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        self.check(world)?;
        log.push(format!("starting migration of CT {} to node '{}'", self.vmid, self.target));
        let guest = world.ct_mut(&self.node, self.vmid).map_err(|fail| fail.text)?;
        guest.config.insert("lock".into(), "migrate".into());
        Ok(Vec::new())
    }

    fn finish(
        &mut self,
        world: &mut World,
        log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        let guest = world.ct(&self.node, self.vmid).map_err(|fail| fail.text)?;
        let restart = guest.process.is_some();
        for (_, drive) in guest.disks() {
            let Some(from) = world.key_of(&self.node, &drive.volume) else { continue };
            if from.1.is_empty() {
                continue;
            }
            log.push(format!("found local volume '{}' (in current VM config)", drive.volume));
            let to = (from.0.clone(), self.target.clone(), from.2.clone());
            if let Some(volume) = world.volumes.remove(&from) {
                world.volumes.insert(to, volume);
            }
        }
        let (now, pid) = (world.now, world.tasks.next_pid());
        world.move_guest(self.vmid, &self.target);
        if let Some(guest) = world.guests.get_mut(&self.vmid) {
            guest.config.remove("lock");
            if restart {
                guest.halt(now);
                guest.run(pid, now);
                log.push("start container on target node".into());
            }
        }
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
