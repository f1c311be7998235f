//! The table itself.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::Value;

use crate::Release;

const GENERATED: &str = include_str!("generated.json");
const NAMED: &str = include_str!("named.json");

/// The format of one option's property string.
#[derive(Debug)]
pub struct Format {
    name: String,
    span: Span,
    /// Sorted by name.
    keys: Vec<Key>,
}

/// One key of a format.
#[derive(Debug)]
pub struct Key {
    name: String,
    span: Span,
    kind: KeyKind,
    required: bool,
    is_default: bool,
    default: Option<String>,
    alias: Option<String>,
    key_alias: Option<String>,
    requires: Option<String>,
}

/// What a key's value may be.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeyKind {
    /// 1 or 0.
    Boolean,
    /// A whole number, ends included.
    Integer {
        /// The smallest.
        minimum: Option<i64>,
        /// The largest.
        maximum: Option<i64>,
    },
    /// A number, ends included.
    Number {
        /// The smallest.
        minimum: Option<f64>,
        /// The largest.
        maximum: Option<f64>,
    },
    /// One of these words.
    Enum(Vec<String>),
    /// A text.
    Text {
        /// The name of what it must be: `mac-addr`, `disk-size`.
        format: Option<String>,
        /// A regular expression that it must match as a whole.
        pattern: Option<String>,
        /// The most characters.
        max_length: Option<usize>,
    },
}

/// Since and until which release, both included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    since: Option<Release>,
    until: Option<Release>,
}

impl Span {
    fn has(self, release: Release) -> bool {
        let release = release.known();
        self.since.is_none_or(|since| since <= release)
            && self.until.is_none_or(|until| release <= until)
    }
}

impl Format {
    /// `qemu/net`: the group and the option without its number.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Has the release such an option?
    pub fn is_in(&self, release: Release) -> bool {
        self.span.has(release)
    }

    /// The keys, sorted by name, aliases included.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// A key by its name.
    pub fn key(&self, name: &str) -> Option<&Key> {
        let place = self.keys.binary_search_by(|key| key.name.as_str().cmp(name)).ok()?;
        self.keys.get(place)
    }

    /// The key whose name may be left out.
    pub fn default_key(&self) -> Option<&Key> {
        self.keys.iter().find(|key| key.is_default)
    }

    /// Does Proxmox read and print the option when it stores it? Others it
    /// stores as they were sent. Seen on recorded configurations.
    pub fn is_reprinted(&self) -> bool {
        let options = [
            "qemu/ide",
            "qemu/sata",
            "qemu/scsi",
            "qemu/virtio",
            "qemu/efidisk0",
            "qemu/tpmstate0",
            "qemu/unused",
            "qemu/net",
            "lxc/net",
            "lxc/mp",
            "lxc/rootfs",
            "lxc/unused",
        ];
        options.contains(&self.name.as_str())
    }
}

impl Key {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Has the release this key?
    pub fn is_in(&self, release: Release) -> bool {
        self.span.has(release)
    }

    /// What its value may be.
    pub fn kind(&self) -> &KeyKind {
        &self.kind
    }

    /// Must it be there?
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// May its name be left out?
    pub fn is_default(&self) -> bool {
        self.is_default
    }

    /// What Proxmox takes when it is absent.
    pub fn default_value(&self) -> Option<&str> {
        self.default.as_deref()
    }

    /// The key whose value it really is.
    pub fn alias(&self) -> Option<&str> {
        self.alias.as_deref()
    }

    /// The key whose value its own name is: `model` for `virtio=AA:…`.
    pub fn key_alias(&self) -> Option<&str> {
        self.key_alias.as_deref()
    }

    /// The key without which it may not be.
    pub fn requires(&self) -> Option<&str> {
        self.requires.as_deref()
    }
}

#[derive(Deserialize)]
struct File {
    formats: Vec<RawFormat>,
}

#[derive(Deserialize)]
struct RawFormat {
    name: String,
    since: Option<String>,
    until: Option<String>,
    keys: BTreeMap<String, RawKey>,
}

/// A key or a parameter as the tables write it.
#[derive(Deserialize)]
pub(crate) struct RawKey {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    since: Option<String>,
    until: Option<String>,
    #[serde(default)]
    pub required: u8,
    #[serde(default)]
    default_key: u8,
    default: Option<Value>,
    alias: Option<String>,
    #[serde(rename = "keyAlias")]
    key_alias: Option<String>,
    pub requires: Option<String>,
    #[serde(rename = "enum")]
    words: Option<Vec<String>>,
    format: Option<String>,
    pattern: Option<String>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    #[serde(rename = "maxLength")]
    max_length: Option<usize>,
}

impl RawKey {
    #[allow(clippy::cast_possible_truncation, reason = "limits of integers are small and whole")]
    pub fn value_kind(&self) -> KeyKind {
        if let Some(words) = &self.words {
            return KeyKind::Enum(words.clone());
        }
        let (minimum, maximum) = (self.minimum, self.maximum);
        match self.kind.as_deref() {
            Some("boolean") => KeyKind::Boolean,
            Some("integer") => KeyKind::Integer {
                minimum: minimum.map(|limit| limit as i64),
                maximum: maximum.map(|limit| limit as i64),
            },
            Some("number") => KeyKind::Number { minimum, maximum },
            _ => KeyKind::Text {
                format: self.format.clone(),
                pattern: self.pattern.clone(),
                max_length: self.max_length,
            },
        }
    }
}

fn span(since: Option<&String>, until: Option<&String>) -> Span {
    let release = |text: Option<&String>| {
        let (major, minor) = text?.split_once('.')?;
        Some(Release::new(major.parse().ok()?, minor.parse().ok()?))
    };
    Span { since: release(since), until: release(until) }
}

fn build(raw: RawFormat) -> Format {
    let keys = raw.keys.into_iter().map(|(name, raw)| Key {
        name,
        span: span(raw.since.as_ref(), raw.until.as_ref()),
        kind: raw.value_kind(),
        required: raw.required != 0,
        is_default: raw.default_key != 0,
        default: raw.default.as_ref().and_then(crate::lenient::scalar),
        // One that was a key of its own before it became an alias counts as
        // the key: only the newest release knows its target.
        alias: raw.alias.filter(|_| raw.kind.is_none()),
        key_alias: raw.key_alias,
        requires: raw.requires,
    });
    // The map is sorted by name.
    let keys = keys.collect();
    Format { span: span(raw.since.as_ref(), raw.until.as_ref()), name: raw.name, keys }
}

/// Sorted by name.
pub(super) fn formats() -> &'static [Format] {
    static TABLE: OnceLock<Vec<Format>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut formats: BTreeMap<String, Format> = BTreeMap::new();
        for text in [GENERATED, NAMED] {
            #[allow(clippy::expect_used, reason = "the files are part of the program, and tested")]
            let file: File = serde_json::from_str(text).expect("the table of formats is JSON");
            // What is named stands for itself in releases where the schema
            // has it spelt out.
            formats.extend(file.formats.into_iter().map(|raw| (raw.name.clone(), build(raw))));
        }
        formats.into_values().collect()
    })
}
