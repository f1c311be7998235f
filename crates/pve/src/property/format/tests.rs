#![allow(clippy::unwrap_used)]

use regex::Regex;

use super::{Format, KeyKind};
use crate::Release;
use crate::property::{PropertyError, PropertyString};

fn string(text: &str) -> PropertyString {
    text.parse().unwrap()
}

#[track_caller]
fn fault(format: &str, text: &str, release: Release) -> String {
    Format::named(format).unwrap().check(&string(text), release).unwrap_err().to_string()
}

#[test]
fn the_table_is_sound() {
    assert_eq!(Format::all().len(), 60);
    for format in Format::all() {
        let name = format.name();
        assert!(format.keys().iter().filter(|key| key.is_default()).count() <= 1, "{name}");
        for key in format.keys() {
            let named = [key.alias(), key.key_alias(), key.requires()];
            for target in named.into_iter().flatten() {
                assert!(format.key(target).is_some(), "{name}.{}: {target}", key.name());
            }
            if let KeyKind::Text { pattern: Some(pattern), .. } = key.kind() {
                let compiled = Regex::new(&format!("^(?:{pattern})$"));
                assert!(compiled.is_ok(), "{name}.{}: {compiled:?}", key.name());
            }
        }
    }
}

#[test]
fn options_find_their_formats_with_and_without_a_number() {
    let name = |group: &str, option: &str| Format::of(group, option).map(Format::name);
    assert_eq!(name("qemu", "scsi12"), Some("qemu/scsi"));
    assert_eq!(name("qemu", "rng0"), Some("qemu/rng0"));
    assert_eq!(name("lxc", "mp255"), Some("lxc/mp"));
    assert_eq!(name("lxc", "rootfs"), Some("lxc/rootfs"));
    assert_eq!(name("qemu", "cores"), None);
}

#[test]
fn faults_name_the_key_and_what_was_expected() {
    let v9 = Release::V9_2;
    assert_eq!(
        fault("qemu/net", "virtio,brigde=vmbr0", v9),
        "qemu/net has no key 'brigde', did you mean 'bridge'?"
    );
    assert_eq!(
        fault("qemu/net", "virtio,tag=4095", v9),
        "tag: '4095' is not a whole number from 1 to 4094"
    );
    assert_eq!(fault("qemu/net", "bridge=vmbr0", v9), "model is missing");
    assert_eq!(fault("qemu/ipconfig", "gw=10.0.0.1", v9), "gw needs ip");
    assert_eq!(fault("qemu/scsi", "local:1,ssd=maybe", v9), "ssd: 'maybe' is not 1 or 0");
    assert_eq!(
        fault("qemu/tpmstate0", "local:1,version=v3", v9),
        "version: 'v3' is not one of v1.2, v2.0"
    );
    assert_eq!(fault("lxc/net", "name=eth0,hwaddr=zz", v9), "hwaddr: 'zz' is not a mac-addr");
}

#[test]
fn each_release_has_its_keys() {
    let disk = string("local:1/a.raw,cyls=7");
    let scsi = Format::named("qemu/scsi").unwrap();
    assert_eq!(scsi.check(&disk, Release::V8_4), Ok(()));
    let expected = PropertyError::Release { key: "cyls".into(), release: Release::V9_2 };
    assert_eq!(scsi.check(&disk, Release::V9_2), Err(expected));
    assert_eq!(
        fault("qemu/efidisk0", "local:1,efitype=4m", Release::V6_4),
        "release 6.4 has no key 'efitype'"
    );
    // A release in between counts as the last one of its major number.
    assert_eq!(scsi.check(&string("local:1,ro=1"), Release::new(7, 2)), Ok(()));
    assert!(!Format::named("qemu/virtiofs").unwrap().is_in(Release::V7_4));
}

#[test]
fn aliases_are_the_same_key() {
    let net = Format::named("qemu/net").unwrap();
    let twice = string("virtio=BC:24:11:00:00:01,macaddr=BC:24:11:00:00:02");
    assert_eq!(net.normalise(&twice), Err(PropertyError::Duplicate("macaddr".into())));
    let twice = string("virtio,model=e1000");
    assert_eq!(net.normalise(&twice), Err(PropertyError::Duplicate("model".into())));
    let disk = Format::named("qemu/scsi").unwrap();
    assert_eq!(
        disk.get(&string("volume=local:1/a,bps_rd_length=3"), "bps_rd_max_length"),
        Some("3")
    );
    let nameless = Format::named("qemu/audio0").unwrap().normalise(&string("AC97"));
    assert!(matches!(nameless, Err(PropertyError::NoDefault { .. })));
    // Only the newest release knows what this is an alias of.
    let agent = Format::named("qemu/agent").unwrap();
    assert_eq!(agent.print(&string("freeze-fs-on-backup=0,1")), "1,freeze-fs-on-backup=0");
}

#[test]
fn strings_print_as_proxmox_prints_them() {
    for (format, text, printed) in [
        (
            "lxc/mp",
            "size=1024M,replicate=no,quota=on,mp=/opt/app,backup=0,volume=local-lvm:vm-100-disk-0",
            "local-lvm:vm-100-disk-0,mp=/opt/app,backup=0,quota=1,replicate=0,size=1G",
        ),
        (
            "qemu/net",
            "tag=7,macaddr=BC:24:11:AF:DC:DE,bridge=vmbr0,model=virtio,firewall=yes",
            "virtio=BC:24:11:AF:DC:DE,bridge=vmbr0,firewall=1,tag=7",
        ),
        ("qemu/net", "bridge=vmbr0,model=e1000", "e1000,bridge=vmbr0"),
        (
            "qemu/efidisk0",
            "size=540672,efitype=4m,file=local:500/vm-500-disk-1.qcow2",
            "local:500/vm-500-disk-1.qcow2,efitype=4m,size=528K",
        ),
        (
            "lxc/net",
            "type=veth,ip=dhcp,bridge=vmbr0,name=eth0",
            "name=eth0,bridge=vmbr0,ip=dhcp,type=veth",
        ),
        (
            "qemu/scsi",
            "zzz=1,local:1/a.raw,new=x,size=1.5G",
            "local:1/a.raw,new=x,size=1536M,zzz=1",
        ),
    ] {
        let found = Format::named(format).unwrap();
        assert_eq!(found.print(&string(text)), printed, "{text}");
        assert_eq!(found.print(&string(printed)), printed, "{printed}");
    }
}
