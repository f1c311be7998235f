//! Property strings of all formats: what servers wrote, and what could be
//! written.

use std::str::FromStr;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use pve::Release;
use pve::property::{self as p, Format, Key, KeyKind, PropertyError, PropertyString};

const RELEASES: [Release; 4] = [Release::V6_4, Release::V7_4, Release::V8_4, Release::V9_2];
/// Per format and release.
const CASES: usize = 6;

pub type Reader = fn(&str) -> Result<String, PropertyError>;

fn reader<T: FromStr<Err = PropertyError> + ToString>(text: &str) -> Result<String, PropertyError> {
    text.parse::<T>().map(|value| value.to_string())
}

/// The typed view of each format.
pub const VIEWS: [(&str, Reader); 60] = [
    ("access/tfa", reader::<p::DomainTfa>),
    ("backup/fleecing", reader::<p::Fleecing>),
    ("backup/performance", reader::<p::Performance>),
    ("backup/prune-backups", reader::<p::PruneBackups>),
    ("cluster/bwlimit", reader::<p::BandwidthLimits>),
    ("cluster/crs", reader::<p::Crs>),
    ("cluster/ha", reader::<p::HaSettings>),
    ("cluster/location", reader::<p::Location>),
    ("cluster/migration", reader::<p::Migration>),
    ("cluster/next-id", reader::<p::NextId>),
    ("cluster/notify", reader::<p::Notify>),
    ("cluster/replication", reader::<p::ReplicationSettings>),
    ("cluster/tag-style", reader::<p::TagStyle>),
    ("cluster/u2f", reader::<p::U2f>),
    ("cluster/user-tag-access", reader::<p::UserTagAccess>),
    ("cluster/webauthn", reader::<p::WebAuthn>),
    ("lxc/dev", reader::<p::Device>),
    ("lxc/features", reader::<p::Features>),
    ("lxc/mp", reader::<p::MountPoint>),
    ("lxc/net", reader::<p::LxcNic>),
    ("lxc/rootfs", reader::<p::Rootfs>),
    ("lxc/startup", reader::<p::Startup>),
    ("lxc/unused", reader::<p::Disk>),
    ("node/acme", reader::<p::Acme>),
    ("node/acmedomain", reader::<p::AcmeDomain>),
    ("node/location", reader::<p::Location>),
    ("node/wakeonlan", reader::<p::WakeOnLan>),
    ("qemu/agent", reader::<p::Agent>),
    ("qemu/amd-sev", reader::<p::AmdSev>),
    ("qemu/audio0", reader::<p::Audio>),
    ("qemu/boot", reader::<p::Boot>),
    ("qemu/cicustom", reader::<p::CiCustom>),
    ("qemu/cpu", reader::<p::Cpu>),
    ("qemu/efidisk0", reader::<p::EfiDisk>),
    ("qemu/hostpci", reader::<p::HostPci>),
    ("qemu/ide", reader::<p::Disk>),
    ("qemu/intel-tdx", reader::<p::IntelTdx>),
    ("qemu/ipconfig", reader::<p::IpConfig>),
    ("qemu/ivshmem", reader::<p::Ivshmem>),
    ("qemu/machine", reader::<p::Machine>),
    ("qemu/memory", reader::<p::Memory>),
    ("qemu/meta", reader::<p::Meta>),
    ("qemu/net", reader::<p::Nic>),
    ("qemu/numa", reader::<p::Numa>),
    ("qemu/parallel", reader::<p::Parallel>),
    ("qemu/rng0", reader::<p::Rng>),
    ("qemu/sata", reader::<p::Disk>),
    ("qemu/scsi", reader::<p::Disk>),
    ("qemu/serial", reader::<p::Serial>),
    ("qemu/smbios1", reader::<p::Smbios1>),
    ("qemu/spice_enhancements", reader::<p::SpiceEnhancements>),
    ("qemu/startup", reader::<p::Startup>),
    ("qemu/tpmstate0", reader::<p::TpmState>),
    ("qemu/unused", reader::<p::Disk>),
    ("qemu/usb", reader::<p::Usb>),
    ("qemu/vga", reader::<p::Vga>),
    ("qemu/virtio", reader::<p::Disk>),
    ("qemu/virtiofs", reader::<p::VirtioFs>),
    ("qemu/watchdog", reader::<p::Watchdog>),
    ("storage/bwlimit", reader::<p::BandwidthLimits>),
];

