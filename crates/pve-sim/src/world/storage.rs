//! Storages and the volumes on them, with Proxmox's own names.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::World;
use super::guest::{Config, Kind};
use crate::fail::Fail;
use crate::machine::DirectKernel;

/// A storage of the cluster.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Storage {
    pub id: String,
    /// `dir`, `nfs`, `lvmthin`, `lvm`, `zfspool`, `rbd`, …
    pub kind: String,
    pub content: BTreeSet<String>,
    pub shared: bool,
    /// The nodes that have it; `None` is all.
    pub nodes: Option<BTreeSet<String>>,
    pub capacity: u64,
    pub enabled: bool,
    /// Refuses new data.
    pub full: bool,
    /// Nodes on which it cannot be reached.
    pub offline_on: BTreeSet<String>,
    /// Further options of its type, in text form.
    pub options: BTreeMap<String, String>,
}

impl Storage {
    /// Whether volumes are files (with formats) rather than block devices.
    pub fn is_files(&self) -> bool {
        matches!(self.kind.as_str(), "dir" | "nfs" | "cifs" | "cephfs" | "glusterfs" | "btrfs")
    }

    /// Whether linked clones can be made of base volumes.
    pub fn can_link(&self) -> bool {
        self.is_files() || matches!(self.kind.as_str(), "lvmthin" | "zfspool" | "rbd" | "zfs")
    }

    /// Whether a disk of this format can be part of a snapshot.
    pub fn can_snapshot(&self, format: &str) -> bool {
        if self.is_files() { format == "qcow2" } else { self.can_link() }
    }

    /// The mount point of a file storage.
    pub fn path(&self) -> String {
        if let Some(path) = self.options.get("path") {
            return path.clone();
        }
        match (self.id.as_str(), self.kind.as_str()) {
            ("local", _) => "/var/lib/vz".into(),
            (id, "dir") => format!("/var/lib/{id}"),
            (id, _) => format!("/mnt/pve/{id}"),
        }
    }

    /// Whether the storage exists on this node.
    pub fn is_on(&self, node: &str) -> bool {
        self.nodes.as_ref().is_none_or(|nodes| nodes.contains(node))
    }

    /// The part of a volume's key that says where it is.
    pub fn place(&self, node: &str) -> String {
        if self.shared { String::new() } else { node.to_owned() }
    }
}

/// Where a volume is: storage, node (empty on shared storage), name.
pub(crate) type Key = (String, String, String);

/// A volume.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Volume {
    pub content: String,
    pub format: String,
    pub size: u64,
    /// The size of the disk that an image file holds, where it tells.
    #[serde(default)]
    pub disk: Option<u64>,
    pub vmid: Option<u32>,
    /// The base volume's name, for linked clones.
    pub parent: Option<String>,
    pub created: Duration,
    /// The comment of a backup.
    pub notes: Option<String>,
    /// Whether a backup is kept by everybody who removes backups.
    pub protected: bool,
    /// What a backup holds.
    pub backup: Option<Box<Backup>>,
}

/// What a backup holds.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Backup {
    pub kind: Kind,
    /// The guest's options when it was made.
    pub config: Config,
    /// The volumes in it.
    pub disks: Vec<BackupDisk>,
    /// Where the guest's kernel is, for guests without a boot loader.
    pub boot: Option<DirectKernel>,
}

/// A volume in a backup.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct BackupDisk {
    /// `scsi0`, `rootfs`, …
    pub device: String,
    pub format: String,
    /// In bytes.
    pub size: u64,
}

/// All volumes, indexed by owner.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
#[serde(from = "Vec<(Key, Volume)>", into = "Vec<(Key, Volume)>")]
pub(crate) struct Volumes {
    all: BTreeMap<Key, Volume>,
    by_owner: BTreeMap<u32, BTreeSet<Key>>,
    children: BTreeMap<Key, u32>,
    used: BTreeMap<(String, String), u64>,
}

impl From<Vec<(Key, Volume)>> for Volumes {
    fn from(rows: Vec<(Key, Volume)>) -> Self {
        let mut volumes = Self::default();
        for (key, volume) in rows {
            volumes.insert(key, volume);
        }
        volumes
    }
}

impl From<Volumes> for Vec<(Key, Volume)> {
    fn from(volumes: Volumes) -> Self {
        volumes.all.into_iter().collect()
    }
}

impl Volumes {
    fn parent_key(key: &Key, volume: &Volume) -> Option<Key> {
        volume.parent.as_ref().map(|parent| (key.0.clone(), key.1.clone(), parent.clone()))
    }

    /// Adds a volume.
    pub fn insert(&mut self, key: Key, volume: Volume) {
        if let Some(parent) = Self::parent_key(&key, &volume) {
            *self.children.entry(parent).or_default() += 1;
        } else {
            *self.used.entry((key.0.clone(), key.1.clone())).or_default() += volume.size;
        }
        if let Some(vmid) = volume.vmid {
            self.by_owner.entry(vmid).or_default().insert(key.clone());
        }
        self.all.insert(key, volume);
    }

