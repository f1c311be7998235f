//! Disks of virtual machines, and mount points of containers.

use std::fmt;

use super::{Controller, DeviceId};
use crate::ParamValue;
use crate::property::{DiskSize, PropertyError, PropertyString};

/// The default key's names.
const FILE: [&str; 2] = ["file", "volume"];

fn volume_of(value: &PropertyString) -> &str {
    value.bare().or_else(|| FILE.iter().find_map(|name| value.get(name))).unwrap_or_default()
}

fn volid_of(value: &PropertyString) -> Option<&str> {
    let volume = volume_of(value);
    (volume.contains(':') && !volume.starts_with('/')).then_some(volume)
}

fn of(volume: &str) -> Result<PropertyString, PropertyError> {
    let mut value = PropertyString::new();
    value.set_bare(volume)?;
    Ok(value)
}

/// `local:2`, or `local:0.5`: what makes a new volume. The number is in GiB;
/// other sizes than whole KiB cannot be had.
fn allocation(storage: &str, size: DiskSize) -> String {
    const GIB: u64 = 1 << 30;
    let (whole, rest) = (size.bytes() / GIB, size.bytes() % GIB);
    if rest == 0 {
        return format!("{storage}:{whole}");
    }
    #[allow(clippy::cast_precision_loss, reason = "below 2^30")]
    let fraction = format!("{:.9}", rest as f64 / GIB as f64);
    let fraction = fraction.trim_start_matches('0').trim_end_matches('0');
    format!("{storage}:{whole}{fraction}")
}

macro_rules! device {
    ($name:ident, $id:ty) => {
        impl $name {
            /// With `name` set to `value`.
            ///
            /// # Errors
            /// [`PropertyError::Separator`] when it would break the format.
            pub fn with(
                mut self,
                name: &str,
                value: impl ParamValue,
            ) -> Result<Self, PropertyError> {
                self.value.set(name, value)?;
                Ok(self)
            }

            /// Its name in the configuration.
            pub fn id(&self) -> &$id {
                &self.id
            }

            /// The volume id, when there is a volume: `local:100/vm-100-disk-0.raw`.
            pub fn volid(&self) -> Option<&str> {
                volid_of(&self.value)
            }

            /// The storage that the volume lies on.
            pub fn storage(&self) -> Option<&str> {
                self.volid()?.split(':').next()
            }

            /// The size, when it is known.
            pub fn size(&self) -> Option<DiskSize> {
                self.value.parse("size")
            }

            /// Everything in it, unknown parts included.
            pub fn properties(&self) -> &PropertyString {
                &self.value
            }
        }

        /// As it stands in the configuration.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.value.fmt(f)
            }
        }
    };
}
device!(Disk, String);
device!(MountPoint, String);

/// A disk or CD drive of a virtual machine. One that is read has a volume id;
/// one that is to be made says storage and size.
///
/// ```
/// use pve::models::{Controller, Disk, DeviceId};
/// use pve::property::DiskSize;
/// let scsi1 = DeviceId::new(Controller::Scsi, 1).expect("below 31");
/// let disk = Disk::new(scsi1, "local-lvm", DiskSize::from_gib(4))?.with("ssd", true)?;
/// assert_eq!((disk.id().as_str(), disk.to_string().as_str()), ("scsi1", "local-lvm:4,ssd=1"));
/// # Ok::<(), pve::property::PropertyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    id: String,
    value: PropertyString,
}

impl Disk {
    pub(super) fn read(id: &str, text: &str) -> Result<Self, PropertyError> {
        Ok(Self { id: id.to_owned(), value: text.parse()? })
    }

    /// A new, empty disk.
    ///
    /// # Errors
    /// When the storage's name would break the format.
    pub fn new(id: DeviceId, storage: &str, size: DiskSize) -> Result<Self, PropertyError> {
        Ok(Self { id: id.to_string(), value: of(&allocation(storage, size))? })
    }

    /// A disk of an existing volume: one that was detached, for example.
    ///
    /// # Errors
    /// When the volume id would break the format.
    pub fn existing(id: DeviceId, volid: &str) -> Result<Self, PropertyError> {
        Ok(Self { id: id.to_string(), value: of(volid)? })
    }

