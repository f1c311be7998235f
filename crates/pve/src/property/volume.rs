//! Ids of volumes, `storage:name`, and what their names say.

use std::fmt;
use std::str::FromStr;

use crate::{ParseError, VmId};

/// The longest id that is read, in bytes.
const MAX_LEN: usize = 4096;

/// The id of a volume.
///
/// ```
/// use pve::property::{VolumeId, VolumeKind};
/// let id: VolumeId = "local:9000/base-9000-disk-0.qcow2/505/vm-505-disk-0.qcow2".parse()?;
/// assert_eq!(id.storage(), "local");
/// let VolumeKind::Guest(disk) = id.kind() else { panic!() };
/// assert_eq!((disk.owner.get(), disk.base.as_deref()), (505, Some("9000/base-9000-disk-0.qcow2")));
/// assert_eq!(disk.format(), Some("qcow2"));
/// # Ok::<(), pve::ParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumeId {
    storage: String,
    name: String,
}

/// What a volume is, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VolumeKind {
    /// A disk or another volume of a guest.
    Guest(GuestVolume),
    /// An image for CD drives: the file's name.
    Iso(String),
    /// A template of containers: the file's name.
    Template(String),
    /// A backup: the file's name, or the path on a backup server.
    Backup {
        /// `qemu` or `lxc`, when the name says it.
        guest: Option<String>,
        /// The guest, when the name says it.
        vmid: Option<VmId>,
        /// The name.
        name: String,
    },
    /// A file to import: its name.
    Import(String),
    /// A snippet: the file's name.
    Snippet(String),
    /// Something else.
    Other(String),
}

/// A volume of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuestVolume {
    /// The guest that it belongs to.
    pub owner: VmId,
    /// The volume's own name: `vm-505-disk-0.qcow2`.
    pub name: String,
    /// The volume that a linked clone is based on: `base-9000-disk-0`.
    pub base: Option<String>,
    /// Is it the disk of a template?
    pub is_base: bool,
    /// Does it hold cloud-init data?
    pub is_cloudinit: bool,
}

impl GuestVolume {
    /// The ending of the name: `qcow2`, `raw`, `subvol`. Names on block
    /// storages have none.
    pub fn format(&self) -> Option<&str> {
        self.name.rsplit_once('.').map(|(_, ending)| ending)
    }

    /// The number behind `disk-`.
    pub fn number(&self) -> Option<u32> {
        let (_, rest) = self.name.split_once("-disk-")?;
        rest.split('.').next()?.parse().ok()
    }
}

impl VolumeId {
    /// The storage.
    pub fn storage(&self) -> &str {
        &self.storage
    }

    /// What stands behind the storage.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is, by its name.
    pub fn kind(&self) -> VolumeKind {
        let name = self.name.as_str();
        let file = |prefix: &str| name.strip_prefix(prefix).map(str::to_owned);
        if let Some(file) = file("iso/") {
            return VolumeKind::Iso(file);
        }
        if let Some(file) = file("vztmpl/") {
            return VolumeKind::Template(file);
        }
        if let Some(file) = file("import/") {
            return VolumeKind::Import(file);
        }
        if let Some(file) = file("snippets/") {
            return VolumeKind::Snippet(file);
        }
        if let Some(file) = file("backup/") {
            return backup(file);
        }
        match guest_volume(name) {
            Some(volume) => VolumeKind::Guest(volume),
            None => VolumeKind::Other(name.to_owned()),
        }
    }

    /// The guest that it belongs to, when its name says so.
    pub fn owner(&self) -> Option<VmId> {
        match self.kind() {
            VolumeKind::Guest(volume) => Some(volume.owner),
            VolumeKind::Backup { vmid, .. } => vmid,
            _ => None,
        }
    }
}

/// `vzdump-qemu-100-2026_11_20-17_10_32.vma.zst`, or `vm/100/2026-…` on a
/// backup server.
fn backup(name: String) -> VolumeKind {
    let mut words = name.split('-');
    let file = (words.next() == Some("vzdump")).then(|| (words.next(), words.next()));
    let (guest, vmid) = match file {
        Some((Some(guest @ ("qemu" | "lxc")), Some(vmid))) => (Some(guest), vmid.parse().ok()),
        Some(_) => (None, None),
        None => {
            let mut parts = name.split('/');
            let guest = match parts.next() {
                Some("vm") => Some("qemu"),
                Some("ct") => Some("lxc"),
                _ => None,
            };
            (guest, guest.and(parts.next()).and_then(|id| id.parse().ok()))
        }
    };
    let guest = guest.map(str::to_owned);
    VolumeKind::Backup { guest, vmid, name }
}

/// `vm-100-disk-0`, `100/vm-100-disk-0.raw`, `base-9/vm-100-disk-0`,
/// `9/base-9-disk-0.raw/100/vm-100-disk-0.raw`.
fn guest_volume(name: &str) -> Option<GuestVolume> {
    let parts: Vec<&str> = name.split('/').collect();
    let (base, folder, file) = match parts.as_slice() {
        [file] => (None, None, *file),
        [base, file] if base.starts_with("base-") || base.starts_with("basevol-") => {
            (Some((*base).to_owned()), None, *file)
        }
        [folder, file] => (None, Some(*folder), *file),
        [base_folder, base, folder, file] => {
            (Some(format!("{base_folder}/{base}")), Some(*folder), *file)
        }
        _ => return None,
    };
    let mut words = file.split('-');
    let word = words.next()?;
    let is_base = matches!(word, "base" | "basevol");
    if !is_base && !matches!(word, "vm" | "subvol") {
        // On directory storages, any name in a guest's folder is the guest's.
        let owner = folder?.parse().ok()?;
        let name = file.to_owned();
        return Some(GuestVolume { owner, name, base, is_base: false, is_cloudinit: false });
    }
    let owner: VmId = words.next()?.split('.').next()?.parse().ok()?;
    let is_cloudinit = words.next().is_some_and(|word| word.split('.').next() == Some("cloudinit"));
    Some(GuestVolume { owner, name: file.to_owned(), base, is_base, is_cloudinit })
}

impl FromStr for VolumeId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let expected = "a volume id like local:100/vm-100-disk-0.qcow2";
        let error = || ParseError::new(text, expected);
        let (storage, name) = text.split_once(':').ok_or_else(error)?;
        let first = storage.bytes().next().is_some_and(|c| c.is_ascii_alphabetic());
        let rest = storage.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c));
        let proper = !name.is_empty()
            && name.trim() == name
            && !name.contains(|c: char| c.is_control() || c == ',');
        if text.len() > MAX_LEN || !first || !rest || !proper {
            return Err(error());
        }
        Ok(Self { storage: storage.to_owned(), name: name.to_owned() })
    }
}

impl fmt::Display for VolumeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.storage, self.name)
    }
}
