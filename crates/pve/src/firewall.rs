//! Firewall rules and options, alike for data centre, security group, node and
//! guest.

mod sets;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

pub use sets::{Alias, FirewallRef, IpSet, IpSetEntry, IpSetHandle};

use crate::lenient::List;
use crate::resource::{Resource, handle};
use crate::{Error, Params, lenient};

/// A rule, as read. Positions shift when rules are added (a new one stands
/// first), moved or deleted: guard changes with the digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Rule {
    /// Its place, from 0.
    #[serde(deserialize_with = "lenient::opt_u32")]
    pub pos: Option<u32>,
    /// `in`, `out`, `forward`, or `group` for the rules of a security group.
    #[serde(rename = "type", deserialize_with = "lenient::string")]
    pub kind: String,
    /// `ACCEPT`, `DROP`, `REJECT`, or the group's name.
    #[serde(deserialize_with = "lenient::string")]
    pub action: String,
    /// Is it in force? Unset means no.
    #[serde(deserialize_with = "lenient::bool")]
    pub enable: bool,
    /// The interface, `net0` for example.
    #[serde(deserialize_with = "lenient::opt_string")]
    pub iface: Option<String>,
    /// A ready-made set of ports, `SSH` for example.
    #[serde(rename = "macro", deserialize_with = "lenient::opt_string")]
    pub macro_name: Option<String>,
    /// Source addresses.
    #[serde(deserialize_with = "lenient::opt_string")]
    pub source: Option<String>,
    /// Destination addresses.
    #[serde(deserialize_with = "lenient::opt_string")]
    pub dest: Option<String>,
    /// The protocol.
    #[serde(deserialize_with = "lenient::opt_string")]
    pub proto: Option<String>,
    /// Source ports.
    #[serde(deserialize_with = "lenient::opt_string")]
    pub sport: Option<String>,
    /// Destination ports: `22`, `80,443`, `8000:8010`.
    #[serde(deserialize_with = "lenient::opt_string")]
    pub dport: Option<String>,
    /// The ICMP type.
    #[serde(rename = "icmp-type", deserialize_with = "lenient::opt_string")]
    pub icmp_type: Option<String>,
    /// The log level.
    #[serde(deserialize_with = "lenient::opt_string")]
    pub log: Option<String>,
    /// A comment; some releases hand it back with a final newline.
    #[serde(deserialize_with = "lenient::opt_string")]
    pub comment: Option<String>,
    /// The digest of the whole rule set.
    #[serde(deserialize_with = "lenient::opt_string")]
    pub digest: Option<String>,
}

/// The parameters that make this rule. Position and digest are left out.
impl From<&Rule> for Params {
    fn from(rule: &Rule) -> Self {
        Self::new()
            .set("type", &rule.kind)
            .set("action", &rule.action)
            .set("enable", rule.enable)
            .opt("iface", rule.iface.as_ref())
            .opt("macro", rule.macro_name.as_ref())
            .opt("source", rule.source.as_ref())
            .opt("dest", rule.dest.as_ref())
            .opt("proto", rule.proto.as_ref())
            .opt("sport", rule.sport.as_ref())
            .opt("dport", rule.dport.as_ref())
            .opt("icmp-type", rule.icmp_type.as_ref())
            .opt("log", rule.log.as_ref())
            .opt("comment", rule.comment.as_ref())
    }
}

impl Rule {
    /// An enabled rule: `Rule::new("in", "ACCEPT")`.
    pub fn new(kind: impl Into<String>, action: impl Into<String>) -> Self {
        Self { kind: kind.into(), action: action.into(), enable: true, ..Self::default() }
    }

    /// The same rule, wherever it stands?
    pub fn same_as(&self, other: &Self) -> bool {
        let plain = |rule: &Self| Self {
            pos: None,
            digest: None,
            comment: rule.comment.as_deref().map(|text| text.trim_end().to_owned()),
            ..rule.clone()
        };
        plain(self) == plain(other)
    }
}

/// The options of a firewall. Absent ones have Proxmox's defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FirewallOptions {
    /// Name to value: `enable`, `policy_in`, `ipfilter`, `macfilter`, …
    pub values: BTreeMap<String, String>,
    /// Guards a change.
    pub digest: Option<String>,
}

impl FirewallOptions {
    /// An option as a boolean.
    pub fn flag(&self, name: &str) -> Option<bool> {
        lenient::parse_bool(self.values.get(name)?)
    }

    /// Is the firewall on? Off unless set.
    pub fn is_enabled(&self) -> bool {
        // The data centre's is a number (of seconds since 1970, once).
        let value = self.values.get("enable");
        value.is_some_and(|value| value != "0" && lenient::parse_bool(value) != Some(false))
    }
}

impl<'de> Deserialize<'de> for FirewallOptions {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let map = BTreeMap::<String, Value>::deserialize(d)?;
        let (values, digest) = lenient::options(map);
        Ok(Self { values, digest })
    }
}

/// A list of rules.
#[derive(Clone, Debug)]
pub struct Rules(pub(crate) Resource);

/// The firewall of a guest.
#[derive(Clone, Debug)]
pub struct GuestFirewall(pub(crate) Resource);
handle!(Rules, GuestFirewall);

impl Rules {
    /// The rules in order.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn list(&self) -> Result<Vec<Rule>, Error> {
        let List(rules) = self.0.get(()).await?;
        Ok(rules)
    }

    /// Adds a rule; it stands first unless `pos` says otherwise.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request);
    /// [`Error::is_digest_mismatch`].
    pub async fn create(
        &self,
        rule: &Rule,
        pos: Option<u32>,
        digest: Option<&str>,
    ) -> Result<(), Error> {
        let params = Params::from(rule).opt("pos", pos).opt("digest", digest);
        self.0.post(params).await.map(drop)
    }

    /// Makes the rule at `pos` like `rule`; what `rule` does not have is
    /// removed.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request);
    /// [`Error::is_digest_mismatch`].
    pub async fn update(&self, pos: u32, rule: &Rule, digest: Option<&str>) -> Result<(), Error> {
        let mut params = Params::from(rule);
        let absent: Vec<&str> = OPTIONAL
            .iter()
            .copied()
            .filter(|name| !params.names().any(|given| given == *name))
            .collect();
        if !absent.is_empty() {
            params.push("delete", absent.join(","));
        }
        let params = params.opt("digest", digest);
        self.0.join(pos).put(params).await.map(drop)
    }

    /// Deletes the rule at `pos`.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request);
    /// [`Error::is_digest_mismatch`].
    pub async fn delete(&self, pos: u32, digest: Option<&str>) -> Result<(), Error> {
        let params = Params::new().opt("digest", digest);
        self.0.join(pos).delete(params).await.map(drop)
    }
}

/// The parts of a rule that can be absent.
const OPTIONAL: [&str; 10] =
    ["iface", "macro", "source", "dest", "proto", "sport", "dport", "icmp-type", "log", "comment"];