fn view(format: &str) -> Reader {
    VIEWS.iter().find(|(name, _)| *name == format).unwrap().1
}

#[test]
fn every_format_has_a_typed_view() {
    let formats: Vec<&str> = Format::all().iter().map(Format::name).collect();
    let views: Vec<&str> = VIEWS.iter().map(|(name, _)| *name).collect();
    // `node/location` and `cluster/location` are the same format, and so on.
    assert_eq!(formats, views);
}

#[test]
fn what_servers_wrote_reads_and_prints_as_they_wrote_it() {
    let corpus = include_str!("../data/property-strings.txt");
    let rows = corpus.lines().filter(|line| !line.starts_with('#'));
    let mut count = 0;
    for (format, text) in rows.map(|row| row.split_once('\t').unwrap()) {
        let printed = view(format)(text).unwrap();
        assert_eq!(printed, text.trim(), "{format}");
        let found = Format::named(format).unwrap();
        let string: PropertyString = text.parse().unwrap();
        found.check(&string, Release::V9_2).unwrap();
        if found.is_reprinted() {
            // In any other order it is printed in this one.
            let mut parts: Vec<&str> = text.split(',').collect();
            parts.reverse();
            assert_eq!(view(format)(&parts.join(",")).unwrap(), text, "{format}");
        }
        count += 1;
    }
    assert!(count >= 40, "{count}");
}

/// A value that the key accepts.
fn value(key: &Key) -> BoxedStrategy<String> {
    match key.kind() {
        KeyKind::Boolean => {
            prop::sample::select(vec!["0", "1", "on", "off", "yes", "No", "TRUE", "false"])
                .prop_map(str::to_owned)
                .boxed()
        }
        KeyKind::Integer { minimum, maximum } => {
            let low = minimum.unwrap_or(-5);
            let high = maximum.unwrap_or(low.saturating_add(100_000));
            (low..=high).prop_map(|number| number.to_string()).boxed()
        }
        KeyKind::Number { minimum, maximum } => {
            let low = minimum.unwrap_or(-10.0);
            let high = maximum.unwrap_or(low + 1000.0);
            (low..=high).prop_map(move |number| format!("{:.1}", number.clamp(low, high))).boxed()
        }
        KeyKind::Enum(words) => prop::sample::select(words.clone()).boxed(),
        KeyKind::Text { pattern: Some(pattern), max_length, .. } => {
            let limit = max_length.unwrap_or(200);
            prop::string::string_regex(pattern)
                .unwrap()
                .prop_filter("fits", move |text| is_a_value(text) && text.len() <= limit)
                .boxed()
        }
        KeyKind::Text { format: Some(format), .. } => {
            prop::string::string_regex(sample(format)).unwrap().boxed()
        }
        KeyKind::Text { max_length, .. } => {
            let limit = max_length.unwrap_or(30);
            prop::string::string_regex(&format!("[a-z][ -+.-~ä]{{0,{}}}", limit.min(30) - 1))
                .unwrap()
                .prop_filter("fits", |text| is_a_value(text))
                .boxed()
        }
        _ => unreachable!("a new kind of key"),
    }
}

fn is_a_value(text: &str) -> bool {
    !text.contains([',', '\n', '\r']) && text.trim() == text
}

/// What texts of a named kind look like.
fn sample(format: &str) -> &'static str {
    match format {
        "disk-size" => "[1-9][0-9]{0,3}(\\.[0-9])?[KMGT]",
        "mac-addr" => "[0-9A-F][02468ACE](:[0-9A-F]{2}){5}",
        "ipv4" => "10\\.1[0-9]{0,2}\\.0\\.[1-9]",
        "ipv6" => "fd00::[1-9a-f]{1,4}",
        "CIDR" => "10\\.0\\.0\\.0/(8|16|24)",
        "pve-ipv4-config" => "dhcp|manual|10\\.0\\.0\\.[1-9]/24",
        "pve-ipv6-config" => "auto|dhcp|manual|fd00::[1-9a-f]/64",
        "pve-volume-id" | "pve-volume-id-or-absolute-path" | "pve-lxc-mp-string" => {
            "[a-z][a-z0-9-]{1,8}:[0-9]{3}/vm-[0-9]{3}-disk-[0-9]\\.(raw|qcow2)"
        }
        "pve-volume-id-or-qm-path" => {
            "none|cdrom|/dev/sd[a-z]|[a-z]{3,8}:([1-9]|vm-[0-9]{3}-disk-0)"
        }
        "pve-lxc-dev-string" => "/dev/[a-z]{3,8}[0-9]",
        "urlencoded" => "[A-Za-z0-9._-]{1,10}(%20[a-z]{1,5})?",
        _ => "[a-z][a-z0-9-]{1,12}[a-z0-9]",
    }
}

