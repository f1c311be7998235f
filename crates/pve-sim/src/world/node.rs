//! What can be set on a node: name service, time zone, options, interfaces.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Node;
use super::firewall::ip_version;

/// An interface of a node: its options as the API names them.
pub(crate) type Interface = BTreeMap<String, String>;

/// All interfaces of a node, by name.
pub(crate) type Interfaces = BTreeMap<String, Interface>;

/// What can be set on a node.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Settings {
    /// `dns1` to `dns3` and `search`; unset is what a new node has.
    pub dns: Option<BTreeMap<String, String>>,
    /// The text of the hosts file; unset is what a new node has.
    pub hosts: Option<String>,
    pub timezone: Option<String>,
    /// `description`, `wakeonlan`, …
    pub options: BTreeMap<String, String>,
    /// The interfaces in use; unset is what the bridges of the seed need.
    pub interfaces: Option<Interfaces>,
    /// Interfaces as they will be after the next reload.
    pub new_interfaces: Option<Interfaces>,
    /// The subscription key.
    #[serde(default)]
    pub subscription: Option<String>,
    /// Services that were stopped.
    pub stopped: std::collections::BTreeSet<String>,
}

impl Node {
    /// The interfaces in use.
    pub fn interfaces(&self) -> Interfaces {
        if let Some(set) = &self.settings.interfaces {
            return set.clone();
        }
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut all = Interfaces::new();
        all.insert("eno1".into(), [pair("type", "eth"), pair("method", "manual")].into());
        for (at, bridge) in self.bridges.iter().enumerate() {
            let mut options: Interface =
                [pair("type", "bridge"), pair("autostart", "1"), pair("bridge_ports", "")].into();
            if at == 0 {
                options.insert("cidr".into(), format!("{}/24", self.address));
            }
            all.insert(bridge.clone(), options);
        }
        all
    }

    /// The interfaces as they will be after the next reload.
    pub fn coming_interfaces(&self) -> Interfaces {
        self.settings.new_interfaces.clone().unwrap_or_else(|| self.interfaces())
    }
}

/// An interface as the API shows it; `active` ones are up, and `priority` is
/// the place in the file.
pub(crate) fn show(options: &Interface, active: bool, priority: usize) -> Value {
    let mut row = Map::new();
    let mut families = vec!["inet"];
    for (name, text) in options {
        let number = matches!(
            name.as_str(),
            "autostart" | "exists" | "bridge_vlan_aware" | "vlan-id" | "ovs_tag"
        );
        let value = if number {
            text.parse::<u64>().map_or(json!(text), |value| json!(value))
        } else {
            json!(text)
        };
        row.insert(name.clone(), value);
    }
    for (cidr, address, netmask) in
        [("cidr", "address", "netmask"), ("cidr6", "address6", "netmask6")]
    {
        if let Some((ip, bits)) = options.get(cidr).and_then(|text| text.split_once('/')) {
            row.insert(address.into(), json!(ip));
            row.insert(netmask.into(), json!(bits));
        }
    }
    let has = |name: &str| row.contains_key(name);
    let methods = [("method", has("address")), ("method6", has("address6"))];
    if has("address6") {
        families.push("inet6");
    }
    for (method, is_set) in methods {
        let kind = if is_set { "static" } else { "manual" };
        row.entry(method).or_insert(json!(kind));
    }
    if options.get("type").is_some_and(|kind| kind == "bridge") {
        row.entry("bridge_ports").or_insert(json!(""));
        row.insert("bridge_stp".into(), json!("off"));
        row.insert("bridge_fd".into(), json!("0"));
    }
    if active && options.get("type").is_none_or(|kind| kind != "eth") {
        row.insert("active".into(), json!(1));
    }
    row.insert("families".into(), json!(families));
    row.insert("priority".into(), json!(priority));
    Value::Object(row)
}

/// Fills in `cidr` from address and netmask, the older way to say it.
pub(crate) fn join_address(options: &mut Interface) {
    for (cidr, address, netmask) in
        [("cidr", "address", "netmask"), ("cidr6", "address6", "netmask6")]
    {
        let ip = options.remove(address);
        let mask = options.remove(netmask);
        if let (Some(ip), Some(mask)) = (ip, mask) {
            let bits = match mask.parse::<std::net::Ipv4Addr>() {
                Ok(mask) => u32::from(mask).count_ones().to_string(),
                Err(_) => mask,
            };
            options.entry(cidr.into()).or_insert(format!("{ip}/{bits}"));
        }
    }
    options.retain(|name, text| !name.starts_with("cidr") || ip_version(text).is_some());
}
