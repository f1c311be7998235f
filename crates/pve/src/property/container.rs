//! Containers: mount points, interfaces, devices, features.

use super::{PropertyError, PropertyString, of_default, typed};

typed! {
    /// A mount point, `mp0`: `local-lvm:vm-100-disk-1,mp=/data,size=8G`.
    ///
    /// ```
    /// use pve::property::MountPoint;
    /// let data = MountPoint::new("local:8", "/data")?.with("backup", true)?;
    /// assert_eq!(data.to_string(), "local:8,mp=/data,backup=1");
    /// # Ok::<(), pve::property::PropertyError>(())
    /// ```
    MountPoint = "lxc/mp" {
        /// The volume, or a path of the node.
        volume: text "volume",
        /// The volume's id, when it is one.
        volume_id: volume "volume",
        /// Where it is mounted inside.
        mp: text "mp",
        /// Its size.
        size: size "size",
        /// Is it part of backups? No unless set.
        backup: flag "backup",
        /// Is it read-only?
        ro: flag "ro",
        /// Are there quotas inside?
        quota: flag "quota",
        /// Are there access control lists?
        acl: flag "acl",
        /// Is it replicated? Yes unless set.
        replicate: flag "replicate",
        /// Is it the same on all nodes?
        shared: flag "shared",
        /// Mount options.
        mount_options: list "mountoptions",
    }
}

impl MountPoint {
    /// A volume (or, to make one, `STORAGE:GIB`) mounted at `path`.
    ///
    /// # Errors
    /// When a value would break the format.
    pub fn new(volume: &str, path: &str) -> Result<Self, PropertyError> {
        let view: Result<Self, PropertyError> = of_default!(volume);
        view?.with("mp", path)
    }
}

typed! {
    /// The root file system, `rootfs`: `local-lvm:vm-100-disk-0,size=8G`.
    Rootfs = "lxc/rootfs" {
        /// The volume, or a path of the node.
        volume: text "volume",
        /// The volume's id, when it is one.
        volume_id: volume "volume",
        /// Its size.
        size: size "size",
        /// Is it read-only?
        ro: flag "ro",
        /// Are there quotas inside?
        quota: flag "quota",
        /// Are there access control lists?
        acl: flag "acl",
        /// Is it replicated? Yes unless set.
        replicate: flag "replicate",
        /// Is it the same on all nodes?
        shared: flag "shared",
        /// Mount options.
        mount_options: list "mountoptions",
    }
}

impl Rootfs {
    /// This volume, or, to make one, `STORAGE:GIB`.
    ///
    /// # Errors
    /// When it would break the format.
    pub fn new(volume: &str) -> Result<Self, PropertyError> {
        of_default!(volume)
    }
}

typed! {
    /// A network interface of a container, `net0`:
    /// `name=eth0,bridge=vmbr0,hwaddr=BC:24:11:40:5A:5A,ip=dhcp,type=veth`.
    LxcNic = "lxc/net" {
        /// Its name inside.
        name: text "name",
        /// The bridge.
        bridge: text "bridge",
        /// The MAC address.
        mac: text "hwaddr",
        /// IPv4: an address with prefix, `dhcp` or `manual`.
        ip: text "ip",
        /// The IPv4 gateway.
        gw: text "gw",
        /// IPv6: an address with prefix, `auto`, `dhcp` or `manual`.
        ip6: text "ip6",
        /// The IPv6 gateway.
        gw6: text "gw6",
        /// Does the Proxmox firewall guard it?
        firewall: flag "firewall",
        /// The VLAN tag, 1 to 4094.
        tag: uint "tag",
        /// VLANs that pass through.
        trunks: list "trunks",
        /// The limit in megabytes (10^6) per second.
        rate: number "rate",
        /// The MTU.
        mtu: uint "mtu",
        /// Is the link taken down?
        link_down: flag "link_down",
    }
}

impl LxcNic {
    /// An interface with this name inside, without a bridge.
    ///
    /// # Errors
    /// When the name would break the format.
    pub fn new(name: &str) -> Result<Self, PropertyError> {
        let mut properties = PropertyString::new();
        properties.set("name", name)?;
        Ok(Self(properties))
    }
}

typed! {
    /// A device of the node inside a container, `dev0`:
    /// `/dev/ttyUSB0,mode=0660`.
    Device = "lxc/dev" {
        /// The device's path.
        path: text "path",
        /// Access rights, octal.
        mode: text "mode",
        /// The owner inside.
        uid: uint "uid",
        /// The group inside.
        gid: uint "gid",
        /// Is it read-only?
        deny_write: flag "deny-write",
    }
}

impl Device {
    /// This device.
    ///
    /// # Errors
    /// When the path would break the format.
    pub fn new(path: &str) -> Result<Self, PropertyError> {
        of_default!(path)
    }
}

typed! {
    /// What a container may do beyond the usual, `features`:
    /// `nesting=1,keyctl=1`.
    Features = "lxc/features" {
        /// Containers inside.
        nesting: flag "nesting",
        /// The system call `keyctl`.
        keyctl: flag "keyctl",
        /// File systems of FUSE.
        fuse: flag "fuse",
        /// Making of some devices.
        mknod: flag "mknod",
        /// `/sys` is writable.
        force_rw_sys: flag "force_rw_sys",
        /// File systems that may be mounted.
        mount: list "mount",
    }
}

impl Features {
    /// None.
    pub fn new() -> Self {
        Self(PropertyString::new())
    }
}

impl Default for Features {
    fn default() -> Self {
        Self::new()
    }
}