/// Names and values that this release accepts, each key under any of its names,
/// in any order.
fn string_of(format: &'static Format, release: Release) -> BoxedStrategy<String> {
    let usable = |key: &&Key| key.is_in(release) && key.alias().is_none();
    let keys: Vec<&'static Key> = format.keys().iter().filter(usable).collect();
    let parts: Vec<_> = keys
        .iter()
        .map(|key| {
            let present = match key.is_required() {
                true => Just(true).boxed(),
                false => any::<bool>().boxed(),
            };
            (Just(key.name()), value(key), present, any::<u8>())
        })
        .collect();
    let chosen = parts.prop_map(move |parts| {
        let there = parts.iter().filter(|part| part.2);
        let names: Vec<&str> = there.clone().map(|part| part.0).collect();
        let allowed = |name: &str| {
            let needed = format.key(name).and_then(Key::requires);
            needed.is_none_or(|needed| names.contains(&needed))
        };
        let written = there.filter(|part| allowed(part.0));
        written.map(|(name, value, _, dice)| spelt(format, release, name, value, *dice)).collect()
    });
    let chosen = chosen.prop_flat_map(|parts: Vec<String>| Just(parts).prop_shuffle());
    chosen.prop_map(|parts| parts.join(",")).boxed()
}

fn spelt(format: &Format, release: Release, name: &str, value: &str, dice: u8) -> String {
    let is_default = format.default_key().is_some_and(|key| key.name() == name);
    if is_default && dice.is_multiple_of(2) && !value.contains('=') && !value.is_empty() {
        return value.to_owned();
    }
    let alias =
        |key: &&Key| key.alias() == Some(name) && key.key_alias().is_none() && key.is_in(release);
    let alias = format.keys().iter().find(alias).filter(|_| dice.is_multiple_of(3));
    format!("{}={value}", alias.map_or(name, Key::name))
}

/// Default key first, then the required ones, then the rest, each sorted.
fn assert_order(format: &Format, printed: &PropertyString) {
    let rank = |name: Option<&str>| match name {
        None => (0, ""),
        Some(name) => match format.key(name) {
            Some(key) if key.key_alias().is_some() || key.is_default() => (0, ""),
            Some(key) if key.is_required() => (1, key.name()),
            Some(key) => (2, key.name()),
            None => (2, "unknown"),
        },
    };
    let ranks: Vec<(u8, &str)> = printed.iter().map(|(name, _)| rank(name)).collect();
    assert!(ranks.is_sorted(), "{}: {printed}", format.name());
}

#[test]
fn every_format_of_every_release_goes_there_and_back() {
    let mut runner = TestRunner::deterministic();
    let mut count = 0;
    for (format, release) in
        Format::all().iter().flat_map(|format| RELEASES.map(|release| (format, release)))
    {
        if !format.is_in(release) {
            continue;
        }
        let strings = string_of(format, release);
        for _ in 0..CASES {
            let text = strings.new_tree(&mut runner).unwrap().current();
            let string: PropertyString = text.parse().unwrap();
            let what = format!("{} of {release}: {text}", format.name());
            if let Err(fault) = format.check(&string, release) {
                panic!("{what}: {fault}");
            }
            assert_eq!(string.to_string(), text, "{what}");
            let normal = format.normalise(&string).unwrap();
            assert_order(format, &normal);
            format.check(&normal, release).unwrap();
            let again: PropertyString = normal.to_string().parse().unwrap();
            assert_eq!(format.normalise(&again).unwrap(), normal, "{what}");
            let viewed = view(format.name())(&text).unwrap();
            let expected = if format.is_reprinted() { normal.to_string() } else { text.clone() };
            assert_eq!(viewed, expected, "{what}");
            for key in format.keys().iter().filter(|key| key.alias().is_none()) {
                let there = format.get(&string, key.name()).is_some();
                assert_eq!(format.get(&normal, key.name()).is_some(), there, "{what}");
            }
            count += 1;
        }
    }
    assert!(count > 1000, "{count}");
}

