//! What a server could write, as bytes from a fuzzer: nothing panics, and what
//! can be read goes there and back.
//!
//! Each target runs for a second, or for `INNKEEPER_FUZZ_SECONDS`. A failure
//! prints its seed (`BOLERO_RANDOM_SEED=…` repeats it).

use std::collections::BTreeMap;
use std::time::Duration;

use pve::Release;
use pve::property::{Format, Key, PropertyString, Tags, VolumeId, decode_ssh_keys};
use pve::{Upid, VmId};

use crate::property::VIEWS;

/// The longest input, in bytes; each stands for a word or a character.
const LONGEST: usize = 24;

fn duration() -> Duration {
    let seconds = std::env::var("INNKEEPER_FUZZ_SECONDS");
    let seconds = seconds.map(|text| text.parse().expect("INNKEEPER_FUZZ_SECONDS in seconds"));
    Duration::from_secs(seconds.unwrap_or(1))
}

/// Runs `target` with many inputs.
macro_rules! fuzz {
    ($target:expr) => {{
        let check = bolero::check!().with_test_time(duration()).with_max_len(LONGEST);
        let target: fn(&[u8]) = $target;
        check.for_each(target);
    }};
}

/// Words that a reader knows for most bytes, characters for the others: pure
/// noise would only ever be refused where it begins.
fn words(bytes: &[u8], known: &[&str]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            // Blanks and line ends beyond ASCII are among these.
            0..32 => text.push(char::from(byte.wrapping_mul(8) | (byte >> 2))),
            _ => text.push_str(known[usize::from(*byte) % known.len()]),
        }
    }
    text
}

/// Values and marks of property strings.
const PROPERTY: [&str; 40] = [
    ",",
    "=",
    ";",
    ":",
    ",",
    "=",
    " ",
    "\n",
    "\"",
    "%20",
    "0",
    "1",
    "on",
    "No",
    "-1",
    "4094",
    "1.5",
    "1e9",
    "32G",
    "1.5G",
    "540672",
    "99999999999999999999T",
    "none",
    "cdrom",
    "/dev/sdb",
    "local:1",
    "local:100/vm-100-disk-0.qcow2",
    "local:cloudinit",
    "local-lvm:base-9/vm-100-disk-0",
    "virtio",
    "e1000=BC:24:11:00:00:01",
    "BC:24:11:00:00:02",
    "10.0.0.1/24",
    "fd00::1",
    "dhcp",
    "host",
    "+aes;-pcid",
    "enabled=1",
    "new-in-pve-10=x",
    "é",
];

/// Keys, each at most once, with some value each.
fn pairs(bytes: &[u8], keys: &[&str]) -> String {
    let pairs = bytes.as_chunks::<2>().0.iter();
    let pairs = pairs.map(|[key, value]| {
        (keys[usize::from(*key) % keys.len()], words(&[*value], &PROPERTY[8..]))
    });
    // Sorted, which is not how Proxmox prints them.
    let pairs: BTreeMap<&str, String> = pairs.collect();
    let parts = pairs.iter().map(|(key, value)| format!("{key}={value}"));
    parts.collect::<Vec<_>>().join(",")
}

#[test]
fn any_property_string_is_read_and_printed_or_refused() {
    fuzz!(|bytes| {
        let Some((first, rest)) = bytes.split_first() else { return };
        let (name, view) = VIEWS[usize::from(*first / 4) % VIEWS.len()];
        let format = Format::named(name).unwrap();
        let keys: Vec<&str> = format.keys().iter().map(Key::name).collect();
        let known: Vec<&str> = PROPERTY.into_iter().chain(keys.iter().copied()).collect();
        let text = match first.is_multiple_of(4) {
            true => words(rest, &known),
            false => pairs(rest, &keys),
        };
        let Ok(string) = text.parse::<PropertyString>() else {
            assert!(view(&text).is_err(), "{name} reads what is no property string: {text:?}");
            return;
        };
        let printed = string.to_string();
        assert_eq!(printed.parse(), Ok(string.clone()), "{text:?} printed as {printed:?}");
        for release in [Release::V7_4, Release::V8_4, Release::V9_2] {
            let _ = format.check(&string, release);
        }
        let Ok(viewed) = view(&text) else { return };
        assert_eq!(view(&viewed).as_ref(), Ok(&viewed), "{name}: {text:?}");
        // A disk's view reads it, too, and calls its volume `file`.
        if name == "lxc/unused" {
            return;
        }
        let again: PropertyString = viewed.parse().unwrap();
        for key in format.keys().iter().filter(|key| key.alias().is_none()) {
            let there = |string| format.get(string, key.name()).is_some();
            assert_eq!(there(&again), there(&string), "{name}.{}: {text:?}", key.name());
        }
    });
}

