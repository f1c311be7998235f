//! Volume ids, tags and SSH keys.

use pve::VmId;
use pve::property::{Tags, VolumeId, VolumeKind, decode_ssh_keys, encode_ssh_keys};

fn id(text: &str) -> VolumeId {
    let id: VolumeId = text.parse().unwrap();
    assert_eq!(id.to_string(), text);
    id
}

/// Owner, base, is it a template's, is it cloud-init's, ending.
type Parts = (u32, Option<String>, bool, bool, Option<String>);

fn parts(text: &str) -> Parts {
    let VolumeKind::Guest(volume) = id(text).kind() else { panic!("{text}") };
    let format = volume.format().map(str::to_owned);
    (volume.owner.get(), volume.base.clone(), volume.is_base, volume.is_cloudinit, format)
}

#[test]
fn volumes_of_guests_on_folders_and_block_storages() {
    let plain =
        |owner, format: Option<&str>| (owner, None, false, false, format.map(str::to_owned));
    assert_eq!(parts("local:100/vm-100-disk-0.qcow2"), plain(100, Some("qcow2")));
    assert_eq!(parts("local-lvm:vm-100-disk-0"), plain(100, None));
    assert_eq!(parts("zfs:subvol-101-disk-0"), plain(101, None));
    assert_eq!(parts("local:101/subvol-101-disk-0.subvol"), plain(101, Some("subvol")));
    assert_eq!(parts("local:100/anything.raw"), plain(100, Some("raw")));
    let (owner, base, is_base, ..) = parts("local:9000/base-9000-disk-0.qcow2");
    assert_eq!((owner, base, is_base), (9000, None, true));
    let (owner, base, is_base, ..) = parts("rbd:base-9000-disk-0/vm-505-disk-1");
    assert_eq!((owner, base.as_deref(), is_base), (505, Some("base-9000-disk-0"), false));
    let (owner, base, ..) = parts("local:9000/base-9000-disk-0.qcow2/505/vm-505-disk-0.qcow2");
    assert_eq!((owner, base.as_deref()), (505, Some("9000/base-9000-disk-0.qcow2")));
    assert!(parts("local:500/vm-500-cloudinit.qcow2").3 && parts("lvm:vm-500-cloudinit").3);
    let VolumeKind::Guest(volume) = id("lvm:vm-500-disk-12").kind() else { panic!() };
    assert_eq!(volume.number(), Some(12));
}

#[test]
fn volumes_of_no_guest() {
    assert_eq!(id("local:iso/a.iso").kind(), VolumeKind::Iso("a.iso".into()));
    assert_eq!(id("local:vztmpl/d.tar.zst").kind(), VolumeKind::Template("d.tar.zst".into()));
    assert_eq!(id("local:import/x.qcow2").kind(), VolumeKind::Import("x.qcow2".into()));
    assert_eq!(id("local:snippets/u.yaml").kind(), VolumeKind::Snippet("u.yaml".into()));
    assert_eq!(id("local:whatever").kind(), VolumeKind::Other("whatever".into()));
    let backup = |text: &str| match id(text).kind() {
        VolumeKind::Backup { guest, vmid, .. } => (guest, vmid.map(VmId::get)),
        other => panic!("{other:?}"),
    };
    let lxc = "local:backup/vzdump-lxc-510-2026_11_20-17_12_10.tar.gz";
    assert_eq!(backup(lxc), (Some("lxc".into()), Some(510)));
    assert_eq!(id(lxc).owner(), VmId::new(510));
    assert_eq!(backup("pbs:backup/vm/100/2026-11-20T17:10:32Z"), (Some("qemu".into()), Some(100)));
    assert_eq!(backup("local:backup/renamed.vma.zst"), (None, None));
}

#[test]
fn what_is_no_volume_id_is_refused() {
    for text in ["", "local", ":x", "local:", "lo cal:x", "1a:x", "local:a,b", "local:a\nb", "none"]
    {
        assert!(text.parse::<VolumeId>().is_err(), "{text:?}");
    }
    assert!(format!("a:{}", "b".repeat(5000)).parse::<VolumeId>().is_err());
}

#[test]
fn tags_are_a_set_and_ssh_keys_are_encoded_twice() {
    let tags: Tags = "b a,,c;a".parse().unwrap();
    assert_eq!((tags.to_string().as_str(), tags.has("c"), tags.has("")), ("a;b;c", true, false));
    let keys = "ssh-ed25519 AA+A me\nssh-rsa B== ü";
    let encoded = encode_ssh_keys(keys);
    assert!(!encoded.contains(['+', ' ', '\n', '=']), "{encoded}");
    assert_eq!(decode_ssh_keys(&encoded), keys);
    assert_eq!(decode_ssh_keys("ssh-ed25519%20A%0A"), "ssh-ed25519 A");
}
