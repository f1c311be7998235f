//! Disk options: what a client asked for, and the volumes that come of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::{Table, Version, property};
use crate::tasks::Op;
use crate::world::World;
use crate::world::guest::{Drive, parse_size, print_size};
use crate::world::storage::{Key, Storage, Volume, volid};

/// Size of a cloud-init drive, of an EFI variables disk and of a TPM state disk.
/// Source: sizes recorded from 8.4.21.
const CLOUDINIT: u64 = 4 << 20;
const EFI: u64 = 528 << 10;
const TPM: u64 = 4 << 20;

/// Where the content of a new volume comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Empty,
    Import(String),
    CloudInit,
}

/// One disk option after the checks that are made before the task starts.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    device: String,
    drive: Drive,
    make: Option<(String, Source, u64, String)>,
}

impl Plan {
    /// The device (`scsi0`).
    pub fn device(&self) -> &str {
        &self.device
    }
}

/// Checks a disk option. Errors are those that Proxmox gives before any task.
pub(crate) fn plan(call: &Call<'_>, device: &str, text: &str) -> Result<Plan, Fail> {
    let mut drive = Drive::parse(text);
    let method = Table::of(call.world.version).method("PUT", "/nodes/{node}/qemu/{vmid}/config");
    let parameter = method.and_then(|method| method.parameter(device));
    if let Some(keys) = parameter.and_then(|parameter| parameter.keys()) {
        for (key, value) in &mut drive.options {
            *value = property::normal(keys.get(key), value);
        }
    }
    let import = drive.options.remove("import-from");
    let keep = Plan { device: device.to_owned(), drive: drive.clone(), make: None };
    if matches!(drive.volume.as_str(), "none" | "cdrom") {
        return Ok(keep);
    }
    if drive.volume.starts_with('/') {
        return Err(only_root(call)
            .map_or_else(|fail| fail, |()| Fail::new("absolute paths are not simulated")));
    }
    let node = call.params.node();
    let Some((storage, rest)) = drive.volume.split_once(':') else {
        return Err(Fail::new(format!("unable to parse volume ID '{}'", drive.volume)));
    };
    let size: Option<f64> = if rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        rest.parse().ok()
    } else {
        None
    };
    if import.is_some() && size != Some(0.0) {
        let text =
            "'import-from' requires special syntax - use <storage ID>:0,import-from=<source>";
        return Err(Fail::parameter(device, text));
    }
    let found = call.world.storage_on(node, storage)?;
    let source = match (rest, size, import) {
        ("cloudinit", ..) => Source::CloudInit,
        (_, Some(_), Some(from)) => {
            if from.starts_with('/') {
                only_root(call)?;
            }
            Source::Import(from)
        }
        (_, Some(_), None) => Source::Empty,
        _ => {
            check_existing(call.world, node, found, rest, &drive.volume)?;
            return Ok(keep);
        }
    };
    call.require(&format!("/storage/{storage}"), "Datastore.AllocateSpace")?;
    if !found.content.contains("images") {
        return Err(Fail::new(format!("storage '{storage}' does not support vm images")));
    }
    let format = match (drive.options.remove("format"), found.is_files()) {
        (_, true) if device.starts_with("tpmstate") => "raw".to_owned(),
        (Some(format), true) => format,
        (None, true) if source == Source::CloudInit => "qcow2".to_owned(),
        (None, _) => "raw".to_owned(),
        (Some(format), false) if format == "raw" => format,
        (Some(format), false) => return Err(Fail::new(format!("unsupported format '{format}'"))),
    };
    let bytes = match (device, &source) {
        ("efidisk0", _) => EFI,
        ("tpmstate0", _) => TPM,
        (_, Source::CloudInit) => CLOUDINIT,
        _ => parse_size(&format!("{}G", size.unwrap_or(0.0))).unwrap_or(0),
    };
    let storage = storage.to_owned();
    Ok(Plan { device: device.to_owned(), drive, make: Some((storage, source, bytes, format)) })
}

fn only_root(call: &Call<'_>) -> Result<(), Fail> {
    if call.caller.is_root() {
        return Ok(());
    }
    let line = if call.world.version < Version::V9_2 { 581 } else { 651 };
    Err(Fail::new(format!(
        "Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line {line}."
    )))
}

