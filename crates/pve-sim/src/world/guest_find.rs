//! Finding guests by kind, and the volumes that their configurations name.

use super::World;
use super::guest::{Config, Drive, Guest, Kind, is_drive};
use super::storage::{Key, Volume, volid};
use crate::fail::Fail;
use crate::schema::split_index;

impl World {
    /// The guest `vmid` of this kind on `node`, or Proxmox's error for a missing one.
    pub fn guest_at(&self, kind: Kind, node: &str, vmid: u32) -> Result<&Guest, Fail> {
        self.guests
            .get(&vmid)
            .filter(|guest| guest.kind == kind && guest.node == node)
            .ok_or_else(|| Fail::new(no_config_of(kind, node, vmid)))
    }

    /// Like [`World::guest_at`], to change it.
    pub fn guest_at_mut(&mut self, kind: Kind, node: &str, vmid: u32) -> Result<&mut Guest, Fail> {
        self.guests
            .get_mut(&vmid)
            .filter(|guest| guest.kind == kind && guest.node == node)
            .ok_or_else(|| Fail::new(no_config_of(kind, node, vmid)))
    }

    /// The container `vmid` on `node`.
    pub fn ct(&self, node: &str, vmid: u32) -> Result<&Guest, Fail> {
        self.guest_at(Kind::Lxc, node, vmid)
    }

    /// Like [`World::ct`], to change it.
    pub fn ct_mut(&mut self, node: &str, vmid: u32) -> Result<&mut Guest, Fail> {
        self.guest_at_mut(Kind::Lxc, node, vmid)
    }

    /// The text for an id that is taken: `CT 300 already exists on node 'pve1'`.
    pub fn taken(&self, vmid: u32) -> Option<String> {
        let other = self.guests.get(&vmid)?;
        let kind = other.kind.title();
        Some(format!("{kind} {vmid} already exists on node '{}'", other.node))
    }

    /// Proxmox's text for a guest's lock file that could not be had.
    pub fn lock_text(&self, vmid: u32) -> String {
        let file = match self.guests.get(&vmid).map(|guest| guest.kind) {
            Some(Kind::Lxc) => format!("/run/lock/lxc/pve-config-{vmid}.lock"),
            _ => format!("/var/lock/qemu-server/lock-{vmid}.conf"),
        };
        format!("can't lock file '{file}' - got timeout")
    }

    /// A volume that is there, by the id that a configuration names.
    pub fn volume_at(&self, node: &str, volume: &str) -> Result<(Key, &Volume), String> {
        let key = self.key_of(node, volume);
        key.and_then(|key| self.volumes.get(&key).map(|found| (key, found)))
            .ok_or_else(|| format!("volume '{volume}' does not exist"))
    }

    /// Fails when linked clones hang on a volume. The text is Proxmox's, typing error included.
    pub fn check_no_children(&self, key: &Key) -> Result<(), String> {
        if self.volumes.children(key) == 0 {
            return Ok(());
        }
        Err(format!("base volume '{}' is still in use by linked cloned", volid(key)))
    }
}

impl Kind {
    /// `VM` or `CT`, as error texts say.
    pub fn title(self) -> &'static str {
        match self {
            Self::Qemu => "VM",
            Self::Lxc => "CT",
        }
    }

    /// Whether an option of such a guest holds a volume in use.
    pub fn is_volume(self, key: &str) -> bool {
        match self {
            Self::Qemu => is_drive(key),
            Self::Lxc => key == "rootfs" || split_index(key).is_some_and(|(stem, _)| stem == "mp"),
        }
    }
}

impl Guest {
    /// The disks and mount points on storages: no CD-ROMs, no bind mounts.
    pub fn disks(&self) -> Vec<(String, Drive)> {
        disks_of(self.kind, &self.config)
    }
}

/// The disks and mount points of a configuration that lie on storages; the root
/// file system comes first, as Proxmox goes through them.
pub(crate) fn disks_of(kind: Kind, config: &Config) -> Vec<(String, Drive)> {
    let root = config.get_key_value("rootfs");
    root.into_iter()
        .chain(config.iter().filter(|(key, _)| *key != "rootfs"))
        .filter(|(key, _)| kind.is_volume(key))
        .map(|(key, text)| (key.clone(), Drive::parse(text)))
        .filter(|(_, drive)| {
            !drive.is_cdrom() && drive.volume.contains(':') && !drive.volume.starts_with('/')
        })
        .collect()
}

/// The text for a guest without a configuration file.
pub(crate) fn no_config_of(kind: Kind, node: &str, vmid: u32) -> String {
    let folder = match kind {
        Kind::Qemu => "qemu-server",
        Kind::Lxc => "lxc",
    };
    format!("Configuration file 'nodes/{node}/{folder}/{vmid}.conf' does not exist")
}
