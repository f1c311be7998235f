//! Restoring a virtual machine: `POST /nodes/{node}/qemu` with `archive`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::member;
use crate::calls::qemu::{self, tags};
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::split_index;
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;
use crate::world::guest::{Config, Drive, Guest, Kind, is_drive, print_size};
use crate::world::storage::{Backup, Key, Volume, volid};

/// Restores over an existing virtual machine (with `force`) or at a new id.
pub(crate) fn restore(call: &mut Call<'_>, given: BTreeMap<String, String>) -> Result<Value, Fail> {
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    let archive = call.params.text("archive").to_owned();
    if let Some(key) = given.keys().find(|key| is_drive(key)) {
        return Err(Fail::parameter(key, "option conflicts with option 'archive'"));
    }
    let live = call.params.flag("live-restore");
    if let Some(storage) = call.params.get("storage") {
        call.require(&format!("/storage/{storage}"), "Datastore.AllocateSpace")?;
        let found = call.world.storage_on(&node, storage)?;
        if !found.content.contains("images") {
            return Err(Fail::new(format!("storage '{storage}' does not support vm images")));
        }
    }
    call.world.volume_at(&node, &archive)?;
    let unable = format!("unable to restore VM {vmid} -");
    let existing = call.world.guests.get(&vmid);
    let replaced = call.params.flag("force")
        && existing.is_some_and(|guest| guest.kind == Kind::Qemu && guest.node == node);
    if !replaced && let Some(text) = call.world.taken(vmid) {
        return Err(Fail::new(format!("{unable} {text}")));
    }
    if replaced && let Some(guest) = call.world.guests.get(&vmid) {
        guest.check_lock().map_err(|text| Fail::new(format!("{unable} {text}")))?;
    }
    let mut options = Config::new();
    for (key, value) in &given {
        options.insert(key.clone(), qemu::stored(call.world, key, value)?);
    }
    if !replaced {
        call.world.insert_guest(Guest::new(vmid, &node, Kind::Qemu, call.world.now));
    }
    if let Ok(guest) = call.world.vm_mut(&node, vmid) {
        guest.config.insert("lock".into(), "create".into());
    }
    if let Some(pool) = call.params.get("pool").map(str::to_owned) {
        call.world.join_pool(vmid, &pool);
    }
    let work = Restore {
        node,
        vmid,
        archive,
        storage: call.params.get("storage").map(str::to_owned),
        unique: call.params.flag("unique"),
        start: call.params.flag("start") || live,
        replaced,
        given: options,
        backup: None,
        disks: Vec::new(),
        freed: Vec::new(),
        starting: false,
    };
    Ok(call.task("qmrestore", &vmid.to_string(), work))
}

/// A disk that comes back; a cloud-init drive is made anew, without a member.
struct Disk {
    device: String,
    drive: Drive,
    key: Key,
    volume: Volume,
    member: Option<String>,
}

struct Restore {
    node: String,
    vmid: u32,
    archive: String,
    storage: Option<String>,
    unique: bool,
    start: bool,
    replaced: bool,
    given: Config,
    backup: Option<Backup>,
    disks: Vec<Disk>,
    /// Volumes of the guest that is replaced.
    freed: Vec<Key>,
    starting: bool,
}

impl Restore {
    fn prepare(&mut self, world: &mut World, log: &mut Vec<String>) -> Result<(), String> {
        let (key, backup) = super::find(world, &self.node, &self.archive)?;
        if backup.kind != Kind::Qemu {
            return Err(format!("'{}' is not a backup of a virtual machine", self.archive));
        }
        if self.replaced {
            self.release_old(world)?;
        }
        let name = key.2.rsplit('/').next().unwrap_or(&key.2);
        let folder = world.storages.get(&key.0).map(|found| found.path()).unwrap_or_default();
        log.push(format!("restore vma archive: {folder}/dump/{name}"));
        let mut taken: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (device, text) in &backup.config {
            if is_drive(device) {
                let disk = self.disk(world, &key, &backup, device, text, &mut taken)?;
                self.disks.extend(disk);
            }
        }
        for disk in &self.disks {
            let size = print_size(disk.volume.size);
            log.push(format!("map '{}' to '{}' ({size})", disk.device, volid(&disk.key)));
        }
        self.backup = Some(backup);
        Ok(())
    }

    fn disk(
        &self,
        world: &World,
        archive: &Key,
        backup: &Backup,
        device: &str,
        text: &str,
        taken: &mut BTreeMap<String, BTreeSet<String>>,
    ) -> Result<Option<Disk>, String> {
        let mut drive = Drive::parse(text);
        let saved = backup.disks.iter().find(|disk| disk.device == device);
        if saved.is_none() && !drive.is_cloudinit() {
            return Ok(None);
        }
        let own = drive.volume.split(':').next().unwrap_or_default().to_owned();
        let id = self.storage.as_deref().unwrap_or(&own);
        let storage = world.storage_on(&self.node, id).map_err(|fail| fail.text)?;
        world.check_space(id)?;
        let format = match saved {
            _ if !storage.is_files() => "raw".to_owned(),
            Some(disk) => disk.format.clone(),
            None => "qcow2".to_owned(),
        };
        let taken = taken.entry(id.to_owned()).or_default();
        let name = match saved {
            Some(_) => world.next_disk_name(storage, &self.node, self.vmid, &format, taken),
            None => qemu::cloudinit_name(storage, self.vmid),
        };
        taken.insert(name.clone());
        let key: Key = (storage.id.clone(), storage.place(&self.node), name);
        let size = saved.map_or(4 << 20, |disk| disk.size);
        drive.volume = volid(&key);
        if saved.is_some() {
            drive.options.insert("size".into(), print_size(size));
        }
        let volume = Volume {
            content: "images".into(),
            format,
            size,
            vmid: Some(self.vmid),
            created: world.now,
            ..Volume::default()
        };
        let member = saved.map(|_| member::name(&volid(archive), device));
        Ok(Some(Disk { device: device.to_owned(), drive, key, volume, member }))
    }

