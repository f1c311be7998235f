//! `/nodes/{node}/qemu/{vmid}/migrate`

use serde_json::{Value, json};

use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::Version;
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;

/// `GET …/migrate`
pub(crate) fn conditions(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    let guest = world.vm(call.params.node(), call.params.vmid())?;
    let mut disks = Vec::new();
    for (device, drive) in guest.drives() {
        let storage = drive.volume.split(':').next().unwrap_or_default();
        if world.storages.get(storage).is_some_and(|storage| !storage.shared) {
            let size = world
                .key_of(&guest.node, &drive.volume)
                .and_then(|key| world.volumes.get(&key))
                .map(|volume| volume.size);
            disks.push(json!({
                "volid": drive.volume, "drivename": device, "cdrom": u8::from(drive.is_cdrom()), "shared": 0,
                "is_attached": 1, "is_unused": 0, "is_vmstate": 0, "is_tpmstate": 0, "replicate": 1, "size": size,
            }));
        }
    }
    let others: Vec<&String> = world
        .nodes
        .values()
        .filter(|node| node.online && node.name != guest.node)
        .map(|node| &node.name)
        .collect();
    let mut row = json!({
        "running": u8::from(guest.process.is_some()), "local_disks": disks, "local_resources": [],
        "mapped-resources": [], "mapped-resource-info": {}, "allowed_nodes": others, "not_allowed_nodes": {},
    });
    if world.version == Version::V9_2 {
        row["has-dbus-vmstate"] = json!(0);
    }
    Ok(row)
}

/// `POST …/migrate`
pub(crate) fn migrate(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    let target = call.params.text("target").to_owned();
    if target == node {
        return Err(Fail::parameter("target", "target is local node."));
    }
    let found = call
        .world
        .nodes
        .get(&target)
        .ok_or_else(|| Fail::new(format!("no such cluster node '{target}'")))?;
    if !found.online {
        return Err(Fail::new(format!("node '{target}' is offline")));
    }
    let guest = call.world.vm(&node, vmid)?;
    guest.check_lock()?;
    if guest.process.is_some() && !call.params.flag("online") {
        return Err(Fail::new("can't migrate running VM without --online"));
    }
    Ok(call.task("qmigrate", &vmid.to_string(), Migrate { node, vmid, target }))
}

struct Migrate {
    node: String,
    vmid: u32,
    target: String,
}

impl Work for Migrate {
    fn locks(&self) -> Option<u32> {
        Some(self.vmid)
    }

    fn begin(&mut self, world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        let guest = world.vm(&self.node, self.vmid).map_err(|fail| fail.text)?;
        for (_, drive) in guest.drives() {
            let storage = drive.volume.split(':').next().unwrap_or_default();
            let found = world.storages.get(storage);
            if found.is_some_and(|storage| !storage.shared || !storage.is_on(&self.target)) {
                return Err(format!(
                    "migration aborted: can't migrate local disk '{}'",
                    drive.volume
                ));
            }
        }
        log.push(format!("starting migration of VM {} to node '{}'", self.vmid, self.target));
        let guest = world.vm_mut(&self.node, self.vmid).map_err(|fail| fail.text)?;
        guest.config.insert("lock".into(), "migrate".into());
        Ok(Vec::new())
    }

    fn finish(
        &mut self,
        world: &mut World,
        log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        if let Some(guest) = world.guests.get_mut(&self.vmid) {
            guest.config.remove("lock");
        }
        world.move_guest(self.vmid, &self.target);
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