    /// Removes a volume.
    pub fn remove(&mut self, key: &Key) -> Option<Volume> {
        let volume = self.all.remove(key)?;
        if let Some(parent) = Self::parent_key(key, &volume) {
            if let Some(count) = self.children.get_mut(&parent) {
                *count -= 1;
                if *count == 0 {
                    self.children.remove(&parent);
                }
            }
        } else if let Some(used) = self.used.get_mut(&(key.0.clone(), key.1.clone())) {
            *used = used.saturating_sub(volume.size);
        }
        if let Some(vmid) = volume.vmid
            && let Some(keys) = self.by_owner.get_mut(&vmid)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.by_owner.remove(&vmid);
            }
        }
        Some(volume)
    }

    /// A volume.
    pub fn get(&self, key: &Key) -> Option<&Volume> {
        self.all.get(key)
    }

    /// A volume, to change its comment or protection.
    #[allow(dead_code, reason = "for the call that changes them, which comes next")]
    pub fn get_mut(&mut self, key: &Key) -> Option<&mut Volume> {
        self.all.get_mut(key)
    }

    /// Changes a volume's size.
    pub fn resize(&mut self, key: &Key, size: u64) {
        if let Some(volume) = self.all.get_mut(key) {
            let used = self.used.entry((key.0.clone(), key.1.clone())).or_default();
            *used = (*used + size).saturating_sub(volume.size);
            volume.size = size;
        }
    }

    /// How many linked clones a volume has.
    pub fn children(&self, key: &Key) -> u32 {
        self.children.get(key).copied().unwrap_or(0)
    }

    /// The volumes that belong to a guest.
    pub fn of_guest(&self, vmid: u32) -> impl Iterator<Item = &Key> {
        self.by_owner.get(&vmid).into_iter().flatten()
    }

    /// The volumes of a storage at a place.
    pub fn on(&self, storage: &str, place: &str) -> impl Iterator<Item = (&Key, &Volume)> {
        let from = (storage.to_owned(), place.to_owned(), String::new());
        let (storage, place) = (storage.to_owned(), place.to_owned());
        self.all.range(from..).take_while(move |(key, _)| key.0 == storage && key.1 == place)
    }

    /// All volumes.
    pub fn all(&self) -> impl Iterator<Item = (&Key, &Volume)> {
        self.all.iter()
    }

    /// Bytes in use on a storage at a place.
    pub fn used(&self, storage: &str, place: &str) -> u64 {
        self.used.get(&(storage.to_owned(), place.to_owned())).copied().unwrap_or(0)
    }
}

/// The volume id that Proxmox shows.
pub(crate) fn volid(key: &Key) -> String {
    format!("{}:{}", key.0, key.2)
}

impl World {
    /// A storage that exists on a node and can be reached there.
    pub fn storage_on(&self, node: &str, id: &str) -> Result<&Storage, Fail> {
        let storage = self
            .storages
            .get(id)
            .ok_or_else(|| Fail::new(format!("storage '{id}' does not exist")))?;
        if !storage.enabled {
            return Err(Fail::new(format!("storage '{id}' is disabled")));
        }
        if !storage.is_on(node) {
            return Err(Fail::new(format!("storage '{id}' is not available on node '{node}'")));
        }
        if storage.offline_on.contains(node) {
            return Err(Fail::new(format!("storage '{id}' is not online")));
        }
        Ok(storage)
    }

    /// The key of a volume id as seen from a node. A linked clone's id names its base first.
    pub fn key_of(&self, node: &str, volid: &str) -> Option<Key> {
        let (storage, name) = volid.split_once(':')?;
        let storage = self.storages.get(storage)?;
        Some((storage.id.clone(), storage.place(node), name.to_owned()))
    }

    /// A free name for a guest's next disk; `format` matters on file storages.
    pub fn next_disk_name(
        &self,
        storage: &Storage,
        node: &str,
        vmid: u32,
        format: &str,
        taken: &BTreeSet<String>,
    ) -> String {
        let place = storage.place(node);
        let mut used = BTreeSet::new();
        for key in self.volumes.of_guest(vmid).filter(|key| key.0 == storage.id && key.1 == place) {
            used.insert(disk_number(&key.2));
        }
        used.extend(taken.iter().map(|name| disk_number(name)));
        let number = (0..).find(|number| !used.contains(&Some(*number))).unwrap_or(0);
        if storage.is_files() {
            format!("{vmid}/vm-{vmid}-disk-{number}.{format}")
        } else {
            format!("vm-{vmid}-disk-{number}")
        }
    }

    /// Fails when a storage takes no more data; the text is that of `qemu-img`.
    pub fn check_space(&self, storage: &str) -> Result<(), String> {
        match self.storages.get(storage) {
            Some(found) if found.full => {
                Err(format!("unable to create image: storage '{storage}': No space left on device"))
            }
            _ => Ok(()),
        }
    }
}

fn disk_number(name: &str) -> Option<u32> {
    let tail = name.rsplit_once("-disk-")?.1;
    tail.split('.').next()?.parse().ok()
}
