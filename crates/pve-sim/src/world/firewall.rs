//! Firewall options, rules and security groups.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::guest::sha1;
use crate::fail::Fail;

/// A rule: its options in text form.
pub(crate) type Rule = BTreeMap<String, String>;

/// One firewall file: of the cluster, a node, a virtual network or a guest.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Firewall {
    pub options: BTreeMap<String, String>,
    pub rules: Vec<Rule>,
    pub sets: BTreeMap<String, IpSet>,
    pub aliases: BTreeMap<String, Alias>,
}

/// A set of networks: each with its options (`comment`, `nomatch`).
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct IpSet {
    pub comment: Option<String>,
    pub entries: BTreeMap<String, BTreeMap<String, String>>,
}

/// A name for a network.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Alias {
    pub cidr: String,
    pub comment: Option<String>,
}

/// 4 or 6 for an address or network, nothing for other texts.
pub(crate) fn ip_version(text: &str) -> Option<u8> {
    let address = text.split('/').next().unwrap_or_default();
    match address.parse::<std::net::IpAddr>().ok()? {
        std::net::IpAddr::V4(_) => Some(4),
        std::net::IpAddr::V6(_) => Some(6),
    }
}

/// A security group of the cluster.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Group {
    pub comment: Option<String>,
    pub rules: Vec<Rule>,
}

/// The digest of a part of a firewall file.
pub(crate) fn digest(part: &impl std::fmt::Debug, empty: bool) -> String {
    if empty { sha1(b"") } else { sha1(format!("{part:?}").as_bytes()) }
}

/// One rule as the API shows it; single reads give `pos` as a string.
pub(crate) fn show(rule: &Rule, position: Value, digest: &str) -> Value {
    let mut row = Map::new();
    for (key, value) in rule {
        let value = match (key.as_str(), value.parse::<u64>()) {
            ("enable", Ok(number)) => json!(number),
            _ => json!(value),
        };
        row.insert(key.clone(), value);
    }
    row.entry("enable").or_insert(json!(0));
    let version = ["source", "dest"].iter().find_map(|key| ip_version(rule.get(*key)?));
    if let Some(version) = version {
        row.insert("ipversion".into(), json!(version));
    }
    row.insert("pos".into(), position);
    row.insert("digest".into(), json!(digest));
    Value::Object(row)
}

/// All rules of a list as the API shows them.
pub(crate) fn show_all(rules: &[Rule]) -> Value {
    let digest = digest(&rules, rules.is_empty());
    Value::Array(
        rules
            .iter()
            .enumerate()
            .map(|(position, rule)| show(rule, json!(position), &digest))
            .collect(),
    )
}

/// The position of a rule, or Proxmox's error.
pub(crate) fn position(rules: &[Rule], text: &str) -> Result<usize, Fail> {
    let position = text.parse::<usize>().ok().filter(|position| *position < rules.len());
    position.ok_or_else(|| Fail::new(format!("no rule at position {text}")))
}

/// Refuses a change that was based on another version.
pub(crate) fn check_digest(rules: &[Rule], given: Option<&str>) -> Result<(), Fail> {
    match given {
        Some(given) if given != digest(&rules, rules.is_empty()) => Err(Fail::new(
            "detected modified configuration - file changed by other user? Try again.",
        )),
        _ => Ok(()),
    }
}
