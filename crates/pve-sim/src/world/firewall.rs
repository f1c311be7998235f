//! Firewall options, rules and security groups.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::guest::sha1;
use crate::fail::Fail;

/// A rule: its options in text form.
pub(crate) type Rule = BTreeMap<String, String>;

/// The firewall of one guest.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct GuestFirewall {
    pub options: BTreeMap<String, String>,
    pub rules: Vec<Rule>,
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
