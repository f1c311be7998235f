//! The text formats that Proxmox knows by name, with its error texts. A format
//! that is not listed accepts everything.

use regex::Regex;

/// Compiles a Perl pattern from the schema, anchored at both ends.
pub(crate) fn perl(pattern: &str) -> Option<Regex> {
    // Perl prints compiled sub-patterns as `(?^:…)` and `(?^i:…)`.
    let pattern = pattern.replace("(?^:", "(?:").replace("(?^i:", "(?i:").replace("{,", "{0,");
    Regex::new(&format!("^(?:{pattern})$")).ok()
}

/// How many numbered options of a kind exist (`scsi0` to `scsi30`).
/// Source: the limits in Proxmox's QemuServer/Drive.pm and QemuServer.pm.
pub(crate) fn indexed_limit(stem: &str) -> u32 {
    match stem {
        "ide" | "serial" => 4,
        "sata" => 6,
        "scsi" => 31,
        "virtio" | "hostpci" => 16,
        "net" | "ipconfig" => 32,
        "usb" => 14,
        "parallel" => 3,
        "numa" => 8,
        "virtiofs" => 10,
        "unused" | "mp" => 256,
        _ => 0,
    }
}

/// Every device name that holds a disk, in Proxmox's order.
pub(crate) fn disk_names() -> impl Iterator<Item = String> {
    let numbered =
        |stem: &'static str| (0..indexed_limit(stem)).map(move |index| format!("{stem}{index}"));
    numbered("ide")
        .chain(numbered("scsi"))
        .chain(numbered("virtio"))
        .chain(numbered("sata"))
        .chain(["efidisk0".to_owned(), "tpmstate0".to_owned()])
}

fn word(text: &str, first: fn(char) -> bool, rest: fn(char) -> bool, least: usize) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(first) && characters.all(rest) && text.chars().count() >= least
}

fn alpha(c: char) -> bool {
    c.is_ascii_alphabetic()
}

