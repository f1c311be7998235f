//! `POST /nodes/{node}/qemu/{vmid}/clone`

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::create::check_may_allocate;
use super::drives::cloudinit_name;
use super::{not_found, options};
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::split_index;
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;
use crate::world::guest::{Config, Drive, Guest, Kind, drives_of, is_drive, print_size};
use crate::world::storage::{Key, Storage, Volume, volid};

/// One disk of the copy.
struct Copy {
    device: String,
    drive: Drive,
    key: Key,
    volume: Volume,
    source: String,
    linked: bool,
}

/// Clones: the target's id is taken at once (`lock: clone`, on the source node).
pub(crate) fn clone(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    let newid: u32 = call.params.text("newid").parse().unwrap_or(0);
    let pool = call.params.get("pool").map(str::to_owned);
    check_may_allocate(call, newid, pool.as_deref())?;
    let target = call.params.get("target").filter(|target| *target != node).map(str::to_owned);
    if let Some(target) = &target
        && !call.world.nodes.contains_key(target)
    {
        return Err(Fail::new(format!("no such cluster node '{target}'")));
    }
    let source = call.world.vm(&node, vmid).map_err(|_| Fail::new(not_found(&node, vmid)))?;
    source.check_lock()?;
    let config = match call.params.get("snapname") {
        Some(name) => {
            let snapshot = source.snapshots.get(name);
            &snapshot.ok_or_else(|| Fail::new(format!("snapshot '{name}' does not exist")))?.config
        }
        None => &source.config,
    };
    let full = call.params.get("full").map_or(!source.is_template(), |full| full == "1");
    if !full {
        for name in ["storage", "format"] {
            if call.params.get(name).is_some() {
                return Err(Fail::new(format!("parameter '{name}' not allowed for linked clones")));
            }
        }
    }
    let copies = copies(call, source, config, newid, full)?;
    let shared =
        copies.iter().all(|copy| copy.key.1.is_empty() && is_shared(call.world, &copy.source));
    if let Some(target) = &target
        && !shared
    {
        let text = match call.params.get("storage") {
            Some(storage) if !copies.iter().all(|copy| copy.key.1.is_empty()) => {
                format!("can't clone to non-shared storage '{storage}'")
            }
            _ => format!("can't clone VM to node '{target}' (VM uses local storage)"),
        };
        return Err(Fail::new(text));
    }
    if call.world.guests.contains_key(&newid) {
        return Err(Fail::new(format!("unable to create VM {newid}: config file already exists")));
    }
    check_rights(call, config, &copies)?;
    let (name, boot, config) = (source.name(), source.boot.clone(), config.clone());
    let mut guest = Guest::new(newid, &node, Kind::Qemu, call.world.now);
    guest.boot = boot;
    guest.config = copied(call, config, &name);
    call.world.insert_guest(guest);
    if let Some(pool) = pool {
        call.world.join_pool(newid, &pool);
    }
    let work = Clone { newid, target, copies };
    Ok(call.task("qmclone", &vmid.to_string(), work))
}

fn is_shared(world: &World, volume: &str) -> bool {
    let storage = volume.split(':').next().unwrap_or_default();
    world.storages.get(storage).is_some_and(|storage| storage.shared)
}

fn check_rights(call: &Call<'_>, config: &Config, copies: &[Copy]) -> Result<(), Fail> {
    if call.caller.is_root() {
        return Ok(());
    }
    for copy in copies {
        call.require(&format!("/storage/{}", copy.key.0), "Datastore.AllocateSpace")?;
    }
    for (key, text) in config {
        if let Some(bridge) = options::bridge(key, text) {
            call.require_bridge(bridge)?;
        }
    }
    Ok(())
}

fn copies(
    call: &Call<'_>,
    source: &Guest,
    config: &Config,
    newid: u32,
    full: bool,
) -> Result<Vec<Copy>, Fail> {
    let world = &*call.world;
    let mut taken: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut copies = Vec::new();
    for (device, mut drive) in drives_of(config) {
        if drive.is_cdrom() && !drive.is_cloudinit() {
            continue;
        }
        let key = world.key_of(&source.node, &drive.volume);
        let found = key.and_then(|key| world.volumes.get(&key).map(|volume| (key, volume)));
        let Some((key, volume)) = found else {
            return Err(Fail::new(format!("volume '{}' does not exist", drive.volume)));
        };
        let linked = !full && !drive.is_cloudinit();
        let from = world.storage_on(&source.node, &key.0)?;
        let is_base = key.2.rsplit('/').next().is_some_and(|name| name.starts_with("base-"));
        if linked && !(is_base && from.can_link()) {
            let what = format!("'{}' ({device})", drive.volume);
            return Err(Fail::new(format!("Linked clone feature is not supported for {what}")));
        }
        let (to, format) = destination(call, &source.node, from, &drive, volume, full)?;
        let name = if drive.is_cloudinit() {
            cloudinit_name(to, newid)
        } else {
            let taken: &mut BTreeSet<String> = taken.entry(to.id.clone()).or_default();
            let name = world.next_disk_name(to, &source.node, newid, &format, taken);
            taken.insert(name.clone());
            name
        };
        // A linked volume's id names its base first, but not on LVM (fact 44).
        let shows_base = linked && to.kind != "lvmthin";
        let name = if shows_base { format!("{}/{name}", key.2) } else { name };
        drive.options.insert("size".into(), print_size(volume.size));
        let target: Key = (to.id.clone(), to.place(&source.node), name);
        let source_volume = std::mem::replace(&mut drive.volume, volid(&target));
        copies.push(Copy {
            device: device.to_owned(),
            drive,
            key: target,
            volume: Volume {
                content: "images".into(),
                format,
                size: volume.size,
                vmid: Some(newid),
                parent: shows_base.then(|| key.2.clone()),
                created: world.now,
                ..Volume::default()
            },
            source: source_volume,
            linked,
        });
    }
    Ok(copies)
}

