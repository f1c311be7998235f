//! Disks, mount points and network interfaces.

use http::Method;

use super::{Guest, GuestKind, Lxc, Qemu};
use crate::models::device::next_device;
use crate::models::{Controller, DeviceId, Disk, MountPoint, Nic, Operation, Release};
use crate::property::PropertyError;
use crate::qemu::ConfigChange;
use crate::{Error, ParamValue, Params, VmId};

/// The buses that disks hang on.
const BUSES: [Controller; 4] =
    [Controller::Ide, Controller::Sata, Controller::Scsi, Controller::Virtio];

impl<K: GuestKind> Guest<K> {
    /// The devices in its configuration, with their texts, by name.
    fn devices(&self) -> impl Iterator<Item = (DeviceId, &str)> {
        let values = K::values(&self.config).iter();
        values.filter_map(|(name, value)| Some((name.parse().ok()?, value.as_str())))
    }

    /// The device after the last one on this controller, for a new one; `None`
    /// when all are taken. By the ranges of the newest release.
    pub fn next_device(&self, controller: Controller) -> Option<DeviceId> {
        next_device(controller, controller.last_index(), self.devices().map(|(id, _)| id))
    }

    /// The same by the ranges of `release`.
    pub fn next_device_in(&self, controller: Controller, release: Release) -> Option<DeviceId> {
        let last = controller.last_index_in(release)?;
        next_device(controller, last, self.devices().map(|(id, _)| id))
    }

    /// Its network interfaces, by number.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn nics(&self) -> Result<Vec<Nic>, PropertyError> {
        let mut nics: Vec<Nic> = self
            .devices()
            .filter(|(id, _)| id.controller() == Controller::Net)
            .map(|(id, text)| Nic::read(id.index(), text))
            .collect::<Result<_, _>>()?;
        nics.sort_by_key(Nic::index);
        Ok(nics)
    }

    /// The MAC addresses of its interfaces, in the case they are stored in.
    ///
    /// # Errors
    /// When an interface cannot be read.
    pub fn mac_addresses(&self) -> Result<Vec<String>, PropertyError> {
        let nics = self.nics()?;
        Ok(nics.iter().filter_map(|nic| nic.mac().map(str::to_owned)).collect())
    }

    /// Adds a network interface, or changes the one with its number.
    pub fn attach_nic(&mut self, nic: &Nic) -> Operation<'_> {
        self.set(&nic.id(), nic.to_string())
    }

    fn set(&mut self, name: &str, value: String) -> Operation<'_> {
        let change = ConfigChange::new().set(name, value);
        self.operation(K::UPDATE, "config", &change)
    }

    /// Grows a disk or mount point to `size` (`5G`), or by `+1G`. Disks cannot
    /// shrink, which shows in the task.
    pub fn extend(&mut self, disk: &str, size: impl ParamValue) -> Operation<'_> {
        let params = Params::new().set("disk", disk).set("size", size);
        self.operation(Method::PUT, "resize", params)
    }

    /// Takes a device off. A disk or mount point becomes `unusedN` and keeps its
    /// volume; detaching that deletes the volume.
    pub fn detach(&mut self, device: &str) -> Operation<'_> {
        let change = ConfigChange::new().delete(device);
        self.operation(K::UPDATE, "config", &change)
    }

    /// Takes a disk or mount point off and deletes its volume, in two steps.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request); when the second step
    /// fails, the disk is detached and its volume is there.
    pub async fn remove(&mut self, disk: &str) -> Result<(), Error> {
        let volid = |text: &str| text.split(',').next().map(str::to_owned);
        let volume = self.option(disk).and_then(volid);
        self.detach(disk).await?;
        let unused = self.devices().find(|(id, text)| {
            id.controller() == Controller::Unused && volume.is_some() && volid(text) == volume
        });
        match unused.map(|(id, _)| id.to_string()) {
            Some(id) => self.detach(&id).await,
            // A CD drive, or a volume that is not its own: nothing stays.
            None => Ok(()),
        }
    }
}

/// What happens when a disk moves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MoveOptions {
    /// Delete the old volume; it becomes `unusedN` otherwise.
    pub delete: bool,
    /// The new format; virtual machines only.
    pub format: Option<String>,
    /// The limit in KiB/s.
    pub bwlimit: Option<u64>,
    /// Refuse it when the configuration is another one by now.
    pub digest: Option<String>,
}