fn identifier(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

fn dotted(c: char) -> bool {
    identifier(c) || c == '.'
}

/// `web-1.example.org`: labels of letters, digits and inner hyphens.
pub(crate) fn is_dns_name(text: &str) -> bool {
    !text.is_empty()
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

fn is_storage(text: &str) -> bool {
    word(text, alpha, dotted, 2) && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

fn is_user(text: &str) -> bool {
    match text.rsplit_once('@') {
        Some((name, realm)) => {
            !name.is_empty()
                && text.len() <= 64
                && !name.contains(|c: char| c.is_whitespace() || matches!(c, ':' | '/'))
                && word(realm, alpha, dotted, 2)
        }
        None => false,
    }
}

fn network(text: &str, prefix: bool) -> bool {
    match text.split_once('/') {
        Some((address, bits)) => {
            let limit = match address.parse::<std::net::IpAddr>() {
                Ok(std::net::IpAddr::V4(_)) => 32,
                Ok(std::net::IpAddr::V6(_)) => 128,
                Err(_) => return false,
            };
            prefix && bits.parse::<u8>().is_ok_and(|bits| bits <= limit)
        }
        None => text.parse::<std::net::IpAddr>().is_ok(),
    }
}

fn each(text: &str, check: impl Fn(&str) -> Result<(), String>) -> Result<(), String> {
    text.split([',', ';', ' ', '\0']).filter(|part| !part.is_empty()).try_for_each(check)
}

fn require(fits: bool, text: impl FnOnce() -> String) -> Result<(), String> {
    if fits { Ok(()) } else { Err(text()) }
}

/// Whether a text is an address, or a network: an address with the length of its prefix.
fn is_network(text: &str) -> bool {
    let (address, bits) =
        text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let Ok(address) = address.parse::<std::net::IpAddr>() else { return false };
    let most = if address.is_ipv4() { 32 } else { 128 };
    bits.is_none_or(|bits| bits.parse::<u8>().is_ok_and(|bits| bits <= most))
}

/// Checks a text against a format by name.
pub(crate) fn named(format: &str, name: &str, text: &str) -> Result<(), String> {
    match format {
        "pve-vmid" => {
            require(text.parse::<u32>().is_ok_and(|id| (100..=999_999_999).contains(&id)), || {
                "value does not look like a valid VM ID".into()
            })
        }
        "pve-vmid-list" => each(text, |part| named("pve-vmid", name, part)),
        "pve-node" => require(is_dns_name(text) && !text.contains('.'), || {
            "value does not look like a valid node name".into()
        }),
        "pve-storage-id" => {
            require(is_storage(text), || format!("storage ID '{text}' contains illegal characters"))
        }
        "pve-storage-content" | "pve-storage-content-list" => each(text, |part| {
            let known =
                ["images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import", "none"];
            require(known.contains(&part), || format!("invalid content type '{part}'"))
        }),
        "pve-configid" => require(word(text, alpha, identifier, 2), || {
            format!("invalid configuration ID '{text}'")
        }),
        "pve-configid-list" => each(text, |part| named("pve-configid", name, part)),
        "pve-poolid" => {
            let level = |part: &str| !part.is_empty() && part.chars().all(dotted);
            let fits = text.split('/').count() <= 3 && text.split('/').all(level);
            require(fits, || format!("pool name '{text}' contains invalid characters"))
        }
        "pve-userid" => require(is_user(text), || {
            format!("value '{text}' does not look like a valid user name")
        }),
        "pve-roleid" => require(word(text, alpha, dotted, 1), || {
            format!("role name '{text}' contains invalid characters")
        }),
        "dns-name" => {
            require(is_dns_name(text), || "value does not look like a valid DNS name".into())
        }
        "email-opt" => require(text.is_empty() || text.contains('@'), || {
            "value does not look like a valid email address".into()
        }),
        "pve-tag-list" => each(text, |part| {
            let fits =
                word(part, |c| c.is_alphanumeric() || c == '_', |c| dotted(c) || c == '+', 1);
            require(fits, || format!("invalid characters in tag '{part}'"))
        }),
        "urlencoded" => {
            require(is_urlencoded(text), || format!("invalid urlencoded string: {text}"))
        }
        _ => of_guests(format, name, text),
    }
}

/// The formats of a guest's options.
fn of_guests(format: &str, name: &str, text: &str) -> Result<(), String> {
    match format {
        "mac-addr" => {
            require(is_mac(text), || "value does not look like a valid unicast MAC address".into())
        }
        "disk-size" => {
            require(perl("\\d+(\\.\\d+)?[KMGT]?").is_some_and(|size| size.is_match(text)), || {
                "value does not look like a valid disk size".into()
            })
        }
        "pve-bridge-id" => require(word(text, alpha, identifier, 1) && text.len() <= 20, || {
            format!("invalid bridge ID '{text}'")
        }),
        "pve-qm-boot" => boot(text),
        "pve-qm-ipconfig" => ipconfig(name, text),
        "pve-vm-cpu-conf" => cpu(text),
        "pve-qm-smbios1" => keyed(
            name,
            text,
            &["uuid", "version", "serial", "manufacturer", "product", "sku", "family", "base64"],
        ),
        "pve-qm-cicustom" => keyed(name, text, &["user", "network", "meta", "vendor"]),
        "prune-backups" => keyed(
            name,
            text,
            &[
                "keep-all",
                "keep-last",
                "keep-hourly",
                "keep-daily",
                "keep-weekly",
                "keep-monthly",
                "keep-yearly",
            ],
        ),
        "pve-startup-order" => keyed(name, text, &["order", "up", "down"]),
        _ => addresses(format, text),
    }
}

/// The formats of addresses, protocols and ports.
fn addresses(format: &str, text: &str) -> Result<(), String> {
    match format {
        "pve-storage-path" => require(text.starts_with('/') && text.len() > 1, || {
            "value does not look like a valid absolute path".into()
        }),
        "IPorCIDR" => require(is_network(text), || {
            "value does not look like a valid IP address or CIDR network".into()
        }),
        "ipv4" => require(text.parse::<std::net::Ipv4Addr>().is_ok(), || {
            "value does not look like a valid IPv4 address".into()
        }),
        "address-list" => each(text, |part| {
            require(network(part, false) || is_dns_name(part), || {
                format!("value '{part}' does not look like a valid address")
            })
        }),
        "pve-fw-addr-spec" => each(text, |part| {
            let set =
                part.starts_with('+') || part.starts_with("dc/") || part.starts_with("guest/");
            let range = part
                .split_once('-')
                .is_some_and(|(from, to)| network(from, false) && network(to, false));
            require(set || range || network(part, true) || word(part, alpha, identifier, 1), || {
                format!("invalid IP address or alias '{part}'")
            })
        }),
        "pve-fw-protocol-spec" => {
            let known = [
                "tcp",
                "udp",
                "icmp",
                "ipv6-icmp",
                "icmpv6",
                "sctp",
                "esp",
                "ah",
                "gre",
                "igmp",
                "ospf",
                "vrrp",
                "dccp",
                "udplite",
            ];
            require(known.contains(&text) || text.parse::<u8>().is_ok(), || {
                format!("unknown protocol '{text}'")
            })
        }
        "pve-fw-dport-spec" | "pve-fw-sport-spec" => each(text, |part| {
            let range = part.replacen(':', "-", 1);
            let mut ports = range.splitn(2, '-');
            let fits =
                ports.all(|port| port.parse::<u16>().is_ok()) || word(part, alpha, identifier, 1);
            require(fits, || format!("invalid port '{part}'"))
        }),
        _ => Ok(()),
    }
}

fn is_urlencoded(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut index = 0;
    while index < bytes.len() {
        match bytes[index] {
            b'%' => {
                let hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
                if !(hex(index + 1) && hex(index + 2)) {
                    return false;
                }
                index += 2;
            }
            byte if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) => {}
            _ => return false,
        }
        index += 1;
    }
    true
}

/// Six hexadecimal bytes of a unicast address.
pub(crate) fn is_mac(text: &str) -> bool {
    let bytes: Vec<&str> = text.split(':').collect();
    let hex = |part: &&str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let unicast = u8::from_str_radix(bytes[0], 16).is_ok_and(|first| first & 1 == 0);
    bytes.len() == 6 && bytes.iter().all(hex) && unicast
}

fn boot(text: &str) -> Result<(), String> {
    let Some(order) = text.strip_prefix("order=") else {
        let legacy = text.strip_prefix("legacy=").unwrap_or(text);
        let fits =
            !legacy.is_empty() && legacy.len() <= 4 && legacy.chars().all(|c| "acdn".contains(c));
        return require(fits, || {
            "format error\nboot.legacy: value does not match the regex pattern".into()
        });
    };
    for device in order.split(';').filter(|device| !device.is_empty()) {
        let known = super::split_index(device).is_some_and(|(stem, index)| {
            ["ide", "sata", "scsi", "virtio", "net", "usb", "hostpci"].contains(&stem)
                && index < indexed_limit(stem)
        });
        require(known, || {
            format!("format error\nboot.order: invalid format - invalid boot device '{device}'\n")
        })?;
    }
    Ok(())
}

fn ipconfig(name: &str, text: &str) -> Result<(), String> {
    keyed(name, text, &["gw", "gw6", "ip", "ip6"])?;
    for part in text.split(',') {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let (fits, what) = match key {
            "ip" => (
                value == "dhcp" || (value.contains('/') && network(value, true)),
                "ipv4 network configuration",
            ),
            "ip6" => {
                let word = matches!(value, "dhcp" | "auto");
                (
                    word || (value.contains('/') && network(value, true)),
                    "ipv6 network configuration",
                )
            }
            "gw" => (value.parse::<std::net::Ipv4Addr>().is_ok(), "IPv4 address"),
            _ => (value.parse::<std::net::Ipv6Addr>().is_ok(), "IPv6 address"),
        };
        require(fits, || {
            format!(
                "format error\n{name}.{key}: invalid format - value does not look like a valid {what}\n"
            )
        })?;
    }
    Ok(())
}

fn keyed(name: &str, text: &str, keys: &[&str]) -> Result<(), String> {
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let key = part.split_once('=').map_or(part, |(key, _)| key);
        require(keys.contains(&key), || {
            format!("format error\n{name}.{key}: {}", super::check::UNDEFINED)
        })?;
    }
    Ok(())
}

fn cpu(text: &str) -> Result<(), String> {
    let kind = text.split(',').next().unwrap_or_default();
    let kind = kind.strip_prefix("cputype=").unwrap_or(kind);
    if kind.contains('=') || kind.starts_with("custom-") {
        return Ok(());
    }
    // Families of Proxmox's built-in types; their versions differ by release.
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
    let known = FAMILIES.iter().any(|family| kind.starts_with(family));
    require(known, || {
        format!("Built-in cputype '{kind}' is not defined (missing 'custom-' prefix?)")
    })
}
