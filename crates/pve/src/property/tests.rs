#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;

#[test]
fn order_and_unknown_parts_are_kept() {
    let text = "local-lvm:vm-100-disk-0,mp=/opt/app,zzz=1,backup=0,size=1G";
    let parsed: PropertyString = text.parse().unwrap();
    assert_eq!(parsed.to_string(), text);
    assert_eq!(parsed.get("zzz"), Some("1"));
    let other: PropertyString =
        "size=1G,local-lvm:vm-100-disk-0,backup=0,zzz=1,mp=/opt/app".parse().unwrap();
    assert!(parsed != other && parsed.same_as(&other));
}

#[test]
fn blank_parts_are_skipped() {
    let parsed: PropertyString = " , a=1,, b=2 ,".parse().unwrap();
    assert_eq!(parsed.to_string(), "a=1,b=2");
}

#[test]
fn broken_texts_are_refused() {
    let error = |text: &str| text.parse::<PropertyString>().unwrap_err();
    assert_eq!(error("=x"), PropertyError::NoName("=x".into()));
    assert_eq!(error("a=1,a=2"), PropertyError::Duplicate("a".into()));
    assert_eq!(error("one,two"), PropertyError::TwoBare("one".into(), "two".into()));
    assert_eq!(error(&"a".repeat(MAX_LEN + 1)), PropertyError::TooLong(MAX_LEN + 1));
}

#[test]
fn values_cannot_smuggle_in_other_parts() {
    let mut string = PropertyString::new();
    for value in ["x,size=1T", "a\nb", " x"] {
        assert!(string.set("serial", value).is_err(), "{value}");
    }
    assert!(string.set("a=b", "x").is_err());
    assert!(string.set_bare("a=b").is_err());
    assert!(string.is_empty());
}

#[test]
fn nics_read_in_all_three_forms() {
    for text in [
        "virtio=BC:24:11:AF:DC:DE,bridge=vmbr0,tag=7",
        "model=virtio,macaddr=BC:24:11:AF:DC:DE,bridge=vmbr0,tag=7",
        "bridge=vmbr0,virtio,macaddr=BC:24:11:AF:DC:DE,tag=7",
    ] {
        let nic: Nic = text.parse().unwrap();
        assert_eq!(nic.model(), Some("virtio"), "{text}");
        assert_eq!(nic.mac(), Some("BC:24:11:AF:DC:DE"), "{text}");
        assert_eq!((nic.bridge(), nic.tag()), (Some("vmbr0"), Some(7)));
        let moved = nic.with_mac("00:00:00:00:00:01").unwrap();
        assert_eq!(moved.mac(), Some("00:00:00:00:00:01"), "{moved}");
        assert_eq!(moved.model(), Some("virtio"), "{moved}");
    }
    let dashed: Nic = "e1000-82540em=00:00:00:00:00:01".parse().unwrap();
    assert_eq!(dashed.model(), Some("e1000-82540em"));
    assert!("bridge=vmbr0".parse::<Nic>().is_err());
    assert!(Nic::new("foo").is_err());
    assert!(Nic::new("virtio").unwrap().with_mac("nope").is_err());
}

#[test]
fn disks_tell_volumes_from_drives() {
    let disk: Disk = "local:500/vm-500-cloudinit.qcow2,media=cdrom".parse().unwrap();
    assert!(disk.is_cdrom() && disk.is_cloudinit());
    assert_eq!(disk.storage(), Some("local"));
    let none = Disk::empty_cdrom();
    assert_eq!(none.to_string(), "none,media=cdrom");
    assert_eq!((none.volid(), none.size()), (None, None));
    let named: Disk = "file=local:1/a.raw,size=4G".parse().unwrap();
    assert_eq!(named.volid(), Some("local:1/a.raw"));
    assert_eq!(
        Disk::import("fast", "local:import/x.qcow2").unwrap().to_string(),
        "fast:0,import-from=local:import/x.qcow2"
    );
    assert!("size=1G".parse::<Disk>().is_err());
    assert!(Disk::allocate("a,b", 1).is_err());
}