    /// A new disk with content and size of `source`, a volume id.
    ///
    /// # Errors
    /// When a name would break the format.
    pub fn import(id: DeviceId, storage: &str, source: &str) -> Result<Self, PropertyError> {
        let disk = Self { id: id.to_string(), value: of(&format!("{storage}:0"))? };
        disk.with("import-from", source)
    }

    /// A CD drive with this image (`local:iso/debian.iso`), or an empty one.
    ///
    /// # Errors
    /// When the volume id would break the format.
    pub fn cdrom(id: DeviceId, image: Option<&str>) -> Result<Self, PropertyError> {
        let disk = Self { id: id.to_string(), value: of(image.unwrap_or("none"))? };
        disk.with("media", "cdrom")
    }

    /// The drive with cloud-init's documents, which Proxmox makes.
    ///
    /// # Errors
    /// When the storage's name would break the format.
    pub fn cloudinit(id: DeviceId, storage: &str) -> Result<Self, PropertyError> {
        Ok(Self { id: id.to_string(), value: of(&format!("{storage}:cloudinit"))? })
    }

    /// What it hangs on; `None` for `efidisk0` and `tpmstate0`.
    pub fn controller(&self) -> Option<Controller> {
        self.id.parse().ok().map(DeviceId::controller)
    }

    /// Is it a CD drive, cloud-init's included?
    pub fn is_cdrom(&self) -> bool {
        self.value.get("media") == Some("cdrom")
    }

    /// Is it detached?
    pub fn is_unused(&self) -> bool {
        self.controller() == Some(Controller::Unused)
    }
}

/// The root disk or a mount point of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountPoint {
    id: String,
    value: PropertyString,
}

impl MountPoint {
    pub(super) fn read(id: &str, text: &str) -> Result<Self, PropertyError> {
        Ok(Self { id: id.to_owned(), value: text.parse()? })
    }

    /// A new, empty volume that stands at `path` in the container.
    ///
    /// # Errors
    /// When a name would break the format.
    pub fn new(
        id: DeviceId,
        storage: &str,
        size: DiskSize,
        path: &str,
    ) -> Result<Self, PropertyError> {
        Self { id: id.to_string(), value: of(&allocation(storage, size))? }.with("mp", path)
    }

    /// An existing volume, or a directory of the node (which only `root@pam`
    /// may use), at `path` in the container.
    ///
    /// # Errors
    /// When a name would break the format.
    pub fn existing(id: DeviceId, volume: &str, path: &str) -> Result<Self, PropertyError> {
        Self { id: id.to_string(), value: of(volume)? }.with("mp", path)
    }

    /// Where it stands in the container; `None` for the root disk.
    pub fn path(&self) -> Option<&str> {
        self.value.get("mp")
    }

    /// Is it the root disk?
    pub fn is_root(&self) -> bool {
        self.id == "rootfs"
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sizes_are_said_in_gib() {
        let size = |text: &str| allocation("local", text.parse().unwrap());
        assert_eq!(size("4G"), "local:4");
        assert_eq!(size("512M"), "local:0.5");
        assert_eq!(size("1536M"), "local:1.5");
        assert_eq!(size("528K"), "local:0.00050354");
    }

    #[test]
    fn disks_read_as_written() {
        let disk = Disk::read("scsi0", "local:100/vm-100-disk-0.raw,size=2G,ssd=1").unwrap();
        assert_eq!((disk.storage(), disk.size()), (Some("local"), Some(DiskSize::from_gib(2))));
        assert!(!disk.is_cdrom() && disk.controller() == Some(Controller::Scsi));
        let drive = Disk::read("ide2", "none,media=cdrom").unwrap();
        assert!(drive.is_cdrom() && drive.volid().is_none());
        let root = MountPoint::read("rootfs", "local:101/vm-101-disk-0.raw,size=1G").unwrap();
        assert!(root.is_root() && root.path().is_none());
    }
}
