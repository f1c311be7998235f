//! Names of devices: `scsi0`, `net1`, `mp2`.

use std::fmt;
use std::str::FromStr;

use crate::ParseError;

/// A release of Proxmox VE, as far as it decides what calls look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release {
    /// 8 of `8.4`.
    pub major: u32,
    /// 4 of `8.4`.
    pub minor: u32,
}

impl Release {
    /// A release: `Release::new(8, 4)`.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What devices hang on, and how many of them there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Controller {
    /// IDE disks and CD drives of virtual machines: 0 to 3.
    Ide,
    /// SATA disks of virtual machines: 0 to 5.
    Sata,
    /// SCSI disks of virtual machines: 0 to 30.
    Scsi,
    /// VirtIO block disks of virtual machines: 0 to 15.
    Virtio,
    /// Mount points of containers: 0 to 255.
    Mp,
    /// Network interfaces: 0 to 31.
    Net,
    /// Addresses for cloud-init: 0 to 31.
    IpConfig,
    /// Detached volumes: 0 to 255.
    Unused,
    /// Devices of the node in containers: 0 to 255; since release 8.
    Dev,
    /// USB devices: 0 to 13; 0 to 4 before release 7.3.
    Usb,
    /// PCI devices: 0 to 15.
    HostPci,
    /// Serial ports: 0 to 3.
    Serial,
    /// Parallel ports: 0 to 2.
    Parallel,
    /// NUMA nodes: 0 to 7.
    Numa,
    /// Shared directories: 0 to 9; since release 8.4.
    VirtioFs,
}

const CONTROLLERS: [(Controller, &str, u16); 15] = [
    (Controller::Ide, "ide", 3),
    (Controller::Sata, "sata", 5),
    (Controller::Scsi, "scsi", 30),
    (Controller::Virtio, "virtio", 15),
    (Controller::Mp, "mp", 255),
    (Controller::Net, "net", 31),
    (Controller::IpConfig, "ipconfig", 31),
    (Controller::Unused, "unused", 255),
    (Controller::Dev, "dev", 255),
    (Controller::Usb, "usb", 13),
    (Controller::HostPci, "hostpci", 15),
    (Controller::Serial, "serial", 3),
    (Controller::Parallel, "parallel", 2),
    (Controller::Numa, "numa", 7),
    (Controller::VirtioFs, "virtiofs", 9),
];

impl Controller {
    /// The word before the number.
    pub fn word(self) -> &'static str {
        let row = CONTROLLERS.iter().find(|(controller, ..)| *controller == self);
        row.map_or("", |(_, word, _)| word)
    }

    /// The highest number in the newest release.
    pub fn last_index(self) -> u16 {
        let row = CONTROLLERS.iter().find(|(controller, ..)| *controller == self);
        row.map_or(0, |(_, _, last)| *last)
    }

    /// The highest number in this release; `None` when it does not know such
    /// devices.
    pub fn last_index_in(self, release: Release) -> Option<u16> {
        match self {
            Self::Dev if release < Release::new(8, 1) => None,
            Self::VirtioFs if release < Release::new(8, 4) => None,
            Self::Usb if release < Release::new(7, 3) => Some(4),
            _ => Some(self.last_index()),
        }
    }
}

impl FromStr for Controller {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let row = CONTROLLERS.iter().find(|(_, word, _)| *word == text);
        row.map(|(controller, ..)| *controller)
            .ok_or_else(|| ParseError::new(text, "a controller like scsi, net or mp"))
    }
}

/// The name of a numbered device.
///
/// ```
/// use pve::models::{Controller, DeviceId};
/// let disk: DeviceId = "scsi30".parse()?;
/// assert_eq!((disk.controller(), disk.index()), (Controller::Scsi, 30));
/// assert!("scsi31".parse::<DeviceId>().is_err());
/// # Ok::<(), pve::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId {
    controller: Controller,
    index: u16,
}

impl DeviceId {
    /// A device; `None` when the newest release has no such number.
    pub fn new(controller: Controller, index: u16) -> Option<Self> {
        (index <= controller.last_index()).then_some(Self { controller, index })
    }

    /// What it hangs on.
    pub fn controller(self) -> Controller {
        self.controller
    }

    /// Its number, from 0.
    pub fn index(self) -> u16 {
        self.index
    }

    /// Does this release know it? One that does not answers "property is not
    /// defined in schema".
    pub fn exists_in(self, release: Release) -> bool {
        self.controller.last_index_in(release).is_some_and(|last| self.index <= last)
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.controller.word(), self.index)
    }
}

impl FromStr for DeviceId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let word = text.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = &text[word.len()..];
        let plain = digits == "0" || !digits.starts_with('0');
        let index = plain.then(|| digits.parse().ok()).flatten();
        let id = word.parse().ok().zip(index);
        id.and_then(|(controller, index)| Self::new(controller, index))
            .ok_or_else(|| ParseError::new(text, "a device like scsi0, net1 or mp2 in its range"))
    }
}

/// The device after the last of `taken` on this controller, or the first free
/// one when that would be beyond the range; `None` when all are taken.
pub(crate) fn next_device(
    controller: Controller,
    last: u16,
    taken: impl Iterator<Item = DeviceId>,
) -> Option<DeviceId> {
    let mut taken: Vec<u16> =
        taken.filter(|id| id.controller == controller).map(|id| id.index).collect();
    taken.sort_unstable();
    let next = taken.last().map_or(0, |index| index + 1);
    let index = if next <= last {
        next
    } else {
        (0..=last).find(|index| taken.binary_search(index).is_err())?
    };
    Some(DeviceId { controller, index })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn next(controller: Controller, taken: &[&str]) -> Option<String> {
        let taken = taken.iter().map(|id| id.parse().unwrap());
        next_device(controller, controller.last_index(), taken).map(|id| id.to_string())
    }

    #[test]
    fn the_next_device_stands_behind_the_last() {
        assert_eq!(next(Controller::Scsi, &[]).unwrap(), "scsi0");
        assert_eq!(next(Controller::Scsi, &["scsi0", "scsi4", "ide3"]).unwrap(), "scsi5");
        assert_eq!(next(Controller::Ide, &["ide0", "ide3"]).unwrap(), "ide1");
        assert_eq!(next(Controller::Ide, &["ide0", "ide1", "ide2", "ide3"]), None);
    }

    #[test]
    fn names_read_and_print() {
        for text in ["scsi0", "scsi30", "mp255", "net31", "virtiofs9", "unused12"] {
            assert_eq!(text.parse::<DeviceId>().unwrap().to_string(), text);
        }
        for text in ["", "scsi", "scsi31", "scsi01", "0", "scsihw", "net-1", "mp256", "scsi99999"] {
            assert!(text.parse::<DeviceId>().is_err(), "{text}");
        }
    }

    #[test]
    fn ranges_depend_on_the_release() {
        let usb: DeviceId = "usb5".parse().unwrap();
        assert!(!usb.exists_in(Release::new(7, 2)) && usb.exists_in(Release::new(7, 4)));
        let dev: DeviceId = "dev0".parse().unwrap();
        assert!(!dev.exists_in(Release::new(7, 4)) && dev.exists_in(Release::new(9, 2)));
        for row in CONTROLLERS {
            assert_eq!((row.0.word(), row.0.last_index()), (row.1, row.2));
        }
    }
}