impl MoveOptions {
    /// Delete the old volume.
    pub fn deleting() -> Self {
        Self { delete: true, ..Self::default() }
    }

    fn params(&self) -> Params {
        Params::new()
            .opt("delete", self.delete.then_some(true))
            .opt("format", self.format.as_ref())
            .opt("bwlimit", self.bwlimit)
            .opt("digest", self.digest.as_ref())
    }
}

impl Guest<Qemu> {
    /// Its disks and CD drives on ide, sata, scsi and virtio.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn disks(&self) -> Result<Vec<Disk>, PropertyError> {
        let of = |bus: Controller| {
            let devices = self.devices().filter(move |(id, _)| id.controller() == bus);
            let mut devices: Vec<_> = devices.collect();
            devices.sort_unstable();
            devices
        };
        let disks = BUSES.into_iter().flat_map(of);
        disks.map(|(id, text)| Disk::read(&id.to_string(), text)).collect()
    }

    /// Volumes that are its own but on no bus.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn unused_disks(&self) -> Result<Vec<Disk>, PropertyError> {
        let unused = self.devices().filter(|(id, _)| id.controller() == Controller::Unused);
        unused.map(|(id, text)| Disk::read(&id.to_string(), text)).collect()
    }

    /// One of its disks by name: `scsi0`, `efidisk0`, `unused0`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn disk(&self, id: &str) -> Result<Option<Disk>, PropertyError> {
        self.option(id).map(|text| Disk::read(id, text)).transpose()
    }

    /// Adds a disk or CD drive, or changes the one of this name.
    pub fn attach(&mut self, disk: &Disk) -> Operation<'_> {
        self.set(disk.id(), disk.to_string())
    }

    /// Moves a disk to another storage.
    pub fn move_disk(&mut self, disk: &str, storage: &str, options: &MoveOptions) -> Operation<'_> {
        let params = Params::new().set("disk", disk).set("storage", storage);
        self.operation(Method::POST, "move_disk", params.and(options.params()))
    }

    /// Gives a disk to another machine, which stands on the same node: there it
    /// is `place` (`scsi1`). Since release 7.
    pub fn reassign_disk(&mut self, disk: &str, target: VmId, place: &str) -> Operation<'_> {
        let params = Params::new().set("disk", disk);
        let params = params.set("target-vmid", target).set("target-disk", place);
        self.operation(Method::POST, "move_disk", params)
    }

    /// Takes several disks off; `force` deletes their volumes.
    pub fn unlink(&mut self, disks: &[&str], force: bool) -> Operation<'_> {
        let params =
            Params::new().set("idlist", disks.join(",")).opt("force", force.then_some(true));
        self.operation(Method::PUT, "unlink", params)
    }
}

impl Guest<Lxc> {
    /// Its mount points, without the root disk.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn mount_points(&self) -> Result<Vec<MountPoint>, PropertyError> {
        let mut points: Vec<_> =
            self.devices().filter(|(id, _)| id.controller() == Controller::Mp).collect();
        points.sort_unstable();
        points.into_iter().map(|(id, text)| MountPoint::read(&id.to_string(), text)).collect()
    }

    /// Its root disk.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn root_disk(&self) -> Result<Option<MountPoint>, PropertyError> {
        self.option("rootfs").map(|text| MountPoint::read("rootfs", text)).transpose()
    }

    /// Adds a mount point, or changes the one of this name.
    pub fn attach(&mut self, point: &MountPoint) -> Operation<'_> {
        self.set(point.id(), point.to_string())
    }

    /// Moves the root disk or a mount point to another storage.
    pub fn move_volume(
        &mut self,
        volume: &str,
        storage: &str,
        options: &MoveOptions,
    ) -> Operation<'_> {
        let params = Params::new().set("volume", volume).set("storage", storage);
        self.operation(Method::POST, "move_volume", params.and(options.params()))
    }

    /// Gives a mount point to another container, which stands on the same node:
    /// there it is `place` (`mp1`). Since release 7.
    pub fn reassign_volume(&mut self, volume: &str, target: VmId, place: &str) -> Operation<'_> {
        let params = Params::new().set("volume", volume);
        let params = params.set("target-vmid", target).set("target-volume", place);
        self.operation(Method::POST, "move_volume", params)
    }
}
