//! The formats of a guest's options.

use super::{Verdict, disk_rank, each, indexed_limit, perl, require};
use crate::schema::split_index;

/// Families of Proxmox's built-in types of processors; their versions differ by release.
const FAMILIES: &[&str] = &[
    "host",
    "max",
    "kvm32",
    "kvm64",
    "qemu32",
    "qemu64",
    "x86-64-v",
    "486",
    "pentium",
    "athlon",
    "core2duo",
    "coreduo",
    "phenom",
    "Conroe",
    "Penryn",
    "Nehalem",
    "Westmere",
    "SandyBridge",
    "IvyBridge",
    "Haswell",
    "Broadwell",
    "Skylake",
    "Cascadelake",
    "Cooperlake",
    "Icelake",
    "KnightsMill",
    "SapphireRapids",
    "GraniteRapids",
    "SierraForest",
    "ClearwaterForest",
    "Opteron_G",
    "EPYC",
];

/// Checks options of guests.
pub(super) fn check(format: &str, text: &str) -> Verdict {
    Some(match format {
        "disk-size" => {
            require(perl("\\d+(\\.\\d+)?[KMGT]?").is_some_and(|size| size.is_match(text)), || {
                "value does not look like a valid disk size".into()
            })
        }
        "pve-qm-boot-order" => each(text, boot_device),
        "pve-qm-bootdisk" => {
            require(disk_rank(text).is_some(), || format!("invalid boot disk '{text}'"))
        }
        "pve-vm-cpu-conf" => cpu(text),
        "pve-phys-bits" => {
            let fits = text.parse::<u8>().is_ok_and(|bits| (8..=64).contains(&bits));
            require(fits || text == "host", || {
                "value must be an integer between 8 and 64 or 'host'".into()
            })
        }
        "pve-hotplug-features" if matches!(text, "0" | "1") => Ok(()),
        "pve-hotplug-features" => each(text, |feature| {
            let known = ["network", "disk", "cpu", "memory", "usb", "cloudinit"];
            require(known.contains(&feature), || format!("invalid hotplug feature '{feature}'"))
        }),
        "pve-startup-order" => startup(text),
        _ => return None,
    })
}

fn boot_device(device: &str) -> Result<(), String> {
    let known = split_index(device).is_some_and(|(stem, index)| {
        ["ide", "sata", "scsi", "virtio", "net", "usb", "hostpci"].contains(&stem)
            && index < indexed_limit(stem)
    });
    require(known, || format!("invalid boot device '{device}'"))
}

/// `order=1,up=30,down=60`; the order may stand without its name.
fn startup(text: &str) -> Result<(), String> {
    let part = perl("(?:order=)?\\d+|up=\\d+|down=\\d+");
    let known = |text: &str| part.as_ref().is_some_and(|part| part.is_match(text));
    require(text.split(',').filter(|part| !part.is_empty()).all(known), || {
        "unable to parse startup options".into()
    })
}

fn cpu(text: &str) -> Result<(), String> {
    let kind = text.split(',').find_map(|part| match part.split_once('=') {
        None => Some(part),
        Some(("cputype", kind)) => Some(kind),
        Some(_) => None,
    });
    let Some(kind) = kind.filter(|kind| !kind.starts_with("custom-")) else { return Ok(()) };
    let known = FAMILIES.iter().any(|family| kind.starts_with(family));
    require(known, || {
        format!("Built-in cputype '{kind}' is not defined (missing 'custom-' prefix?)")
    })
}
