//! A guest where it was found, and what its configuration says about it.

use model::{ByteCount, HostId, Mark};
use provider::{Error, GuestDetails, Rejection};
use pve::VmId;
use pve::firewall::Rule;
use pve::property::Disk;
use pve::qemu::QemuConfig;

use crate::actions::configure::TAG;
use crate::native::GuestRef;

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

impl Guest {
    /// The guest as it stands with these rules, for its adoption. One without a
    /// UUID is told from others by our mark alone.
    ///
    /// # Errors
    /// [`Error::Rejected`] for a template; [`Error::Busy`] while it is being
    /// made.
    pub fn details(&self, rules: &[Rule]) -> Result<GuestDetails, Error> {
        let (vmid, config) = (self.vmid, &self.config);
        let no = |text: String| Err(Error::rejected(Rejection::Unsupported, text));
        if config.is_template() {
            return no(format!("VM {vmid} is a template"));
        }
        if let Some(lock @ ("clone" | "create")) = config.lock() {
            return Err(Error::Busy(format!("VM {vmid} is locked ({lock})")));
        }
        let uuid = uuid(config);
        let native = GuestRef::write(vmid, &self.node, uuid.as_deref());
        let mut unmarked = uuid.map(|_| native.clone()).unwrap_or_default();
        if unmarked.is_object() {
            unmarked["unmarked"] = true.into();
        }
        let mut groups: Vec<String> = Vec::new();
        for rule in rules.iter().filter(|rule| rule.kind == "group") {
            if !groups.contains(&rule.action) {
                groups.push(rule.action.clone());
            }
        }
        let disk = root_disk(config).and_then(|(_, disk)| disk.size());
        let disk = disk.map(|size| ByteCount::bytes(size.bytes()));
        let tags = config.tags().into_iter().filter(|tag| *tag != TAG);
        Ok(GuestDetails {
            mark: mark(config),
            native,
            unmarked,
            name: config.name().unwrap_or_default().to_owned(),
            host: self.node.clone(),
            cores: u32::try_from(config.cores() * config.sockets()).unwrap_or(u32::MAX),
            memory: ByteCount::mib(config.memory_mib()),
            root_disk: disk,
            description: without_marks(config.description().unwrap_or_default()),
            tags: tags.map(str::to_owned).collect(),
            protected: self.is_protected(),
            security_groups: groups,
        })
    }
}

/// Whether the guest has this UUID; `false` when none is given.
pub(crate) fn is_it(config: &QemuConfig, uuid: Option<&str>) -> bool {
    uuid.is_some_and(|wanted| self::uuid(config).as_deref() == Some(&wanted.to_ascii_lowercase()))
}

/// A description without its marks.
pub(crate) fn without_marks(description: &str) -> String {
    let lines = description.lines().filter(|line| Mark::parse(line).is_none());
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
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
