//! Each format with what it takes, and what it refuses in which words.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use super::*;
use crate::schema::{Format, Table, Version};

/// Format, texts it takes, and texts that it refuses with Proxmox's words.
type Case = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

fn check_all(cases: &[Case]) {
    for (format, good, bad) in cases {
        for text in *good {
            assert_eq!(named(format, "x", text), Ok(()), "{format}: {text}");
        }
        for (text, words) in *bad {
            assert_eq!(named(format, "x", text), Err((*words).to_owned()), "{format}: {text}");
        }
    }
}

const NAMES: &[Case] = &[
    (
        "pve-vmid-list",
        &["100,101", "100 101", ""],
        &[("100,7", "value does not look like a valid VM ID")],
    ),
    (
        "pve-node-list",
        &["pve1,pve2"],
        &[("pve1,a.b", "value does not look like a valid node name")],
    ),
    (
        "pve-storage-id-list",
        &["local,nas"],
        &[("local,1x", "storage ID '1x' contains illegal characters")],
    ),
    (
        "pve-storage-vgname",
        &["data", "vm-data_1"],
        &[("1x", "lvm volume group name '1x' contains illegal characters")],
    ),
    (
        "pve-volume-id",
        &["local:iso/x.iso", "nas:1"],
        &[
            ("x.iso", "unable to parse volume ID 'x.iso'"),
            ("local:", "unable to parse volume ID 'local:'"),
        ],
    ),
    (
        "pve-volume-id-or-qm-path",
        &["none", "cdrom", "/dev/sr0", "local:8"],
        &[("local", "unable to parse volume ID 'local'")],
    ),
    (
        "pve-volume-id-or-absolute-path",
        &["/tmp/x.raw", "local:import/x.qcow2"],
        &[("none", "unable to parse volume ID 'none'")],
    ),
    (
        "pve-groupid",
        &["ops", "1st.line"],
        &[("a b", "group name 'a b' contains invalid characters")],
    ),
    (
        "pve-groupid-list",
        &["ops,dev"],
        &[("ops,a/b", "group name 'a/b' contains invalid characters")],
    ),
    (
        "pve-roleid-list",
        &["PVEAdmin,Own"],
        &[("Own,a@b", "role name 'a@b' contains invalid characters")],
    ),
    (
        "pve-userid-list",
        &["a@pve,b@pam"],
        &[("a@pve,b", "value 'b' does not look like a valid user name")],
    ),
    (
        "pve-tokenid-list",
        &["a@pve!one"],
        &[("a@pve", "value 'a@pve' does not look like a valid token ID")],
    ),
    ("pve-realm", &["pve", "my-ldap"], &[("1x", "value does not look like a valid realm")]),
    (
        "email-opt",
        &["", "a.b+c@example.org"],
        &[("nobody", "value does not look like a valid email address")],
    ),
    (
        "email-or-username-list",
        &["root@pam,a@example.org", "root"],
        &[("a b@", "value does not look like a valid email address or user name")],
    ),
    ("pve-tag-list", &["a;b", "a b,c"], &[("a;-b", "invalid characters in tag '-b'")]),
    ("pve-sdn-zone-id", &["zone1"], &[("1x", "zone ID '1x' contains illegal characters")]),
];

#[test]
fn ids_and_names_are_refused_in_the_words_of_their_kind() {
    check_all(NAMES);
}

#[test]
fn schedules_are_words_days_dates_and_times() {
    check_all(&[(
        "pve-calendar-event",
        &[
            "hourly",
            "*/15",
            "02:30",
            "mon..fri 21:00",
            "sat,sun 3:00,15:00",
            "*-1..7 18:00",
            "sun 01:00 UTC",
            "mon *-*-1..7 2:00",
        ],
        &[("often", "invalid calendar event 'often'"), ("", "invalid calendar event ''")],
    )]);
}