    /// The guest that is replaced loses its disks; unused ones stay.
    fn release_old(&mut self, world: &mut World) -> Result<(), String> {
        let guest = world.vm(&self.node, self.vmid).map_err(|fail| fail.text)?;
        if guest.process.is_some() {
            return Err("vm is running".into());
        }
        if guest.number("protection", 0) == 1 {
            return Err(format!("can't remove VM {} - protection mode enabled", self.vmid));
        }
        let drives = guest.drives().map(|(_, drive)| drive.volume);
        let owned = drives.filter(|volume| qemu::is_owned(volume, self.vmid));
        let keys: Vec<Key> = owned.filter_map(|volume| world.key_of(&self.node, &volume)).collect();
        for key in &keys {
            world.check_no_children(key)?;
        }
        keys.iter().for_each(|key| drop(world.volumes.remove(key)));
        self.freed = keys;
        let guest = world.vm_mut(&self.node, self.vmid).map_err(|fail| fail.text)?;
        guest.config.retain(|key, _| key == "lock" || key.starts_with("unused"));
        guest.snapshots.clear();
        guest.parent = None;
        guest.pending.clear();
        Ok(())
    }

    /// The options in the backup: the generation id is always new, UUID and
    /// hardware addresses only when asked for.
    fn options(&mut self, world: &mut World) -> Config {
        let saved = self.backup.take().map(|backup| backup.config).unwrap_or_default();
        let mut config = Config::new();
        for (key, text) in saved {
            let stem = split_index(&key).map_or(key.as_str(), |(stem, _)| stem);
            let text = match stem {
                "vmgenid" => world.uuid(),
                "net" if self.unique => qemu::new_mac(&text, &world.mac()),
                "smbios" if self.unique => qemu::new_uuid(&text, &world.uuid()),
                // What was left out of the backup comes back as a comment.
                _ if is_drive(&key) && text.contains("backup=0") => {
                    let note = config.entry("description".into()).or_default();
                    note.push_str(&format!("\n{key}: {text}"));
                    continue;
                }
                _ => text,
            };
            if let Some(note) = config.get_mut(&key).filter(|_| key == "description") {
                *note = format!("{text}{note}");
            } else {
                config.insert(key, text);
            }
        }
        for disk in &self.disks {
            config.insert(disk.device.clone(), disk.drive.print());
        }
        if let Some(list) = self.given.get_mut("tags") {
            *list = tags(list);
        }
        config.extend(std::mem::take(&mut self.given));
        config
    }
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
            return Err(format!("unable to restore VM {} - {text}", self.vmid));
        }
        for disk in &self.disks {
            world.volumes.insert(disk.key.clone(), disk.volume.clone());
        }
        Ok(Vec::new())
    }

    fn effects(&mut self, world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        if self.starting {
            let guest = world.vm(&self.node, self.vmid).map_err(|fail| fail.text)?;
            return Ok(vec![Op::Start(Box::new(guest.spec()))]);
        }
        let mut ops: Vec<Op> =
            self.freed.iter().map(|key| Op::Free { volume: volid(key) }).collect();
        for disk in &self.disks {
            let target = volid(&disk.key);
            ops.push(match disk.member.clone() {
                Some(source) => Op::CloneFull { source, target },
                None => Op::Allocate { volume: target, size: disk.volume.size },
            });
        }
        Ok(ops)
    }

    fn finish(
        &mut self,
        world: &mut World,
        log: &mut Vec<String>,
        done: &[Done],
    ) -> Result<Step, String> {
        let now = world.now;
        if let (true, Some(Done::Pid(pid))) = (self.starting, done.first()) {
            if let Some(guest) = world.guests.get_mut(&self.vmid) {
                guest.run(*pid, now);
            }
            return Ok(Step::Done);
        }
        let boot = self.backup.as_ref().and_then(|backup| backup.boot.clone());
        let config = self.options(world);
        log.push("progress 100% (read 0 bytes, duration 0 sec)".into());
        let guest = world.guests.get_mut(&self.vmid).ok_or("the guest is gone")?;
        let unused = guest.config.iter().filter(|(key, _)| key.starts_with("unused"));
        let unused: Vec<(String, String)> =
            unused.map(|(key, text)| (key.clone(), text.clone())).collect();
        guest.config = config;
        guest.config.extend(unused);
        guest.boot = boot;
        if self.start && !guest.is_template() {
            self.starting = true;
            return Ok(Step::Again(Duration::ZERO));
        }
        Ok(Step::Done)
    }

    fn fail(&mut self, world: &mut World) -> Vec<Op> {
        if self.starting {
            return Vec::new();
        }
        world.remove_guest(self.vmid);
        let mut ops = Vec::new();
        for disk in &self.disks {
            world.volumes.remove(&disk.key);
            ops.push(Op::Free { volume: volid(&disk.key) });
        }
        ops
    }
}
