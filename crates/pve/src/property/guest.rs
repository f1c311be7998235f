//! Virtual machines: processors, devices, machine types.

use super::{PropertyError, PropertyString, of_default, typed};

typed! {
    /// The processor, `cpu`: `host,flags=+aes;-pcid`.
    Cpu = "qemu/cpu" {
        /// The model: `host`, `x86-64-v2-AES`, `custom-NAME`.
        model: text "cputype",
        /// Flags that are switched on (`+aes`) or off (`-pcid`).
        flags: list "flags",
        /// Hide that it is virtual?
        hidden: flag "hidden",
        /// The maker that Windows guests see.
        hv_vendor_id: text "hv-vendor-id",
        /// Bits of physical addresses: a number, or `host`.
        phys_bits: text "phys-bits",
        /// The model that a custom model reports.
        reported_model: text "reported-model",
    }
}

impl Cpu {
    /// A processor of this model.
    ///
    /// # Errors
    /// When it would break the format.
    pub fn new(model: &str) -> Result<Self, PropertyError> {
        of_default!(model)
    }

    /// Is a flag switched on or off? `None`: neither.
    pub fn flag(&self, name: &str) -> Option<bool> {
        let flags = self.flags().into_iter();
        let mut found = flags.filter_map(|flag| {
            let on = flag.strip_prefix('+').filter(|flag| *flag == name).map(|_| true);
            on.or_else(|| flag.strip_prefix('-').filter(|flag| *flag == name).map(|_| false))
        });
        found.next()
    }
}

typed! {
    /// A PCI device of the node, `hostpci0`: `0000:01:00.0,pcie=1` or
    /// `mapping=gpu`.
    HostPci = "qemu/hostpci" {
        /// The device's addresses.
        host: list "host",
        /// The name of a mapping of the cluster; since release 8.
        mapping: text "mapping",
        /// Is it on PCI Express?
        pcie: flag "pcie",
        /// Is its ROM visible? Yes unless set.
        rombar: flag "rombar",
        /// Another ROM.
        romfile: text "romfile",
        /// Is it the first display?
        x_vga: flag "x-vga",
        /// The type of the part of a device that can be divided.
        mdev: text "mdev",
    }
}

impl HostPci {
    /// A device by its address.
    ///
    /// # Errors
    /// When it would break the format.
    pub fn host_device(address: &str) -> Result<Self, PropertyError> {
        of_default!(address)
    }

    /// A device by the name of a mapping.
    ///
    /// # Errors
    /// When it would break the format.
    pub fn mapped(mapping: &str) -> Result<Self, PropertyError> {
        let mut properties = PropertyString::new();
        properties.set("mapping", mapping)?;
        Ok(Self(properties))
    }
}

typed! {
    /// The disk with the firmware's variables, `efidisk0`:
    /// `local:1,efitype=4m,pre-enrolled-keys=1`.
    EfiDisk = "qemu/efidisk0" {
        /// The volume.
        volume: text "file",
        /// The volume's id, when it is one.
        volume_id: volume "file",
        /// Its size.
        size: size "size",
        /// `2m` or `4m`; since release 7.
        efitype: text "efitype",
        /// Are the usual keys of secure boot there? Since release 7.
        pre_enrolled_keys: flag "pre-enrolled-keys",
        /// Which certificates of Microsoft; since release 9.
        ms_cert: text "ms-cert",
    }
}

impl EfiDisk {
    /// This volume, or, to make one, `STORAGE:1`.
    ///
    /// # Errors
    /// When it would break the format.
    pub fn new(volume: &str) -> Result<Self, PropertyError> {
        of_default!(volume)
    }
}

typed! {
    /// The disk with the state of a TPM, `tpmstate0`: `local:1,version=v2.0`;
    /// since release 7.
    TpmState = "qemu/tpmstate0" {
        /// The volume.
        volume: text "file",
        /// The volume's id, when it is one.
        volume_id: volume "file",
        /// Its size.
        size: size "size",
        /// `v1.2` or `v2.0`.
        version: text "version",
    }
}

impl TpmState {
    /// This volume, or, to make one, `STORAGE:1`.
    ///
    /// # Errors
    /// When it would break the format.
    pub fn new(volume: &str) -> Result<Self, PropertyError> {
        of_default!(volume)
    }
}

typed! {
    /// A USB device, `usb0`: `host=1234:5678`, `spice`, `mapping=key`.
    Usb = "qemu/usb" {
        /// `VVVV:PPPP`, `BUS-PORT` or `spice`.
        host: text "host",
        /// The name of a mapping of the cluster; since release 8.
        mapping: text "mapping",
        /// Is it on USB 3?
        usb3: flag "usb3",
    }
}

typed! {
    /// A parallel port, `parallel0`: a device of the node.
    Parallel = "qemu/parallel" {
        /// The device.
        device: text "port",
    }
}