fn check_existing(
    world: &World,
    node: &str,
    storage: &Storage,
    name: &str,
    volume: &str,
) -> Result<(), Fail> {
    // The plug-ins' `parse_volname`; those of lvm, zfs and rbd from memory.
    let disk = name.starts_with("vm-") || name.starts_with("base-");
    let (kind, named) = match storage.kind.as_str() {
        _ if storage.is_files() => ("directory", name.contains('/')),
        "lvm" | "lvmthin" => ("lvm", disk),
        "zfspool" | "zfs" => ("zfs", disk),
        "rbd" => ("rbd", disk),
        _ => ("", true),
    };
    if !named {
        return Err(Fail::new(format!("unable to parse {kind} volume name '{name}'")));
    }
    let key = world.key_of(node, volume);
    match key.and_then(|key| world.volumes.get(&key).map(|_| ())) {
        Some(()) => Ok(()),
        None => Err(Fail::new(format!("volume '{volume}' does not exist"))),
    }
}

/// What comes of planned disks: options to store, volumes to register, and what
/// the backend must do.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub options: Vec<(String, String)>,
    pub volumes: Vec<(Key, Volume)>,
    pub ops: Vec<Op>,
}

impl Made {
    /// Registers the volumes; call it when the backend has made them.
    pub fn register(&mut self, world: &mut World) {
        for (key, volume) in self.volumes.drain(..) {
            world.volumes.insert(key, volume);
        }
    }
}

/// Chooses names for planned disks. The world is not changed.
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
        let Some((storage_id, source, bytes, format)) = &plan.make else {
            // The volume knows its size better than the client.
            if !drive.is_cloudinit()
                && let Some(key) = world.key_of(node, &drive.volume)
                && let Some(volume) = world.volumes.get(&key)
            {
                drive.options.insert("size".into(), print_size(volume.size));
            }
            made.options.push((plan.device.clone(), drive.print()));
            continue;
        };
        let storage = world.storage_on(node, storage_id).map_err(|fail| fail.text)?;
        world.check_space(storage_id)?;
        let (size, imported) = match source {
            Source::Import(from) => (import_size(world, node, storage, from)?, Some(from.clone())),
            _ => (*bytes, None),
        };
        let name = match source {
            Source::CloudInit => cloudinit_name(storage, vmid),
            _ => {
                let taken = taken.entry(storage.id.clone()).or_default();
                world.next_disk_name(storage, node, vmid, format, taken)
            }
        };
        taken.entry(storage.id.clone()).or_default().insert(name.clone());
        let key: Key = (storage.id.clone(), storage.place(node), name);
        let volume = volid(&key);
        made.ops.push(match imported {
            Some(source) => Op::CloneFull { source, target: volume.clone() },
            None => Op::Allocate { volume: volume.clone(), size },
        });
        drive.volume.clone_from(&volume);
        if *source == Source::CloudInit {
            drive.options.insert("media".into(), "cdrom".into());
        } else {
            drive.options.insert("size".into(), print_size(size));
        }
        log.push(format!("{}: successfully created disk '{}'", plan.device, drive.print()));
        made.options.push((plan.device.clone(), drive.print()));
        let volume = Volume {
            content: "images".into(),
            format: format.clone(),
            size,
            vmid: Some(vmid),
            parent: None,
            created: world.now,
            ..Volume::default()
        };
        made.volumes.push((key, volume));
    }
    Ok(made)
}

/// The name of a guest's cloud-init drive.
pub(crate) fn cloudinit_name(storage: &Storage, vmid: u32) -> String {
    if storage.is_files() {
        format!("{vmid}/vm-{vmid}-cloudinit.qcow2")
    } else {
        format!("vm-{vmid}-cloudinit")
    }
}

fn import_size(world: &World, node: &str, storage: &Storage, from: &str) -> Result<u64, String> {
    let volume = world.key_of(node, from).and_then(|key| world.volumes.get(&key));
    let name = from.split_once(':').map_or(from, |(_, name)| name);
    // Where the source is, not where the disk goes.
    let storage =
        from.split_once(':').and_then(|(id, _)| world.storages.get(id)).unwrap_or(storage);
    volume
        .map(|volume| volume.disk.unwrap_or(volume.size))
        .ok_or_else(|| format!("failed to stat '{}/{name}'", storage.path()))
}

/// Whether a volume belongs to a guest by its name.
pub(crate) fn is_owned(volume: &str, vmid: u32) -> bool {
    let name = volume.split_once(':').map_or(volume, |(_, name)| name);
    let last = name.rsplit('/').next().unwrap_or(name);
    last.starts_with(&format!("vm-{vmid}-")) || last.starts_with(&format!("base-{vmid}-"))
}
