//! The error that a call answers, as Proxmox would.

use std::collections::BTreeMap;

/// A refused call: status, text and, for parameter errors, the text per
/// parameter. Texts carry no final newline; the HTTP layer adds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fail {
    pub status: u16,
    pub text: String,
    pub errors: BTreeMap<String, String>,
}

impl Fail {
    /// A plain error: status 500 with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self::with(500, text)
    }

    /// An error with another status than 500.
    pub fn with(status: u16, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), errors: BTreeMap::new() }
    }

    /// Parameters that were refused.
    pub fn parameters(errors: BTreeMap<String, String>) -> Self {
        Self { status: 400, text: "Parameter verification failed.".into(), errors }
    }

    /// One parameter that was refused.
    pub fn parameter(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::parameters(BTreeMap::from([(name.into(), text.into())]))
    }

    /// A missing privilege: `what` is `/path, Privilege`.
    pub fn denied(what: impl AsRef<str>) -> Self {
        let what = what.as_ref();
        let detail = if what.is_empty() { String::new() } else { format!(" ({what})") };
        Self::with(403, format!("Permission check failed{detail}"))
    }
}

impl From<String> for Fail {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}
