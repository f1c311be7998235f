//! One `[[provider]]` table of the configuration file.

use std::collections::BTreeSet;
use std::time::Duration;

use model::ProviderId;
use serde::{Deserialize, Serialize};

/// The range of vmids that Innkeeper takes when none is configured: far above
/// what people and Proxmox's own "next free id" (which counts from 100) use.
pub const DEFAULT_VMID_RANGE: [u32; 2] = [100_000, 199_999];

/// The range of vmids that Proxmox allows (its schema's `pve-vmid`).
const PROXMOX_VMIDS: std::ops::RangeInclusive<u32> = 100..=999_999_999;

/// How a guest's disks come from its template's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CloneMode {
    /// Linked where every disk's storage can do it, full otherwise.
    #[default]
    Auto,
    /// Linked; a template whose storage cannot is refused.
    Linked,
    /// Full copies.
    Full,
}

/// Which templates are images. What is set must all hold; nothing set means
/// every template that the credentials can see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Templates {
    /// It carries this tag.
    pub tag: Option<String>,
    /// Its name matches this pattern; `*` stands for any text.
    pub name: Option<String>,
    /// It is in this pool.
    pub pool: Option<String>,
}

/// How much is asked of a cluster at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Clones in flight per host that has the template, 1 to 100.
    pub clones_per_host: u32,
    /// Effects in flight per host, 1 to 1,000.
    pub tasks_per_host: u32,
    /// Requests in flight to the cluster's API, 1 to 1,000.
    pub requests: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { clones_per_host: 4, tasks_per_host: 16, requests: 16 }
    }
}

/// How long things may take, in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// Carrying out one action: all of its requests, from the first one sent
    /// to the last one answered, 31 to 300. What is not answered by then is in
    /// doubt. Proxmox's own proxy gives up after 30 s, so that less than that
    /// would only lose its answer; an executor's lease must be longer.
    pub request_s: u64,
    /// How long after a lost answer its effect may still appear, 31 to 3,600.
    pub settle_s: u64,
    /// One action with all its retries and waits, 60 to 86,400.
    pub action_s: u64,
    /// A clone with all its retries and waits, 60 to 86,400: a full copy of a
    /// large disk is the slowest thing that is done here.
    pub clone_s: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { request_s: 60, settle_s: 60, action_s: 600, clone_s: 3_600 }
    }
}

impl Timeouts {
    pub(crate) fn request(&self) -> Duration {
        Duration::from_secs(self.request_s)
    }

    pub(crate) fn settle(&self) -> Duration {
        Duration::from_secs(self.settle_s)
    }

    pub(crate) fn action(&self) -> Duration {
        Duration::from_secs(self.action_s)
    }

    pub(crate) fn clone(&self) -> Duration {
        Duration::from_secs(self.clone_s)
    }
}

/// One Proxmox VE cluster, as configured (without its address and credentials,
/// which make the client).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The provider's name.
    pub name: ProviderId,
    /// The first and the last vmid that guests get. Nothing else should take
    /// ids from this range; what does is left alone, and costs a retry.
    #[serde(default = "default_vmid_range")]
    pub vmid_range: [u32; 2],
    /// Which templates are images.
    #[serde(default)]
    pub templates: Templates,
    /// How disks come from a template's.
    #[serde(default)]
    pub clone_mode: CloneMode,
    /// The storage that full clones are put on; the template's own when unset.
    #[serde(default)]
    pub clone_storage: Option<String>,
    /// The bridge of an interface that names no network and that the template
    /// does not have.
    #[serde(default = "default_bridge")]
    pub bridge: String,
    /// The pool that guests are put into.
    #[serde(default)]
    pub pool: Option<String>,
    /// The storage (with content `iso`) that seeds are put on as media, for guests
    /// that cannot reach the metadata door; unset, guests ask that door.
    #[serde(default)]
    pub seed_storage: Option<String>,
    /// Whether the guest agent is switched on in every guest. When not, it is
    /// left as the template has it.
    #[serde(default = "default_agent")]
    pub agent: bool,
    /// How often a start is tried again that failed in a way that may pass by
    /// itself, 0 to 100.
    #[serde(default = "default_start_retries")]
    pub start_retries: u32,
    /// How much is asked of the cluster at once.
    #[serde(default)]
    pub limits: Limits,
    /// How long things may take.
    #[serde(default)]
    pub timeouts: Timeouts,
}

fn default_vmid_range() -> [u32; 2] {
    DEFAULT_VMID_RANGE
}

fn default_bridge() -> String {
    "vmbr0".to_owned()
}

fn default_agent() -> bool {
    true
}

fn default_start_retries() -> u32 {
    3
}

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct SettingsError {
    /// The setting, for example `limits.clones_per_host`.
    pub field: &'static str,
    /// What was expected and what was given.
    pub message: String,
}