const ADDRESSES: &[Case] = &[
    (
        "ip-list",
        &["10.0.0.1,fd00::1"],
        &[("10.0.0.300", "value does not look like a valid IP address")],
    ),
    ("ipv6", &["fd00::1"], &[("10.0.0.1", "value does not look like a valid IPv6 address")]),
    (
        "ipv4mask",
        &["255.255.255.0", "24"],
        &[("255.0.255.0", "value does not look like a valid IP netmask")],
    ),
    (
        "CIDR",
        &["10.0.0.0/8", "fd00::/8"],
        &[("10.0.0.0", "value does not look like a valid CIDR network")],
    ),
    (
        "CIDRv4",
        &["10.0.0.5/24"],
        &[
            ("fd00::/8", "value does not look like a valid IPv4 network"),
            ("10.0.0.5/33", "value does not look like a valid IPv4 network"),
        ],
    ),
    (
        "CIDRv6",
        &["fd00::5/64"],
        &[("10.0.0.5/24", "value does not look like a valid IPv6 network")],
    ),
    (
        "pve-ipv4-config",
        &["dhcp", "manual", "10.0.0.5/24"],
        &[("auto", "value does not look like a valid ipv4 network configuration")],
    ),
    (
        "pve-ipv6-config",
        &["auto", "dhcp", "manual", "fd00::5/64"],
        &[("10.0.0.5/24", "value does not look like a valid ipv6 network configuration")],
    ),
    (
        "address-list",
        &["10.0.0.1 ns.example.org"],
        &[("10.0.0.1 a_b", "value does not look like a valid address: a_b")],
    ),
    (
        "lxc-ip-with-ll-iface-list",
        &["1.1.1.1 fe80::1%eth0"],
        &[("ns.example.org", "value does not look like a valid IP address")],
    ),
    (
        "pve-storage-portal-dns-list",
        &["10.0.0.1:3260;mon.example.org", "[fd00::1]:6789", "fd00::1"],
        &[("a b_c", "value does not look like a valid portal address")],
    ),
    (
        "pve-iface",
        &["vmbr0", "eno1", "bond0.100", "eth0:1"],
        &[
            ("0eth", "invalid network interface name '0eth'"),
            ("a-b", "invalid network interface name 'a-b'"),
        ],
    ),
    (
        "mac-prefix",
        &["BC:24:11", "BC:24:11:"],
        &[("BD:24:11", "value is not a valid unicast MAC address prefix")],
    ),
    (
        "IPorCIDRorAlias",
        &["10.0.0.1", "10.0.0.0/8", "dc/office", "office"],
        &[("10.0.0.0/99", "value does not look like a valid IP address or CIDR network")],
    ),
];

#[test]
fn addresses_are_of_one_family_and_networks_have_prefixes() {
    check_all(ADDRESSES);
}

