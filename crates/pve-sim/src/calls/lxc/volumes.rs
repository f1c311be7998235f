//! Root file systems and mount points: what a client asked for, and the volumes
//! that come of it.

use std::collections::{BTreeMap, BTreeSet};

use super::options;
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::{Parameter, property};
use crate::world::World;
use crate::world::guest::{Drive, Guest, parse_size, print_size};
use crate::world::storage::{Key, Storage, Volume, volid};

/// A root or mount point after the checks that are made before anything is done.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub key: String,
    pub drive: Drive,
    /// The storage and the size in bytes of a new volume.
    make: Option<(String, u64)>,
}

impl Plan {
    /// A new volume of this size.
    pub fn new(key: &str, drive: Drive, storage: &str, size: u64) -> Self {
        Self { key: key.to_owned(), drive, make: Some((storage.to_owned(), size)) }
    }
}

/// Checks a root or mount point.
pub(crate) fn plan(call: &Call<'_>, key: &str, text: &str) -> Result<Plan, Fail> {
    let drive = Drive::parse(text);
    let keep = Plan { key: key.to_owned(), drive: drive.clone(), make: None };
    if drive.volume.starts_with('/') {
        return Ok(keep);
    }
    let Some((storage, rest)) = drive.volume.split_once(':') else {
        return Err(Fail::new(format!("unable to parse volume ID '{}'", drive.volume)));
    };
    let node = call.params.node();
    let found = call.world.storage_on(node, storage)?;
    let is_number = !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let Some(size) = rest.parse::<f64>().ok().filter(|_| is_number) else {
        if found.is_files() && !rest.contains('/') {
            return Err(Fail::new(format!("unable to parse directory volume name '{rest}'")));
        }
        call.world.volume_at(node, &drive.volume)?;
        return Ok(keep);
    };
    check_storage(call, found)?;
    let bytes = parse_size(&format!("{size}G")).unwrap_or(0);
    Ok(Plan::new(key, drive.clone(), storage, bytes))
}

/// Whether the caller may put a container's volume on a storage, and whether it takes any.
pub(crate) fn check_storage(call: &Call<'_>, storage: &Storage) -> Result<(), Fail> {
    call.require(&format!("/storage/{}", storage.id), "Datastore.AllocateSpace")?;
    if storage.content.contains("rootdir") {
        return Ok(());
    }
    Err(Fail::new(format!("storage '{}' does not support container directories", storage.id)))
}

/// Options to store, and volumes to register.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub options: Vec<(String, String)>,
    pub volumes: Vec<(Key, Volume)>,
}

impl Made {
    /// Registers the volumes.
    pub fn register(&mut self, world: &mut World) {
        for (key, volume) in self.volumes.drain(..) {
            world.volumes.insert(key, volume);
        }
    }

    /// Registers the volumes of a container that is being made.
    pub fn begin(&self, world: &mut World) {
        for (key, volume) in &self.volumes {
            world.volumes.insert(key.clone(), volume.clone());
        }
    }

    /// Takes the container and its volumes back.
    pub fn fail(&self, world: &mut World, vmid: u32) {
        world.remove_guest(vmid);
        for (key, _) in &self.volumes {
            world.volumes.remove(key);
        }
    }
}

/// The format of a container's volume on a storage, and its name.
fn name(
    world: &World,
    storage: &Storage,
    node: &str,
    vmid: u32,
    size: u64,
    taken: &BTreeSet<String>,
) -> (String, &'static str) {
    let name = world.next_disk_name(storage, node, vmid, "raw", taken);
    let number = name.rsplit_once("-disk-").map_or("0", |(_, tail)| tail).to_owned();
    let number = number.trim_end_matches(".raw");
    match (storage.is_files(), storage.kind.as_str()) {
        (_, "zfspool") => (format!("subvol-{vmid}-disk-{number}"), "subvol"),
        (true, _) if size == 0 => (format!("{vmid}/subvol-{vmid}-disk-{number}.subvol"), "subvol"),
        _ => (name, "raw"),
    }
}

/// Chooses names for planned volumes. The world is not changed.
pub(crate) fn make(
    world: &World,
    node: &str,
    vmid: u32,
    plans: &[Plan],
    log: &mut Vec<String>,
) -> Result<Made, String> {
    let mut made = Made::default();
    let mut taken: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for plan in plans {
        let mut drive = plan.drive.clone();
        let Some((storage, size)) = &plan.make else {
            // The volume knows its size better than the client.
            if let Ok((_, volume)) = world.volume_at(node, &drive.volume) {
                drive.options.insert("size".into(), print_size(volume.size));
            }
            made.options.push((plan.key.clone(), print(world, &plan.key, &drive)));
            continue;
        };
        let storage = world.storage_on(node, storage).map_err(|fail| fail.text)?;
        world.check_space(&storage.id)?;
        let taken = taken.entry(storage.id.clone()).or_default();
        let (name, format) = name(world, storage, node, vmid, *size, taken);
        taken.insert(name.clone());
        if storage.is_files() && format == "raw" {
            log_format(log, &format!("{}/images/{name}", storage.path()), *size);
        }
        let key: Key = (storage.id.clone(), storage.place(node), name);
        drive.volume = volid(&key);
        drive.options.insert("size".into(), print_size(*size));
        made.options.push((plan.key.clone(), print(world, &plan.key, &drive)));
        let volume = Volume {
            content: "rootdir".into(),
            format: format.into(),
            size: *size,
            vmid: Some(vmid),
            created: world.now,
            ..Volume::default()
        };
        made.volumes.push((key, volume));
    }
    Ok(made)
}

/// What `qemu-img` and `mkfs.ext4` say.
fn log_format(log: &mut Vec<String>, path: &str, size: u64) {
    log.push(format!("Formatting '{path}', fmt=raw size={size} preallocation=off"));
    let blocks = size / 4096;
    log.push(format!("Creating filesystem with {blocks} 4k blocks and {} inodes", blocks / 4));
    log.push("Filesystem UUID: 0f2fd58b-afc4-4c7f-9ef1-495b016a82f4".into());
    log.push("Superblock backups stored on blocks: ".into());
    let backups: Vec<String> = [1, 3, 5, 7, 9, 25, 27, 49, 81]
        .iter()
        .map(|group| group * 32_768)
        .filter(|block| *block < blocks)
        .map(|block: u64| block.to_string())
        .collect();
    log.push(format!("\t{}", backups.join(", ")));
}

/// A mount point's text in Proxmox's order.
pub(crate) fn print(world: &World, key: &str, drive: &Drive) -> String {
    let plain = drive.print();
    let Some(keys) = options::definition(world.version, key).and_then(Parameter::keys) else {
        return plain;
    };
    property::parse(keys, &plain).map_or(plain, |found| options::printed(keys, &found))
}

/// Whether linked clones can be made of a container's volume: of base volumes,
/// where the storage knows snapshots of block devices (raw files cannot).
pub(crate) fn can_link(world: &World, guest: &Guest, drive: &Drive) -> bool {
    let Ok((key, _)) = world.volume_at(&guest.node, &drive.volume) else { return false };
    let is_base = key.2.starts_with("base")
        || key.2.rsplit('/').next().is_some_and(|n| n.starts_with("base"));
    let storage = world.storages.get(&key.0);
    is_base && storage.is_some_and(|storage| storage.can_link() && !storage.is_files())
}