#[test]
fn sizes_print_as_proxmox_prints_them() {
    for (text, bytes, printed) in [
        ("4G", 4 << 30, "4G"),
        ("528K", 528 << 10, "528K"),
        ("1.5G", 1536 << 20, "1536M"),
        ("2T", 2 << 40, "2T"),
        ("1000", 1000, "1000"),
        ("0", 0, "0"),
        ("1GiB", 1 << 30, "1G"),
    ] {
        let size: DiskSize = text.parse().unwrap();
        assert_eq!((size.bytes(), size.to_string().as_str()), (bytes, printed), "{text}");
    }
    for bad in
        ["", "G", "-1", "+1G", "1P", "1.G", ".5G", "99999999999999999999", "18446744073709551615T"]
    {
        assert!(bad.parse::<DiskSize>().is_err(), "{bad}");
    }
}

#[test]
fn smbios_texts_become_base64() {
    let mut smbios: Smbios1 = "uuid=u-1,manufacturer=Me".parse().unwrap();
    assert_eq!(smbios.text("manufacturer").as_deref(), Some("Me"));
    smbios.set_text("serial", "ds=nocloud,x").unwrap();
    assert_eq!(smbios.to_string(), "uuid=u-1,manufacturer=TWU=,base64=1,serial=ZHM9bm9jbG91ZCx4");
    assert_eq!(smbios.text("manufacturer").as_deref(), Some("Me"));
    assert_eq!(smbios.uuid(), Some("u-1"));
    assert!(smbios.set_text("uuid", "x").is_err());
}

#[test]
fn short_formats() {
    assert!("1".parse::<Agent>().unwrap().is_enabled());
    assert!("enabled=1,type=isa".parse::<Agent>().unwrap().is_enabled());
    assert!(!"0".parse::<Agent>().unwrap().is_enabled());
    assert_eq!(Agent::enabled(true).to_string(), "enabled=1");
    assert!("gw=10.0.0.1".parse::<IpConfig>().is_err());
    let ip = IpConfig::v4("10.0.0.5/24", Some("10.0.0.1")).unwrap();
    assert_eq!(ip.to_string(), "ip=10.0.0.5/24,gw=10.0.0.1");
    let boot: Boot = "order=scsi0;net0".parse().unwrap();
    assert_eq!(boot.devices().collect::<Vec<_>>(), ["scsi0", "net0"]);
    assert_eq!(" ".parse::<Boot>().unwrap().devices().count(), 0);
    assert_eq!("cdn".parse::<Boot>().unwrap().legacy(), Some("cdn"));
    assert_eq!("2,up=30".parse::<Startup>().unwrap().order(), Some(2));
    assert_eq!("qxl,memory=32".parse::<Vga>().unwrap().memory(), Some(32));
    assert!("socket".parse::<Serial>().unwrap().is_socket());
}

proptest! {
    #[test]
    fn what_prints_reads_back(
        bare in proptest::option::of("[a-z]{1,8}:[a-zA-Z0-9/._-]{1,20}"),
        parts in proptest::collection::btree_map("[a-z0-9_-]{1,12}", "[^,\\r\\n]{0,20}", 0..8),
    ) {
        let mut string = PropertyString::new();
        if let Some(bare) = bare {
            string.set_bare(bare).unwrap();
        }
        for (name, value) in parts {
            string.set(&name, value.trim()).unwrap();
        }
        let again: PropertyString = string.to_string().parse().unwrap();
        prop_assert_eq!(&again, &string);
        prop_assert!(again.same_as(&string));
    }

    #[test]
    fn any_text_reads_or_is_refused_and_stays_stable(text in "\\PC{0,60}") {
        if let Ok(string) = text.parse::<PropertyString>() {
            let printed = string.to_string();
            prop_assert_eq!(printed.parse::<PropertyString>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn sizes_read_back(bytes in any::<u64>()) {
        let size = DiskSize::from_bytes(bytes);
        prop_assert_eq!(size.to_string().parse::<DiskSize>().unwrap(), size);
    }

    #[test]
    fn smbios_carries_any_text(text in any::<String>()) {
        let mut smbios = Smbios1::with_uuid("u").unwrap();
        smbios.set_text("serial", &text).unwrap();
        let again: Smbios1 = smbios.to_string().parse().unwrap();
        prop_assert_eq!(again.text("serial"), Some(text));
    }
}
