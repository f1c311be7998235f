//! Restoring a container: `POST /nodes/{node}/lxc` with `restore=1`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::calls::lxc::{options, volumes};
use crate::engine::Call;
use crate::fail::Fail;
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;
use crate::world::guest::{Config, Drive, Guest, Kind};
use crate::world::storage::{Backup, Key};

use volumes::{Made, Plan};

/// Restores over an existing container (`replaced`) or at a new id.
pub(crate) fn restore(
    call: &mut Call<'_>,
    given: BTreeMap<String, String>,
    replaced: bool,
) -> Result<Value, Fail> {
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    let mut plans = Vec::new();
    let mut config = Config::new();
    for (key, value) in &given {
        if options::is_volume(key) {
            plans.push(volumes::plan(call, key, value)?);
        } else {
            config.insert(key.clone(), options::stored(call.world, key, value)?);
        }
    }
    if let Some(storage) = call.params.get("storage") {
        volumes::check_storage(call, call.world.storage_on(&node, storage)?)?;
    }
    if replaced {
        let guest = call.world.ct_mut(&node, vmid)?;
        guest.check_lock()?;
        if guest.number("protection", 0) == 1 {
            return Err(Fail::new(format!(
                "unable to restore CT {vmid} - can't remove CT {vmid} - protection mode enabled"
            )));
        }
    } else {
        call.world.insert_guest(Guest::new(vmid, &node, Kind::Lxc, call.world.now));
    }
    if let Ok(guest) = call.world.ct_mut(&node, vmid) {
        guest.config.insert("lock".into(), "create".into());
    }
    if let Some(pool) = call.params.get("pool").map(str::to_owned) {
        call.world.join_pool(vmid, &pool);
    }
    let work = Restore {
        node,
        vmid,
        archive: call.params.text("ostemplate").to_owned(),
        storage: call.params.get("storage").map(str::to_owned),
        unique: call.params.flag("unique"),
        start: call.params.flag("start"),
        replaced,
        plans,
        given: config,
        restored: Config::new(),
        made: Made::default(),
    };
    Ok(call.task("vzrestore", &vmid.to_string(), work))
}

struct Restore {
    node: String,
    vmid: u32,
    archive: String,
    storage: Option<String>,
    unique: bool,
    start: bool,
    replaced: bool,
    /// Mount points that the caller wants instead of those in the backup.
    plans: Vec<Plan>,
    given: Config,
    restored: Config,
    made: Made,
}

impl Restore {
    /// Mount points as they were, on the given storage or where they were.
    fn plans_of(&self, backup: &Backup) -> Vec<Plan> {
        let plan = |disk: &crate::world::storage::BackupDisk| {
            let text = backup.config.get(&disk.device)?;
            let mut drive = Drive::parse(text);
            let own = drive.volume.split(':').next().unwrap_or_default().to_owned();
            let storage = self.storage.clone().unwrap_or(own);
            drive.volume.clear();
            Some(Plan::new(&disk.device, drive, &storage, disk.size))
        };
        backup.disks.iter().filter_map(plan).collect()
    }

    fn prepare(&mut self, world: &mut World, log: &mut Vec<String>) -> Result<(), String> {
        let running = world.guests.get(&self.vmid).is_some_and(|guest| guest.process.is_some());
        if self.replaced && running {
            return Err("can't overwrite running container".into());
        }
        let (key, backup) = super::find(world, &self.node, &self.archive)?;
        if backup.kind != Kind::Lxc {
            return Err(format!("'{}' is not a backup of a container", self.archive));
        }
        log.push(format!("recovering backed-up configuration from '{}'", self.archive));
        if self.plans.is_empty() {
            self.plans = self.plans_of(&backup);
        }
        if self.replaced {
            free_old(world, &self.node, self.vmid)?;
        }
        self.made = volumes::make(world, &self.node, self.vmid, &self.plans, log)?;
        let name = key.2.rsplit('/').next().unwrap_or(&key.2);
        let folder = world.storages.get(&key.0).map(|found| found.path()).unwrap_or_default();
        log.push(format!("restoring '{}' now..", self.archive));
        log.push(format!("extracting archive '{folder}/dump/{name}'"));
        log.push("Total bytes read: 2478080 (2.4MiB, 111MiB/s)".into());
        log.push("merging backed-up and given configuration..".into());
        self.restored = self.merge(world, backup.config)?;
        Ok(())
    }

    /// The backup's options, then the given ones; hardware addresses change
    /// only when asked for.
    fn merge(&self, world: &mut World, saved: Config) -> Result<Config, String> {
        let mut config = Config::new();
        for (key, text) in saved {
            if options::is_volume(&key) && !text.starts_with('/') {
                continue;
            }
            let mut text = text;
            if self.unique && key.starts_with("net") {
                let mut net = Drive::parse(&text);
                net.options.remove("hwaddr");
                text = options::stored(world, &key, &net.print()).map_err(|fail| fail.text)?;
            }
            config.insert(key, text);
        }
        config.extend(self.given.clone());
        Ok(config)
    }
}

/// The volumes of the container that is replaced go first.
fn free_old(world: &mut World, node: &str, vmid: u32) -> Result<(), String> {
    let guest = world.ct(node, vmid).map_err(|fail| fail.text)?;
    let keys: Vec<Key> =
        guest.disks().iter().filter_map(|(_, drive)| world.key_of(node, &drive.volume)).collect();
    for key in &keys {
        world.check_no_children(key)?;
    }
    for key in &keys {
        world.volumes.remove(key);
    }
    let guest = world.ct_mut(node, vmid).map_err(|fail| fail.text)?;
    guest.config.retain(|key, _| key == "lock" || key.starts_with("unused"));
    guest.snapshots.clear();
    guest.parent = None;
    guest.pending.clear();
    Ok(())
}

impl Work for Restore {
    fn begin(&mut self, world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        if let Err(text) = self.prepare(world, log) {
            if self.replaced {
                if let Some(guest) = world.guests.get_mut(&self.vmid) {
                    guest.config.remove("lock");
                }
            } else {
                world.remove_guest(self.vmid);
            }
            return Err(format!("unable to restore CT {} - {text}", self.vmid));
        }
        self.made.begin(world);
        Ok(Vec::new())
    }

    fn finish(
        &mut self,
        world: &mut World,
        _log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        let (now, pid) = (world.now, world.tasks.next_pid());
        let guest = world.guests.get_mut(&self.vmid).ok_or("the container is gone")?;
        let unused: Vec<(String, String)> = guest
            .config
            .iter()
            .filter(|(key, _)| key.starts_with("unused"))
            .map(|(key, text)| (key.clone(), text.clone()))
            .collect();
        guest.config = std::mem::take(&mut self.restored);
        guest.config.extend(unused);
        guest.config.extend(self.made.options.drain(..));
        if self.start && !guest.is_template() {
            guest.run(pid, now);
        }
        Ok(Step::Done)
    }

    fn fail(&mut self, world: &mut World) -> Vec<Op> {
        self.made.fail(world, self.vmid);
        Vec::new()
    }
}
