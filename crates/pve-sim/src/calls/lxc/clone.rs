//! `POST /nodes/{node}/lxc/{vmid}/clone`

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::options;
use super::relocate::copied;
use super::volumes::{self, Made, Plan};
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::{Version, split_index};
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;
use crate::world::guest::{Config, Drive, Guest, Kind, print_size};
use crate::world::guest_find::disks_of;
use crate::world::storage::{Key, Volume, volid};

/// Clones: the target's id is taken at once (`lock: create`).
pub(crate) fn clone(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    let newid: u32 = call.params.text("newid").parse().unwrap_or(0);
    let pool = call.params.get("pool").map(str::to_owned);
    crate::calls::qemu::check_may_allocate(call, newid, pool.as_deref())?;
    let target = call.params.get("target").filter(|target| *target != node).map(str::to_owned);
    if let Some(target) = &target
        && !call.world.nodes.contains_key(target)
    {
        return Err(Fail::new(format!("no such cluster node '{target}'")));
    }
    let source = call.world.ct(&node, vmid)?;
    source.check_lock()?;
    if let Some(text) = call.world.taken(newid) {
        return Err(Fail::new(text));
    }
    let config = config_of(call, source)?.clone();
    let full = call.params.get("full").map_or(!source.is_template(), |full| full == "1");
    if !full && call.params.get("storage").is_some() {
        return Err(Fail::new("parameter 'storage' not allowed for linked clones"));
    }
    if full && source.process.is_some() && call.params.get("snapname").is_none() {
        return Err(Fail::new("Cannot do full clones on a running container without snapshots"));
    }
    let disks = disks_of(Kind::Lxc, &config);
    check_target(call, &disks, target.as_deref())?;
    let (plans, linked) = if full {
        (full_plans(call, source, &disks)?, Vec::new())
    } else {
        (Vec::new(), linked(call, source, &disks, newid)?)
    };
    let mut guest = Guest::new(newid, &node, Kind::Lxc, call.world.now);
    guest.config.insert("lock".into(), "create".into());
    let config = copy(call, config, newid)?;
    call.world.insert_guest(guest);
    if let Some(pool) = pool {
        call.world.join_pool(newid, &pool);
    }
    let work = Clone {
        node,
        vmid,
        newid,
        target,
        config,
        sources: disks,
        plans,
        linked,
        made: Made::default(),
    };
    Ok(call.task("vzclone", &vmid.to_string(), work))
}

/// The configuration that is copied: the current one, or a snapshot's.
fn config_of<'a>(call: &Call<'_>, source: &'a Guest) -> Result<&'a Config, Fail> {
    let Some(name) = call.params.get("snapname") else { return Ok(&source.config) };
    let snapshot = source.snapshots.get(name);
    let found = snapshot.ok_or_else(|| Fail::new(format!("snapshot '{name}' does not exist")))?;
    Ok(&found.config)
}

fn check_target(
    call: &Call<'_>,
    disks: &[(String, Drive)],
    target: Option<&str>,
) -> Result<(), Fail> {
    let Some(target) = target else { return Ok(()) };
    for (_, drive) in disks {
        let own = drive.volume.split(':').next().unwrap_or_default();
        let storage = call.params.get("storage").unwrap_or(own);
        let found = call.world.storages.get(storage);
        if !found.is_some_and(|storage| storage.shared && storage.is_on(target)) {
            return Err(Fail::new(format!(
                "can't clone to non-local node: storage '{storage}' is not shared"
            )));
        }
    }
    Ok(())
}

fn full_plans(
    call: &Call<'_>,
    source: &Guest,
    disks: &[(String, Drive)],
) -> Result<Vec<Plan>, Fail> {
    let mut plans = Vec::new();
    for (device, drive) in disks {
        let (key, volume) = call.world.volume_at(&source.node, &drive.volume)?;
        let storage = call.params.get("storage").unwrap_or(&key.0);
        volumes::check_storage(call, call.world.storage_on(&source.node, storage)?)?;
        plans.push(Plan::new(device, drive.clone(), storage, volume.size));
    }
    Ok(plans)
}

/// A linked copy: device, text, key and volume.
type Linked = (String, Drive, Key, Volume);