impl Settings {
    /// Everything by default.
    pub fn new(name: ProviderId) -> Self {
        Self {
            name,
            vmid_range: DEFAULT_VMID_RANGE,
            templates: Templates::default(),
            clone_mode: CloneMode::default(),
            clone_storage: None,
            bridge: default_bridge(),
            pool: None,
            seed_storage: None,
            agent: default_agent(),
            start_retries: default_start_retries(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
        }
    }

    /// Refuses values that Proxmox or the house could not live with.
    ///
    /// # Errors
    /// The first setting that is wrong.
    pub fn check(&self) -> Result<(), SettingsError> {
        let wrong = |field, message| Err(SettingsError { field, message });
        let [first, last] = self.vmid_range;
        if !PROXMOX_VMIDS.contains(&first) || !PROXMOX_VMIDS.contains(&last) || first > last {
            return wrong(
                "vmid_range",
                format!(
                    "expected [first, last] within {} and {}, got [{first}, {last}]",
                    PROXMOX_VMIDS.start(),
                    PROXMOX_VMIDS.end()
                ),
            );
        }
        if !is_interface_name(&self.bridge) {
            return wrong(
                "bridge",
                format!("expected a bridge such as vmbr0, got {:?}", self.bridge),
            );
        }
        if self.clone_storage.is_some() && self.clone_mode == CloneMode::Linked {
            return wrong(
                "clone_storage",
                "a linked clone stays on its template's storage; unset it or use clone_mode = \"full\""
                    .to_owned(),
            );
        }
        let ranges = [
            ("start_retries", u64::from(self.start_retries), 0..=100),
            ("limits.clones_per_host", u64::from(self.limits.clones_per_host), 1..=100),
            ("limits.tasks_per_host", u64::from(self.limits.tasks_per_host), 1..=1_000),
            ("limits.requests", u64::from(self.limits.requests), 1..=1_000),
            ("timeouts.request_s", self.timeouts.request_s, 31..=300),
            ("timeouts.settle_s", self.timeouts.settle_s, 31..=3_600),
            ("timeouts.action_s", self.timeouts.action_s, 60..=86_400),
            ("timeouts.clone_s", self.timeouts.clone_s, 60..=86_400),
        ];
        for (field, value, range) in ranges {
            if !range.contains(&value) {
                let message = format!("expected {} to {}, got {value}", range.start(), range.end());
                return wrong(field, message);
            }
        }
        Ok(())
    }

    /// Whether clones of a template are linked; `can` says whether the storages
    /// of its disks can do that.
    pub(crate) fn clones_linked(&self, can: bool) -> bool {
        match self.clone_mode {
            CloneMode::Auto | CloneMode::Linked => can,
            CloneMode::Full => false,
        }
    }

    /// The vmids of the range.
    pub(crate) fn vmids(&self) -> std::ops::RangeInclusive<u64> {
        u64::from(self.vmid_range[0])..=u64::from(self.vmid_range[1])
    }
}

/// Whether Linux would take this as the name of a bridge: 1 to 15 characters,
/// beginning with a letter (Proxmox's `pve-bridge-id`).
pub(crate) fn is_interface_name(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

impl Templates {
    /// Whether a template with these properties is an image.
    pub(crate) fn select(&self, name: &str, tags: &BTreeSet<&str>, pool: Option<&str>) -> bool {
        self.tag.as_ref().is_none_or(|tag| tags.contains(tag.as_str()))
            && self.name.as_ref().is_none_or(|pattern| matches(pattern, name))
            && self.pool.as_deref().is_none_or(|want| pool == Some(want))
    }
}

/// Whether `text` matches `pattern`, in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let tail = pieces.pop().unwrap_or_default();
    for piece in pieces {
        match text.find(piece) {
            Some(at) => text = &text[at + piece.len()..],
            None => return false,
        }
    }
    text.ends_with(tail)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn settings(text: &str) -> Result<Settings, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn a_name_alone_is_enough() {
        let parsed = settings(r#"{"name":"lab"}"#).unwrap();
        assert_eq!(parsed, Settings::new("lab".parse().unwrap()));
        parsed.check().unwrap();
    }

    #[test]
    fn an_unknown_setting_is_refused_by_name() {
        let error = settings(r#"{"name":"lab","brigde":"vmbr1"}"#).unwrap_err();
        assert!(error.to_string().contains("brigde"), "{error}");
    }

    #[test]
    fn an_impossible_setting_is_named_with_what_was_expected() {
        let lab = || Settings::new("lab".parse().unwrap());
        let mut cases = vec![];
        cases.push((
            Settings { vmid_range: [200, 100], ..lab() },
            "vmid_range: expected [first, last]",
        ));
        cases.push((Settings { vmid_range: [5, 100], ..lab() }, "vmid_range: "));
        cases.push((Settings { bridge: "a b".into(), ..lab() }, "bridge: expected a bridge"));
        let timeouts = Timeouts { request_s: 10, ..Timeouts::default() };
        cases.push((
            Settings { timeouts, ..lab() },
            "timeouts.request_s: expected 31 to 300, got 10",
        ));
        let limits = Limits { clones_per_host: 0, ..Limits::default() };
        cases.push((
            Settings { limits, ..lab() },
            "limits.clones_per_host: expected 1 to 100, got 0",
        ));
        for (settings, expected) in cases {
            let error = settings.check().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_star_in_a_template_pattern_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("debian-*", "debian-12", true),
            ("debian-*", "ubuntu-24", false),
            ("*", "", true),
            ("*-cloud", "debian-cloud", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c2b", false),
            ("exact", "exact", true),
            ("exact", "exactly", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn every_selection_that_is_set_must_hold() {
        let select = Templates { tag: Some("image".into()), name: Some("deb*".into()), pool: None };
        let tags = BTreeSet::from(["x", "image"]);
        assert!(select.select("debian", &tags, None));
        assert!(!select.select("debian", &BTreeSet::new(), None));
        assert!(!select.select("alpine", &tags, None));
        assert!(Templates::default().select("any", &BTreeSet::new(), Some("pool")));
    }
}