/// The storage and format of a copy.
fn destination<'a>(
    call: &'a Call<'_>,
    node: &str,
    from: &'a Storage,
    drive: &Drive,
    volume: &Volume,
    full: bool,
) -> Result<(&'a Storage, String), Fail> {
    let to = match call.params.get("storage").filter(|_| full) {
        Some(storage) => call.world.storage_on(node, storage)?,
        None => from,
    };
    if !to.content.contains("images") {
        return Err(Fail::new(format!("storage '{}' does not support vm images", to.id)));
    }
    let format = match (to.is_files(), call.params.get("format")) {
        (false, _) => "raw",
        _ if !full || drive.is_cloudinit() => "qcow2",
        (true, Some(format)) => format,
        (true, None) => &volume.format,
    };
    Ok((to, format.to_owned()))
}

/// The options of the copy, without disks: new MAC, UUID and generation id
/// (fact 42); description and tags are copied.
fn copied(call: &mut Call<'_>, source: Config, source_name: &str) -> Config {
    let mut config = Config::new();
    for (key, text) in source {
        let stem = split_index(&key).map_or(key.as_str(), |(stem, _)| stem);
        let text = match stem {
            "lock" | "template" | "unused" | "parent" | "snaptime" | "vmstate" => continue,
            "net" => new_mac(&text, &call.world.mac()),
            "smbios" => new_uuid(&text, &call.world.uuid()),
            "vmgenid" => call.world.uuid(),
            _ if is_drive(&key) => {
                let drive = Drive::parse(&text);
                if !drive.is_cdrom() || drive.is_cloudinit() {
                    continue;
                }
                text
            }
            _ => text,
        };
        config.insert(key, text);
    }
    config.insert("lock".into(), "clone".into());
    config.insert(
        "name".into(),
        call.params.get("name").map_or_else(|| copy_name(source_name), str::to_owned),
    );
    if let Some(description) = call.params.get("description") {
        config.insert("description".into(), description.to_owned());
    }
    config
}

/// A network card's text with another hardware address.
pub(crate) fn new_mac(text: &str, mac: &str) -> String {
    let (head, tail) = text.split_once(',').unwrap_or((text, ""));
    let model = head.split('=').next().unwrap_or(head);
    let comma = if tail.is_empty() { "" } else { "," };
    format!("{model}={mac}{comma}{tail}")
}

/// The `smbios1` option with another UUID.
pub(crate) fn new_uuid(text: &str, uuid: &str) -> String {
    let mut smbios = Drive::parse(text);
    smbios.options.remove("uuid");
    let rest = smbios.print();
    let comma = if rest.is_empty() { "" } else { "," };
    format!("uuid={uuid}{comma}{rest}")
}

fn copy_name(source: &str) -> String {
    format!("Copy-of-VM-{}", source.trim_start_matches("VM "))
}

struct Clone {
    newid: u32,
    target: Option<String>,
    copies: Vec<Copy>,
}

impl Work for Clone {
    fn begin(&mut self, world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        for copy in &self.copies {
            if let Err(text) = world.check_space(&copy.key.0) {
                self.copies.clear();
                world.remove_guest(self.newid);
                return Err(format!("clone failed: {text}"));
            }
        }
        for copy in &self.copies {
            let kind = if copy.linked { "linked" } else { "full" };
            log.push(format!("create {kind} clone of drive {} ({})", copy.device, copy.source));
            world.volumes.insert(copy.key.clone(), copy.volume.clone());
        }
        Ok(Vec::new())
    }

    fn effects(&mut self, _world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        let op = |copy: &Copy| {
            let target = volid(&copy.key);
            if copy.drive.is_cloudinit() {
                Op::Allocate { volume: target, size: copy.volume.size }
            } else if copy.linked {
                Op::CloneLinked { base: copy.source.clone(), target }
            } else {
                Op::CloneFull { source: copy.source.clone(), target }
            }
        };
        Ok(self.copies.iter().map(op).collect())
    }

    fn finish(
        &mut self,
        world: &mut World,
        _log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        let guest =
            world.guests.get_mut(&self.newid).ok_or("clone failed: the configuration is gone")?;
        for copy in &self.copies {
            guest.config.insert(copy.device.clone(), copy.drive.print());
        }
        guest.config.remove("lock");
        if let Some(target) = &self.target {
            world.move_guest(self.newid, target);
        }
        Ok(Step::Done)
    }

    fn fail(&mut self, world: &mut World) -> Vec<Op> {
        world.remove_guest(self.newid);
        let mut ops = Vec::new();
        for copy in &self.copies {
            world.volumes.remove(&copy.key);
            ops.push(Op::Free { volume: volid(&copy.key) });
        }
        ops
    }
}