const UPID: [&str; 24] = [
    "UPID:",
    "UPID:pve1:0000314F:000AB8AD:6B007E7F:qmdestroy:505:root@pam:",
    ":",
    ":",
    "pve1",
    "pve-2.x",
    "0000314F",
    "0000314f",
    "ffffffff",
    "1000ABDA6",
    "00000000",
    "+0000001",
    "6B007E7F",
    "qmclone",
    "imgdel",
    "505",
    "102@local",
    "root@pam",
    "root@pam!full",
    "!",
    "@",
    "é",
    "",
    "\n",
];

#[test]
fn any_task_id_is_read_and_printed_or_refused() {
    fuzz!(|bytes| {
        // The frame of an id around what may be its fields, every other time.
        let framed = bytes.first().is_some_and(|byte| byte.is_multiple_of(2));
        let text = match framed {
            true => {
                let mut parts = bytes.split(|byte| *byte == 2).map(|part| words(part, &UPID[4..]));
                let mut next = |usual: &str| {
                    parts.next().filter(|part| !part.is_empty()).unwrap_or(usual.into())
                };
                let (_, node, pid) = (next(""), next("pve1"), next("0000314F"));
                let (start, time) = (next("000AB8AD"), next("6B007E7F"));
                let (kind, id, owner) = (next("qmclone"), next(""), next("root@pam"));
                format!("UPID:{node}:{pid}:{start}:{time}:{kind}:{id}:{owner}:")
            }
            false => words(bytes, &UPID),
        };
        let Ok(upid) = text.parse::<Upid>() else { return };
        assert_eq!(upid.to_string(), with_upper_numbers(&text));
        assert_eq!(upid.to_string().parse(), Ok(upid.clone()), "{text:?}");
        assert!(upid.user().len() <= text.len() && !upid.node().is_empty());
        if let Some(vmid) = upid.vmid() {
            assert!((VmId::MIN..=VmId::MAX).contains(&vmid));
        }
    });
}

/// The same id with its three numbers as Proxmox spells them.
fn with_upper_numbers(id: &str) -> String {
    let parts = id.split(':').enumerate();
    let parts = parts.map(|(index, part)| match index {
        2..=4 => part.to_ascii_uppercase(),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join(":")
}

const VOLUME: [&str; 24] = [
    "local",
    "local-lvm",
    ":",
    "/",
    "-",
    ".",
    "100",
    "9000",
    "99",
    "4294967296",
    "vm-",
    "base-",
    "subvol-",
    "disk-",
    "cloudinit",
    "state-",
    "qcow2",
    "iso/",
    "vztmpl/",
    "import/",
    "snippets/",
    "backup/",
    "vzdump-qemu-100-2026_11_20-17_10_32.vma.zst",
    "vm/100/2026-11-20T17:10:32Z",
];

#[test]
fn any_volume_id_is_read_and_printed_or_refused() {
    fuzz!(|bytes| {
        let name = words(bytes, &VOLUME);
        for text in [format!("local:{name}"), name] {
            let Ok(id) = text.parse::<VolumeId>() else { continue };
            assert_eq!(id.to_string(), text);
            assert_eq!(format!("{}:{}", id.storage(), id.name()), text);
            if let pve::property::VolumeKind::Guest(volume) = id.kind() {
                assert!(id.name().ends_with(&volume.name), "{text:?}: {volume:?}");
                assert_eq!(id.owner(), Some(volume.owner));
                let _ = (volume.number(), volume.format());
            }
        }
    });
}

#[test]
fn any_tags_and_keys_go_there_and_back() {
    fuzz!(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let tags: Tags = text.parse().unwrap();
        assert_eq!(tags.to_string().parse(), Ok(tags.clone()), "{text:?}");
        let keys = decode_ssh_keys(&text);
        assert_eq!(decode_ssh_keys(&pve::property::encode_ssh_keys(&keys)), keys);
    });
}