#[test]
fn unknown_keys_stay_and_are_refused_only_when_asked() {
    for format in Format::all().iter().filter(|format| format.is_in(Release::V9_2)) {
        let mut runner = TestRunner::deterministic();
        let text = string_of(format, Release::V9_2).new_tree(&mut runner).unwrap().current();
        let newer = match text.is_empty() {
            true => "new-in-pve-10=x".to_owned(),
            false => format!("{text},new-in-pve-10=x"),
        };
        let printed = view(format.name())(&newer).unwrap();
        assert!(printed.contains("new-in-pve-10=x"), "{printed}");
        let string: PropertyString = newer.parse().unwrap();
        let fault = format.check(&string, Release::V9_2).unwrap_err();
        assert!(matches!(fault, PropertyError::Unknown { .. }), "{fault}");
    }
}

#[test]
fn views_know_their_keys() {
    let cpu: p::Cpu = "host,flags=+aes;-pcid,hidden=1".parse().unwrap();
    assert_eq!(
        (cpu.model(), cpu.flag("aes"), cpu.flag("pcid")),
        (Some("host"), Some(true), Some(false))
    );
    assert_eq!((cpu.flag("x"), cpu.hidden()), (None, Some(true)));
    let keep: p::PruneBackups = "keep-last=3,keep-weekly=0".parse().unwrap();
    assert_eq!((keep.keep_last(), keep.keeps_all()), (Some(3), false));
    assert!("keep-last=0".parse::<p::PruneBackups>().unwrap().keeps_all());
    let gpu = p::HostPci::mapped("gpu").unwrap().with("pcie", true).unwrap();
    assert_eq!((gpu.to_string().as_str(), gpu.mapping()), ("mapping=gpu,pcie=1", Some("gpu")));
    let efi = p::EfiDisk::new("local:1").unwrap().with("efitype", "4m").unwrap();
    assert_eq!(efi.with("file", "local:2").unwrap().to_string(), "local:2,efitype=4m");
    assert_eq!("1024".parse::<p::Memory>().unwrap().mib(), Some(1024));
    assert_eq!("current=1024".parse::<p::Memory>().unwrap().mib(), Some(1024));
    let nic: p::LxcNic = "ip=10.0.0.9/24,name=eth0,rate=1.5,tag=7".parse().unwrap();
    assert_eq!(nic.to_string(), "name=eth0,ip=10.0.0.9/24,rate=1.5,tag=7");
    assert_eq!((nic.rate(), nic.tag()), (Some(1.5), Some(7)));
    let snippets: p::CiCustom = "user=local:snippets/u.yaml".parse().unwrap();
    assert_eq!(snippets.user().unwrap().kind(), p::VolumeKind::Snippet("u.yaml".into()));
}

#[test]
fn what_a_disk_is_made_of() {
    use p::DiskSource as Source;
    let source = |text: &str| text.parse::<p::Disk>().unwrap().source();
    let storage = || "local".to_owned();
    assert_eq!(source("local:1.5,ssd=1"), Some(Source::Allocate { storage: storage(), gib: 1.5 }));
    let from = "other:import/x.qcow2".to_owned();
    assert_eq!(
        source("local:0,import-from=other:import/x.qcow2"),
        Some(Source::Import { storage: storage(), from })
    );
    assert_eq!(source("local:cloudinit"), Some(Source::CloudInit { storage: storage() }));
    assert_eq!(source("none,media=cdrom"), Some(Source::Empty));
    assert_eq!(source("cdrom"), Some(Source::PhysicalDrive));
    assert_eq!(source("/dev/sdb"), Some(Source::Path("/dev/sdb".into())));
    let id = "local:100/vm-100-disk-0.qcow2".parse().unwrap();
    assert_eq!(source("local:100/vm-100-disk-0.qcow2,size=1G"), Some(Source::Volume(id)));
    assert_eq!(source("nonsense"), None);
    let disk: p::Disk = "local:1,iothread=1".parse().unwrap();
    assert_eq!(disk.check_as("scsi0", Release::V9_2), Ok(()));
    assert!(disk.check_as("ide0", Release::V9_2).is_err());
}
