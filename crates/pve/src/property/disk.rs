//! Disks: `scsi0`, `virtio0`, `ide2`, `sata0`, `efidisk0`, `unused0`, …

use std::fmt;
use std::str::FromStr;

use super::{PropertyError, PropertyString, VolumeId, view};
use crate::ParamValue;

view! {
    /// A disk: `local:100/vm-100-disk-0.qcow2,size=32G`, or what to make one
    /// of when it is written: `local:32`.
    ///
    /// ```
    /// use pve::property::{Disk, DiskSize};
    /// let disk: Disk = "local-lvm:vm-100-disk-0,iothread=1,size=1536M".parse()?;
    /// assert_eq!(disk.storage(), Some("local-lvm"));
    /// assert_eq!(disk.size(), Some(DiskSize::from_gib(1) + DiskSize::from_mib(512)));
    /// assert_eq!(Disk::allocate("local", 32)?.with("ssd", true)?.to_string(), "local:32,ssd=1");
    /// # Ok::<(), pve::property::PropertyError>(())
    /// ```
    Disk, "qemu/scsi", |disk| disk.0.first_of(FILE).map(|_| ()).ok_or(PropertyError::Missing("file"))
}

/// What a disk is made of: what stands in write position, and what is read.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum DiskSource {
    /// A volume that exists.
    Volume(VolumeId),
    /// A new, empty volume.
    Allocate {
        /// The storage.
        storage: String,
        /// GiB; fractions are allowed.
        gib: f64,
    },
    /// A new volume with the content of another one.
    Import {
        /// The storage.
        storage: String,
        /// A volume id, or an absolute path that only root may name.
        from: String,
    },
    /// The disk with cloud-init's data, made by Proxmox.
    CloudInit {
        /// The storage.
        storage: String,
    },
    /// A drive with no disc in it.
    Empty,
    /// The node's own CD drive.
    PhysicalDrive,
    /// A file or device of the node; only root may name one.
    Path(String),
}

/// The default key's names.
const FILE: &[&str] = &["", "file", "volume"];

impl Disk {
    fn of(file: String) -> Result<Self, PropertyError> {
        let mut properties = PropertyString::new();
        properties.set_bare(file)?;
        Ok(Self(properties))
    }

    /// An existing volume, `storage:name`.
    ///
    /// # Errors
    /// When the id would break the format.
    pub fn volume(volid: &str) -> Result<Self, PropertyError> {
        Self::of(volid.to_owned())
    }

    /// A new, empty disk of this many GiB.
    ///
    /// # Errors
    /// When the storage's name would break the format.
    pub fn allocate(storage: &str, gib: u64) -> Result<Self, PropertyError> {
        Self::of(format!("{storage}:{gib}"))
    }

    /// A new disk that takes its content and size from `source`, a volume id.
    ///
    /// # Errors
    /// When a name would break the format.
    pub fn import(storage: &str, source: &str) -> Result<Self, PropertyError> {
        Self::of(format!("{storage}:0"))?.with("import-from", source)
    }

    /// The disk with the cloud-init data.
    ///
    /// # Errors
    /// When the storage's name would break the format.
    pub fn cloudinit(storage: &str) -> Result<Self, PropertyError> {
        Self::of(format!("{storage}:cloudinit"))
    }

    /// A drive with no disc in it.
    pub fn empty_cdrom() -> Self {
        let part = |name: Option<&str>, value: &str| super::Part {
            name: name.map(str::to_owned),
            value: value.to_owned(),
        };
        Self(PropertyString(vec![part(None, "none"), part(Some("media"), "cdrom")]))
    }

    /// With `name` set to `value`: `ssd`, `discard`, `iothread`, `format`, …
    ///
    /// # Errors
    /// [`PropertyError::Separator`] when it would break the format.
    pub fn with(mut self, name: &str, value: impl ParamValue) -> Result<Self, PropertyError> {
        self.0.set(name, value)?;
        Ok(self)
    }

    /// What stands before the options: a volume id, `none`, `cdrom`, a path.
    pub fn file(&self) -> &str {
        self.0.first_of(FILE).unwrap_or_default()
    }

    /// The volume id, when there is a volume.
    pub fn volid(&self) -> Option<&str> {
        let file = self.file();
        (file.contains(':') && !file.starts_with('/')).then_some(file)
    }

