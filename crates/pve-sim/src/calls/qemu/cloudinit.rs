//! `/nodes/{node}/qemu/{vmid}/cloudinit`: what is in the cloud-init drive.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::options;
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::split_index;
use crate::world::World;
use crate::world::guest::{Config, Drive, Guest, sha1};

/// The options that the list shows. Source: recorded; addresses are not among them.
const LISTED: &[&str] =
    &["citype", "ciuser", "cipassword", "cicustom", "searchdomain", "nameserver", "sshkeys"];

/// `GET …/cloudinit`
pub(crate) fn list(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    let guest = world.vm(call.params.node(), call.params.vmid())?;
    let row = |key: &&str| {
        let text = guest.config.get(*key)?;
        Some(json!({"key": key, "value": options::shown(world, key, text)}))
    };
    Ok(LISTED.iter().filter_map(row).collect())
}

/// `PUT …/cloudinit`: writes the drive again.
pub(crate) fn regenerate(call: &mut Call<'_>) -> Result<Value, Fail> {
    call.world.vm(call.params.node(), call.params.vmid())?.check_lock()?;
    Ok(Value::Null)
}

/// `GET …/cloudinit/dump`
pub(crate) fn dump(call: &mut Call<'_>) -> Result<Value, Fail> {
    let guest = call.world.vm(call.params.node(), call.params.vmid())?;
    Ok(json!(match call.params.text("type") {
        "user" => user(guest),
        "network" => network(&guest.config),
        _ => meta(call.world, guest),
    }))
}

/// The host name without a domain, and the full name when there is one.
fn names(guest: &Guest) -> (String, Option<String>) {
    let name = guest.config.get("name").cloned().unwrap_or_else(|| format!("VM{}", guest.vmid));
    if let Some((host, _)) = name.split_once('.') {
        return (host.to_owned(), Some(name.clone()));
    }
    let full = guest.config.get("searchdomain").map(|domain| format!("{name}.{domain}"));
    (name, full)
}

fn user(guest: &Guest) -> String {
    let config = &guest.config;
    let (host, full) = names(guest);
    let mut text = format!("#cloud-config\nhostname: {host}\nmanage_etc_hosts: true\n");
    if let Some(full) = full {
        let _ = writeln!(text, "fqdn: {full}");
    }
    if let Some(user) = config.get("ciuser") {
        let _ = writeln!(text, "user: {user}");
    }
    if let Some(hash) = config.get("cipassword") {
        let _ = writeln!(text, "password: {hash}");
    }
    if let Some(keys) = config.get("sshkeys") {
        let keys = percent_encoding::percent_decode_str(keys).decode_utf8_lossy();
        text.push_str("ssh_authorized_keys:\n");
        for key in keys.lines().filter(|key| !key.trim().is_empty()) {
            let _ = writeln!(text, "  - {key}");
        }
    }
    text.push_str("chpasswd:\n  expire: False\n");
    if config.get("ciuser").is_none_or(|user| user != "root") {
        text.push_str("users:\n  - default\n");
    }
    if config.get("ciupgrade").is_none_or(|upgrade| upgrade == "1") {
        text.push_str("package_upgrade: true\n");
    }
    text
}

/// A network mask of so many bits.
fn mask(prefix: &str) -> String {
    let bits: u32 = prefix.parse::<u32>().unwrap_or(32).min(32);
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    std::net::Ipv4Addr::from(mask).to_string()
}

fn subnets(ip: &Drive) -> String {
    let mut text = String::new();
    let mut add = |lines: &[String]| {
        for line in lines {
            let _ = writeln!(text, "{line}");
        }
    };
    let gateway = |key: &str| ip.get(key).map(|gateway| format!("        gateway: '{gateway}'"));
    match ip.get("ip") {
        Some("dhcp") => add(&["      - type: dhcp4".into()]),
        Some(address) => {
            let (address, prefix) = address.split_once('/').unwrap_or((address, "32"));
            add(&[
                "      - type: static".into(),
                format!("        address: '{address}'"),
                format!("        netmask: '{}'", mask(prefix)),
            ]);
            add(gateway("gw").as_slice());
        }
        None => {}
    }
    match ip.get("ip6") {
        Some("dhcp") => add(&["      - type: dhcp6".into()]),
        Some("auto") => add(&["      - type: ipv6_slaac".into()]),
        Some(address) => {
            add(&["      - type: static6".into(), format!("        address: '{address}'")]);
            add(gateway("gw6").as_slice());
        }
        None => {}
    }
    text
}

fn network(config: &Config) -> String {
    let mut text = String::from("version: 1\nconfig:\n");
    let mut cards: Vec<(u32, &String)> = config
        .iter()
        .filter_map(|(key, text)| match split_index(key) {
            Some(("net", index)) => Some((index, text)),
            _ => None,
        })
        .collect();
    cards.sort_unstable();
    for (index, card) in cards {
        let mac = card.split_once('=').map_or("", |(_, rest)| rest);
        let mac = mac.split(',').next().unwrap_or_default().to_lowercase();
        let _ = writeln!(text, "    - type: physical\n      name: eth{index}");
        let _ = writeln!(text, "      mac_address: '{mac}'\n      subnets:");
        if let Some(ip) = config.get(&format!("ipconfig{index}")) {
            text.push_str(&subnets(&Drive::parse(ip)));
        }
    }
    let servers = config.get("nameserver").map(String::as_str).unwrap_or_default();
    let domains = config.get("searchdomain").map(String::as_str).unwrap_or_default();
    if servers.is_empty() && domains.is_empty() {
        return text;
    }
    text.push_str("    - type: nameserver\n");
    for (title, list) in [("address", servers), ("search", domains)] {
        if !list.is_empty() {
            let _ = writeln!(text, "      {title}:");
        }
        for part in list.split([' ', ',', ';']).filter(|part| !part.is_empty()) {
            let _ = writeln!(text, "      - '{part}'");
        }
    }
    text
}

/// The instance's id changes with what the other documents say.
fn meta(_world: &World, guest: &Guest) -> String {
    let id = sha1(format!("{}{}", user(guest), network(&guest.config)).as_bytes());
    format!("instance-id: {id}\n")
}
