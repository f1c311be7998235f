//! A guest where it was found, and what its configuration says about it.

use model::{HostId, Mark};
use pve::VmId;
use pve::property::Disk;
use pve::qemu::QemuConfig;

/// A guest where it was found.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    /// Its vmid.
    pub vmid: VmId,
    /// The node that has its configuration.
    pub node: HostId,
    /// Its configuration.
    pub config: QemuConfig,
}

impl Guest {
    /// Whether it is protected against removal.
    pub fn is_protected(&self) -> bool {
        is_protected(&self.config)
    }
}

/// The mark in a guest's description.
pub(crate) fn mark(config: &QemuConfig) -> Option<Mark> {
    Mark::parse(config.description()?)
}

/// A guest's SMBIOS UUID, in lower case.
pub(crate) fn uuid(config: &QemuConfig) -> Option<String> {
    config.smbios1()?.uuid().map(str::to_ascii_lowercase)
}

/// Whether a guest is protected against removal.
pub(crate) fn is_protected(config: &QemuConfig) -> bool {
    config.get("protection").and_then(pve::lenient::parse_bool) == Some(true)
}

/// The disk that a guest boots from: the first in its boot order, or, when
/// nothing is said, its first disk.
pub(crate) fn root_disk(config: &QemuConfig) -> Option<(String, Disk)> {
    let disks = config.disks().ok()?;
    let boot = config.boot();
    let order = boot.iter().flat_map(|boot| boot.devices());
    let first = ["scsi0", "virtio0", "sata0", "ide0"];
    order.chain(config.get("bootdisk")).chain(first).find_map(|name| {
        let disk = disks.get(name)?;
        (!disk.is_cdrom()).then(|| (name.to_owned(), disk.clone()))
    })
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A configuration of these options.
    pub(crate) fn config(options: &[(&str, &str)]) -> QemuConfig {
        let pairs = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).into()));
        serde_json::from_value(serde_json::Value::Object(pairs.collect())).unwrap()
    }

    #[test]
    fn the_root_disk_is_the_first_disk_of_the_boot_order() {
        let name = |options: &[(&str, &str)]| root_disk(&config(options)).map(|(name, _)| name);
        let cd = ("ide2", "local:iso/a.iso,media=cdrom");
        let (scsi, virtio) = (("scsi0", "local:a,size=1G"), ("virtio1", "local:b,size=1G"));
        let order = ("boot", "order=net0;ide2;virtio1;scsi0");
        assert_eq!(name(&[cd, scsi, virtio, order]).as_deref(), Some("virtio1"));
        assert_eq!(name(&[cd, scsi]).as_deref(), Some("scsi0"));
        let old = [scsi, virtio, ("boot", "cdn"), ("bootdisk", "virtio1")];
        assert_eq!(name(&old).as_deref(), Some("virtio1"));
        assert_eq!(name(&[cd]), None);
    }
}