    /// What it is made of; `None` for what Proxmox would refuse.
    pub fn source(&self) -> Option<DiskSource> {
        let file = self.file();
        match file {
            "none" => return Some(DiskSource::Empty),
            "cdrom" => return Some(DiskSource::PhysicalDrive),
            path if path.starts_with('/') => return Some(DiskSource::Path(path.to_owned())),
            _ => {}
        }
        let id: VolumeId = file.parse().ok()?;
        let storage = id.storage().to_owned();
        if let Some(from) = self.0.get("import-from") {
            return Some(DiskSource::Import { storage, from: from.to_owned() });
        }
        if id.name() == "cloudinit" {
            return Some(DiskSource::CloudInit { storage });
        }
        let number = id.name().bytes().all(|c| c.is_ascii_digit() || c == b'.');
        match id.name().parse() {
            Ok(gib) if number => Some(DiskSource::Allocate { storage, gib }),
            _ => Some(DiskSource::Volume(id)),
        }
    }

    /// Would this release accept it as this option (`scsi0`, `efidisk0`)? The
    /// buses differ in their keys.
    ///
    /// # Errors
    /// The first fault, with the key and what was expected.
    pub fn check_as(&self, option: &str, release: crate::Release) -> Result<(), PropertyError> {
        let format = super::Format::of("qemu", option).ok_or_else(|| PropertyError::Invalid {
            key: "option".to_owned(),
            value: option.to_owned(),
            expected: "an option that holds a disk, like scsi0".to_owned(),
        })?;
        format.check(&self.0, release)
    }

    /// The storage that the volume lies on.
    pub fn storage(&self) -> Option<&str> {
        self.volid()?.split(':').next()
    }

    /// The size, when it is known.
    pub fn size(&self) -> Option<DiskSize> {
        self.0.parse("size")
    }

    /// Is it a CD drive (cloud-init's included)?
    pub fn is_cdrom(&self) -> bool {
        self.0.get("media") == Some("cdrom")
    }

    /// Is it the disk with cloud-init data?
    pub fn is_cloudinit(&self) -> bool {
        self.volid()
            .is_some_and(|volid| volid.ends_with(":cloudinit") || volid.contains("-cloudinit"))
    }

    /// The image format, when it is named.
    pub fn format(&self) -> Option<&str> {
        self.0.get("format")
    }
}

/// A disk's size. Prints as Proxmox does: in the largest unit without a
/// fraction (`4G`, `1536M`), units of 1024.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiskSize(u64);

const UNITS: [(char, u64); 4] = [('T', 1 << 40), ('G', 1 << 30), ('M', 1 << 20), ('K', 1 << 10)];

impl DiskSize {
    /// From bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// From MiB. Saturates.
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib.saturating_mul(1 << 20))
    }

    /// From GiB. Saturates.
    pub const fn from_gib(gib: u64) -> Self {
        Self(gib.saturating_mul(1 << 30))
    }

    /// In bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl std::ops::Add for DiskSize {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for DiskSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, unit)| self.0 >= *unit && self.0.is_multiple_of(*unit));
        match unit {
            Some((letter, unit)) => write!(f, "{}{letter}", self.0 / unit),
            None => self.0.fmt(f),
        }
    }
}

impl FromStr for DiskSize {
    type Err = PropertyError;

    fn from_str(text: &str) -> Result<Self, PropertyError> {
        parse_size(text).map(Self).ok_or_else(|| PropertyError::Value {
            name: "size",
            value: text.chars().take(200).collect(),
            expected: "a size like 32G, 1536M or a number of bytes",
        })
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim_end_matches("iB");
    let (digits, unit) = match UNITS.iter().find(|(letter, _)| text.ends_with(*letter)) {
        Some((_, unit)) => (&text[..text.len() - 1], *unit),
        None => (text, 1),
    };
    let number = |text: &str| {
        let proper = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
        proper.then(|| text.parse::<u64>().ok()).flatten()
    };
    let Some((whole, fraction)) = digits.split_once('.') else {
        return number(digits)?.checked_mul(unit);
    };
    // More digits than this cannot change a byte of a terabyte.
    let fraction = &fraction[..fraction.len().min(15)];
    let parts = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let rest = u128::from(number(fraction)?) * u128::from(unit) / parts;
    let whole = number(whole)?.checked_mul(unit)?;
    whole.checked_add(u64::try_from(rest).ok()?)
}