typed! {
    /// A watchdog, `watchdog`: `i6300esb,action=reset`.
    Watchdog = "qemu/watchdog" {
        /// `i6300esb` or `ib700`.
        model: text "model",
        /// What happens when it strikes: `reset`, `shutdown`, `poweroff`,
        /// `pause`, `debug`, `none`.
        action: text "action",
    }
}

typed! {
    /// Random numbers, `rng0`: `source=/dev/urandom,max_bytes=1024`.
    Rng = "qemu/rng0" {
        /// The node's device.
        source: text "source",
        /// Bytes per period.
        max_bytes: uint "max_bytes",
        /// The period in milliseconds.
        period: uint "period",
    }
}

typed! {
    /// Documents for cloud-init, `cicustom`: volume ids of snippets.
    CiCustom = "qemu/cicustom" {
        /// The user data.
        user: volume "user",
        /// The network configuration.
        network: volume "network",
        /// The meta data.
        meta: volume "meta",
        /// The vendor data.
        vendor: volume "vendor",
    }
}

typed! {
    /// Encrypted memory by AMD, `amd-sev`; since release 8.4.
    AmdSev = "qemu/amd-sev" {
        /// `std`, `es` or `snp`.
        kind: text "type",
        /// No debugging?
        no_debug: flag "no-debug",
        /// No key for other machines?
        no_key_sharing: flag "no-key-sharing",
        /// Are threads of one core allowed? Yes unless set.
        allow_smt: flag "allow-smt",
        /// Are hashes of kernel and its command line measured?
        kernel_hashes: flag "kernel-hashes",
    }
}

typed! {
    /// Encrypted memory by Intel, `intel-tdx`; since release 9.
    IntelTdx = "qemu/intel-tdx" {
        /// `tdx`.
        kind: text "type",
        /// Can it prove what it is? Yes unless set.
        attestation: flag "attestation",
        /// Where quotes are made: the context id.
        vsock_cid: uint "vsock-cid",
        /// Where quotes are made: the port.
        vsock_port: uint "vsock-port",
    }
}

typed! {
    /// The machine type, `machine`: `q35`, `pc-i440fx-9.0`,
    /// `q35,viommu=virtio`. A plain word before release 8.
    Machine = "qemu/machine" {
        /// The type.
        kind: text "type",
        /// A virtual IOMMU: `intel` or `virtio`.
        viommu: text "viommu",
        /// Can it sleep in S3?
        enable_s3: flag "enable-s3",
        /// Can it sleep in S4?
        enable_s4: flag "enable-s4",
    }
}

typed! {
    /// The memory, `memory`: MiB. A plain number before release 8.
    Memory = "qemu/memory" {
        /// MiB.
        mib: uint "current",
    }
}

typed! {
    /// A NUMA node, `numa0`: `cpus=0-3,memory=1024`.
    Numa = "qemu/numa" {
        /// Its processors: `0-3`, `5`.
        cpus: list "cpus",
        /// The node's NUMA nodes that it uses.
        host_nodes: list "hostnodes",
        /// Its memory in MiB.
        memory: number "memory",
        /// `preferred`, `bind` or `interleave`.
        policy: text "policy",
    }
}

typed! {
    /// A shared folder, `virtiofs0`: `share,cache=auto`; since release 8.4.
    VirtioFs = "qemu/virtiofs" {
        /// The name of the folder's mapping.
        dirid: text "dirid",
        /// `auto`, `always`, `metadata` or `never`.
        cache: text "cache",
        /// Without the node's cache?
        direct_io: flag "direct-io",
        /// Are access control lists visible?
        expose_acl: flag "expose-acl",
        /// Are extended attributes visible?
        expose_xattr: flag "expose-xattr",
    }
}

typed! {
    /// A sound card, `audio0`: `device=ich9-intel-hda,driver=spice`.
    Audio = "qemu/audio0" {
        /// `ich9-intel-hda`, `intel-hda` or `AC97`.
        device: text "device",
        /// `spice` or `none`.
        driver: text "driver",
    }
}

typed! {
    /// Memory shared between machines, `ivshmem`: `size=32,name=x`.
    Ivshmem = "qemu/ivshmem" {
        /// MiB.
        size: uint "size",
        /// The name of the file on the node.
        name: text "name",
    }
}

typed! {
    /// `spice_enhancements`: `foldersharing=1,videostreaming=all`.
    SpiceEnhancements = "qemu/spice_enhancements" {
        /// Are folders shared?
        foldersharing: flag "foldersharing",
        /// `off`, `all` or `filter`.
        videostreaming: text "videostreaming",
    }
}

typed! {
    /// What Proxmox notes about the making of a machine, `meta`.
    Meta = "qemu/meta" {
        /// QEMU's version then.
        creation_qemu: text "creation-qemu",
        /// When, in seconds since the epoch.
        ctime: uint "ctime",
    }
}
