//! The formats of addresses, interfaces, protocols and ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::names::{alpha, identifier, is_dns_name, is_mac, word};
use super::{Verdict, each, perl, require};

/// An address, which may have the length of a prefix when `prefix` says so.
fn network(text: &str, prefix: bool) -> bool {
    match text.split_once('/') {
        Some((address, bits)) => {
            let limit = match address.parse::<IpAddr>() {
                Ok(IpAddr::V4(_)) => 32,
                Ok(IpAddr::V6(_)) => 128,
                Err(_) => return false,
            };
            prefix && bits.parse::<u8>().is_ok_and(|bits| bits <= limit)
        }
        None => text.parse::<IpAddr>().is_ok(),
    }
}

/// A network with the length of its prefix, of one family or of either.
fn is_cidr(text: &str, family: Option<u8>) -> bool {
    let fits = match (family, text.contains(':')) {
        (Some(4), six) => !six,
        (Some(_), six) => six,
        (None, _) => true,
    };
    fits && text.contains('/') && network(text, true)
}

fn looks(fits: bool, like: &str) -> Result<(), String> {
    require(fits, || format!("value does not look like a valid {like}"))
}

/// Checks addresses and names of interfaces.
pub(super) fn check(format: &str, text: &str) -> Verdict {
    let any = || network(text, false) || is_dns_name(text);
    Some(match format {
        "pve-storage-path" => looks(text.starts_with('/') && text.len() > 1, "absolute path"),
        "ip" => looks(network(text, false), "IP address"),
        "lxc-ip-with-ll-iface" => {
            let address = text.split_once('%').filter(|(address, _)| address.starts_with("fe80:"));
            let address = address.map_or(text, |(address, _)| address);
            looks(network(address, false), "IP address")
        }
        "ipv4" => looks(text.parse::<Ipv4Addr>().is_ok(), "IPv4 address"),
        "ipv6" => looks(text.parse::<Ipv6Addr>().is_ok(), "IPv6 address"),
        "ipv4mask" => {
            let mask = text.parse::<Ipv4Addr>().map(u32::from);
            let contiguous = mask.is_ok_and(|mask| mask.leading_ones() == mask.count_ones());
            looks(contiguous || text.parse::<u8>().is_ok_and(|bits| bits <= 32), "IP netmask")
        }
        "CIDR" => looks(is_cidr(text, None), "CIDR network"),
        "CIDRv4" => looks(is_cidr(text, Some(4)), "IPv4 network"),
        "CIDRv6" => looks(is_cidr(text, Some(6)), "IPv6 network"),
        "IPorCIDR" => looks(network(text, true), "IP address or CIDR network"),
        "IPorCIDRorAlias" => {
            let alias = text.trim_start_matches("dc/").trim_start_matches("guest/");
            let alias = word(alias, alpha, identifier, 2);
            looks(alias || network(text, true), "IP address or CIDR network")
        }
        "pve-ipv4-config" => {
            let fits = matches!(text, "dhcp" | "manual") || is_cidr(text, Some(4));
            looks(fits, "ipv4 network configuration")
        }
        "pve-ipv6-config" => {
            let fits = matches!(text, "auto" | "dhcp" | "manual") || is_cidr(text, Some(6));
            looks(fits, "ipv6 network configuration")
        }
        // Of virtual machines: cloud-init knows no `manual`.
        "pve-qm-ipv4" => {
            looks(text == "dhcp" || is_cidr(text, Some(4)), "ipv4 network configuration")
        }
        "pve-qm-ipv6" => {
            let fits = matches!(text, "auto" | "dhcp") || is_cidr(text, Some(6));
            looks(fits, "ipv6 network configuration")
        }
        "address" => require(any(), || format!("value does not look like a valid address: {text}")),
        "pve-storage-server" => looks(any(), "server name or IP address"),
        "pve-storage-portal-dns" => {
            let host = text.trim_start_matches('[');
            let bare = host.split_once(']').or_else(|| host.split_once(':'));
            let bare = bare.map_or(host, |(address, _)| address);
            looks(any() || network(bare, false) || is_dns_name(bare), "portal address")
        }
        "mac-addr" => looks(is_mac(text), "unicast MAC address"),
        "mac-prefix" => {
            let octets = perl("[a-f0-9][02468ace](?::[a-f0-9]{2}){0,2}:?");
            let text = text.to_ascii_lowercase();
            require(octets.is_some_and(|octets| octets.is_match(&text)), || {
                "value is not a valid unicast MAC address prefix".into()
            })
        }
        "pve-iface" => {
            let fits = perl("[A-Za-z][A-Za-z0-9_]{1,20}(?:[:.]\\d+)?");
            require(fits.is_some_and(|name| name.is_match(text)), || {
                format!("invalid network interface name '{text}'")
            })
        }
        "pve-bridge-id" => require(word(text, alpha, identifier, 1) && text.len() <= 20, || {
            format!("invalid bridge ID '{text}'")
        }),
        _ => return of_firewall(format, text),
    })
}

/// What a firewall's rule matches.
fn of_firewall(format: &str, text: &str) -> Verdict {
    Some(match format {
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
        _ => return None,
    })
}