#[test]
fn options_of_guests_are_checked_key_by_key() {
    let undefined =
        "property is not defined in schema and the schema does not allow additional properties";
    for (format, text, key, words) in [
        (
            "pve-qm-watchdog",
            "model=none",
            "model",
            "value 'none' does not have a value in the enumeration 'i6300esb, ib700'",
        ),
        ("pve-qm-rng", "max_bytes=1", "source", "property is missing and it is not optional"),
        ("pve-qm-ipconfig", "gw=10.0.0.1", "ip", "missing property - 'gw' requires this property"),
        ("pve-qm-hostpci", "host=1:2", "host", "value does not match the regex pattern"),
        ("pve-qm-smbios1", "uuid=1", "uuid", "value does not match the regex pattern"),
        (
            "pve-qm-cicustom",
            "user=x.yaml",
            "user",
            "invalid format - unable to parse volume ID 'x.yaml'\n",
        ),
        ("pve-vm-cpu-conf", "host,flags=aes", "flags", "value does not match the regex pattern"),
        ("pve-vm-cpu-conf", "host,colour=red", "colour", undefined),
        ("prune-backups", "keep-last=-1", "keep-last", "value must have a minimum value of 0"),
        (
            "backup-performance",
            "max-workers=257",
            "max-workers",
            "value must have a maximum value of 256",
        ),
        (
            "pve-qemu-sev-fmt",
            "none",
            "type",
            "value 'none' does not have a value in the enumeration 'std, es, snp'",
        ),
    ] {
        let said = named(format, "x", text).unwrap_err();
        assert_eq!(said, format!("format error\nx.{key}: {words}"), "{format}: {text}");
    }
    check_all(&[
        ("pve-qm-watchdog", &["i6300esb", "model=ib700,action=reset"], &[]),
        ("pve-qm-rng", &["/dev/urandom,max_bytes=1024,period=1000"], &[]),
        ("pve-qm-ipconfig", &["ip=dhcp", "ip=10.0.0.5/24,gw=10.0.0.1,ip6=auto"], &[]),
        ("pve-qm-hostpci", &["0000:01:00.0,pcie=1,x-vga=on", "01:00;01:00.1", "mapping=gpu"], &[]),
        (
            "pve-vm-cpu-conf",
            &["host,flags=+aes;-pcid", "x86-64-v2-AES", "custom-own", "kvm64,hidden=1"],
            &[("i486dx", "Built-in cputype 'i486dx' is not defined (missing 'custom-' prefix?)")],
        ),
        ("pve-qm-boot", &[" ", "cdn", "order=scsi0;net0", "order="], &[]),
        ("pve-qm-bootdisk", &["scsi0"], &[("scsi99", "invalid boot disk 'scsi99'")]),
        (
            "pve-hotplug-features",
            &["0", "1", "network,disk,usb"],
            &[("network,all", "invalid hotplug feature 'all'")],
        ),
        (
            "pve-startup-order",
            &["1", "order=1,up=30,down=60"],
            &[("order=first", "unable to parse startup options")],
        ),
    ]);
}

/// Formats without a rule here: the parameter's pattern or the call itself decides,
/// or everything is accepted. The list may only shrink.
const OPEN: &[&str] = &[
    "bridge-pair",
    "graphite-path",
    "ldap-simple-attr",
    "pem-certificate-chain",
    "pem-string",
    "pve-acme-alias",
    "pve-acme-domain",
    "pve-command-batch",
    "pve-cpuset",
    "pve-ct-timezone",
    "pve-day-of-week",
    "pve-dir-override",
    "pve-fw-conntrack-helper",
    "pve-fw-icmp-type-spec",
    "pve-ha-group-node",
    "pve-ha-node",
    "pve-ha-resource-or-vm-id",
    "pve-lxc-dev-string",
    "pve-lxc-mp-string",
    "pve-node-location",
    "pve-priv",
    "pve-qm-ide",
    "pve-replication-job-id",
    "pve-sdn-bgp-rt",
    "pve-sdn-dhcp-range",
    "pve-sdn-fabric-id",
    "pve-sdn-isis-net",
    "pve-sdn-subnet-id",
    "pve-storage-options",
    "pve-storage-path-in-property-string",
    "pve-storage-zfs-blocksize",
    "pve-task-status-type",
    "pve-tfa-config",
    "pve-vlan-id-or-range",
    "storage-pair",
    "string",
];

#[test]
fn formats_of_the_schema_have_a_rule_or_are_listed() {
    let mut open = BTreeSet::new();
    for version in Version::ALL {
        for method in &Table::of(version).methods {
            for parameter in method.all() {
                collect(parameter, &mut open);
            }
        }
    }
    let listed: BTreeSet<String> = OPEN.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(open, listed);
}

fn collect(parameter: &Parameter, open: &mut BTreeSet<String>) {
    match &parameter.format {
        Some(Format::Named(format)) => {
            let bare = format.trim_end_matches("-list").trim_end_matches("-opt");
            if !has_rule(format) && !has_rule(bare) {
                open.insert(bare.to_owned());
            }
        }
        Some(Format::Keys(keys)) => keys.values().for_each(|key| collect(key, open)),
        None => {}
    }
    if let Some(item) = &parameter.items {
        collect(item, open);
    }
}

fn has_rule(format: &str) -> bool {
    let rules = [names::check, addresses::check, guests::check];
    property_string(format).is_some() || rules.iter().any(|rule| rule(format, "").is_some())
}
