//! The types of storages: which options they need and take, and what they can
//! hold. Source: the plug-ins' `properties`, `options` and `content`.

/// A type of storage.
pub(super) struct Kind {
    /// Options without which there is none, in the order in which they are missed.
    pub required: &'static [&'static str],
    /// Further options of this type.
    pub optional: &'static [&'static str],
    /// What it can hold.
    pub holds: &'static [&'static str],
    /// What it holds unless told otherwise.
    pub default: &'static [&'static str],
    /// Whether all nodes see the same.
    pub shared: bool,
}

/// Options of every type.
pub(super) const COMMON: &[&str] = &[
    "content",
    "nodes",
    "disable",
    "prune-backups",
    "maxfiles",
    "max-protected-backups",
    "bwlimit",
    "shared",
];

/// Options that stay as they were given.
pub(super) const FIXED: &[&str] = &[
    "path",
    "server",
    "export",
    "share",
    "vgname",
    "thinpool",
    "pool",
    "portal",
    "target",
    "datastore",
    "monhost",
    "base",
    "volume",
];

const FILES: &[&str] =
    &["images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import", "none"];
const DISKS: &[&str] = &["images", "rootdir", "none"];
const BOTH: &[&str] = &["images", "rootdir"];
const IMAGES: &[&str] = &["images"];

const fn kind(
    required: &'static [&'static str],
    optional: &'static [&'static str],
    holds: &'static [&'static str],
    default: &'static [&'static str],
    shared: bool,
) -> Kind {
    Kind { required, optional, holds, default, shared }
}

/// Options of storages that hold files.
const OF_FILES: &[&str] = &[
    "path",
    "format",
    "mkdir",
    "create-base-path",
    "create-subdirs",
    "is_mountpoint",
    "preallocation",
    "content-dirs",
    "options",
    "subdir",
    "snapshot-as-volume-chain",
    "nocow",
    "server2",
    "transport",
    "username",
    "password",
    "domain",
    "smbversion",
    "fuse",
    "keyring",
    "fs-name",
    "monhost",
];
/// Options of storages that hold block devices.
const OF_DISKS: &[&str] = &[
    "base",
    "saferemove",
    "saferemove_throughput",
    "saferemove-stepsize",
    "tagged_only",
    "blocksize",
    "sparse",
    "mountpoint",
    "monhost",
    "username",
    "keyring",
    "krbd",
    "namespace",
    "data-pool",
    "pool",
    "nowritecache",
    "comstar_tg",
    "comstar_hg",
    "lio_tpg",
    "zfs-base-path",
    "snapshot-as-volume-chain",
];

/// The definition of a type.
pub(super) fn of(name: &str) -> Kind {
    match name {
        "nfs" => kind(&["server", "export"], OF_FILES, FILES, IMAGES, true),
        "cifs" => kind(&["server", "share"], OF_FILES, FILES, IMAGES, true),
        "cephfs" => kind(
            &[],
            OF_FILES,
            &["vztmpl", "iso", "backup", "snippets", "import"],
            &["backup"],
            true,
        ),
        "glusterfs" => kind(&["volume"], OF_FILES, FILES, IMAGES, true),
        "btrfs" => kind(&["path"], OF_FILES, FILES, BOTH, false),
        "lvm" => kind(&["vgname"], OF_DISKS, DISKS, IMAGES, false),
        "lvmthin" => kind(&["thinpool", "vgname"], OF_DISKS, DISKS, BOTH, false),
        "zfspool" => kind(&["pool"], OF_DISKS, DISKS, BOTH, false),
        "rbd" => kind(&[], OF_DISKS, DISKS, IMAGES, true),
        "iscsi" => kind(&["portal", "target"], OF_DISKS, &["images", "none"], IMAGES, true),
        "iscsidirect" => kind(&["portal", "target"], OF_DISKS, &["images", "none"], IMAGES, true),
        "zfs" => kind(
            &["iscsiprovider", "pool", "portal", "target", "blocksize"],
            OF_DISKS,
            IMAGES,
            IMAGES,
            true,
        ),
        "pbs" => kind(
            &["server", "datastore", "username"],
            &[
                "password",
                "fingerprint",
                "namespace",
                "port",
                "encryption-key",
                "master-pubkey",
                "skip-cert-verification",
            ],
            &["backup", "none"],
            &["backup"],
            true,
        ),
        "esxi" => kind(
            &["server", "username", "password"],
            &["skip-cert-verification"],
            &["import"],
            &["import"],
            true,
        ),
        _ => kind(&["path"], OF_FILES, FILES, BOTH, false),
    }
}