fn linked(
    call: &Call<'_>,
    source: &Guest,
    disks: &[(String, Drive)],
    newid: u32,
) -> Result<Vec<Linked>, Fail> {
    let world = &*call.world;
    let mut taken: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut copies = Vec::new();
    for (device, drive) in disks {
        if !volumes::can_link(world, source, drive) {
            return Err(Fail::new(format!(
                "Linked clone feature for '{}' is not available",
                drive.volume
            )));
        }
        let (key, volume) = world.volume_at(&source.node, &drive.volume)?;
        let storage = world.storage_on(&source.node, &key.0)?;
        volumes::check_storage(call, storage)?;
        let taken = taken.entry(key.0.clone()).or_default();
        let name = world.next_disk_name(storage, &source.node, newid, &volume.format, taken);
        taken.insert(name.clone());
        let name = match storage.kind.as_str() {
            "lvmthin" => name,
            "zfspool" => format!("{}/{}", key.2, name.replacen("vm-", "subvol-", 1)),
            _ => format!("{}/{name}", key.2),
        };
        let mut copy = drive.clone();
        copy.options.insert("size".into(), print_size(volume.size));
        let target: Key = (key.0.clone(), key.1.clone(), name);
        copy.volume = volid(&target);
        let parent = (storage.kind != "lvmthin").then(|| key.2.clone());
        let new = Volume {
            vmid: Some(newid),
            parent,
            created: world.now,
            content: "rootdir".into(),
            ..volume.clone()
        };
        copies.push((device.clone(), copy, target, new));
    }
    Ok(copies)
}

/// The options of the copy, without volumes: new hardware addresses.
fn copy(call: &mut Call<'_>, source: Config, newid: u32) -> Result<Config, Fail> {
    let mut config = Config::new();
    for (key, text) in source {
        let stem = split_index(&key).map_or(key.as_str(), |(stem, _)| stem);
        let dropped = matches!(stem, "lock" | "template" | "unused" | "vmstate")
            || (options::is_volume(&key) && !text.starts_with('/'));
        if dropped {
            continue;
        }
        let text = match stem {
            "net" => {
                let mut net = Drive::parse(&text);
                net.options.remove("hwaddr");
                options::stored(call.world, &key, &net.print())?
            }
            _ => text,
        };
        config.insert(key, text);
    }
    if let Some(name) = call.params.get("hostname") {
        config.insert("hostname".into(), name.to_owned());
    } else {
        let name = config.get("hostname").cloned().unwrap_or_else(|| format!("CT{newid}"));
        config.insert("hostname".into(), format!("Copy-of-CT-{name}"));
    }
    if let Some(description) = call.params.get("description") {
        config.insert("description".into(), description.to_owned());
    }
    Ok(config)
}

struct Clone {
    node: String,
    vmid: u32,
    newid: u32,
    target: Option<String>,
    config: Config,
    sources: Vec<(String, Drive)>,
    plans: Vec<Plan>,
    linked: Vec<Linked>,
    made: Made,
}

impl Clone {
    fn fill(&mut self, world: &mut World, log: &mut Vec<String>) -> Result<(), String> {
        if world.version == Version::V9_2 {
            log.push(format!("creating a clone of container {} with ID {}", self.vmid, self.newid));
        }
        for (device, drive) in &self.sources {
            let kind = if self.linked.is_empty() { "full" } else { "linked" };
            log.push(format!("create {kind} clone of mountpoint {device} ({})", drive.volume));
        }
        self.made = volumes::make(world, &self.node, self.newid, &self.plans, log)?;
        for (device, drive, key, volume) in self.linked.drain(..) {
            let text = volumes::print(world, &device, &drive);
            self.made.options.push((device, text));
            self.made.volumes.push((key, volume));
        }
        if !self.plans.is_empty() {
            copied(log);
        }
        Ok(())
    }
}

impl Work for Clone {
    fn begin(&mut self, world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        if let Err(text) = self.fill(world, log) {
            world.remove_guest(self.newid);
            return Err(format!("clone failed: {text}"));
        }
        for (key, volume) in &self.made.volumes {
            world.volumes.insert(key.clone(), volume.clone());
        }
        Ok(Vec::new())
    }

    fn finish(
        &mut self,
        world: &mut World,
        _log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        let guest = world.guests.get_mut(&self.newid).ok_or("clone failed: config is gone")?;
        guest.config = std::mem::take(&mut self.config);
        guest.config.extend(self.made.options.drain(..));
        if let Some(target) = &self.target {
            world.move_guest(self.newid, target);
        }
        Ok(Step::Done)
    }

    fn fail(&mut self, world: &mut World) -> Vec<Op> {
        world.remove_guest(self.newid);
        for (key, _) in &self.made.volumes {
            world.volumes.remove(key);
        }
        Vec::new()
    }
}
