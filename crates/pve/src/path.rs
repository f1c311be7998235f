//! Paths below `/api2/json`, percent-encoded segment by segment.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but RFC 3986's unreserved characters. Proxmox splits form bodies
/// on `;` as well as `&` and cuts values at a second `=`, so nothing of the
/// kind may stay raw.
pub(crate) const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The path of an API call, relative to `/api2/json`.
///
/// From a string, `/` separates segments; from a slice of segments, a `/`
/// inside one is data and gets encoded (volume ids hold slashes, UPIDs hold
/// colons):
///
/// ```
/// use pve::ApiPath;
/// assert_eq!(ApiPath::from("/nodes/pve1/qemu").to_string(), "nodes/pve1/qemu");
/// let volume = ApiPath::new(["nodes", "pve1", "storage", "local", "content", "local:iso/a.iso"]);
/// assert_eq!(volume.to_string(), "nodes/pve1/storage/local/content/local%3Aiso%2Fa.iso");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiPath {
    encoded: String,
    fault: Option<String>,
}

impl ApiPath {
    /// A path of these segments.
    pub fn new<S: AsRef<str>>(segments: impl IntoIterator<Item = S>) -> Self {
        let mut path = Self::default();
        for segment in segments {
            path.push(segment.as_ref());
        }
        path
    }

    /// This path with one more segment.
    #[must_use]
    pub fn join(&self, segment: impl fmt::Display) -> Self {
        let mut path = self.clone();
        path.push(&segment.to_string());
        path
    }

    /// This path with the segments of `tail`, which are separated by `/`.
    #[must_use]
    pub(crate) fn sub(&self, tail: &str) -> Self {
        let mut path = self.clone();
        for segment in tail.split('/') {
            path.push(segment);
        }
        path
    }

    /// This path without its last segment.
    pub(crate) fn parent(&self) -> Self {
        let mut path = self.clone();
        path.encoded.truncate(path.encoded.rfind('/').unwrap_or(0));
        path
    }

    /// The last segment, decoded.
    pub(crate) fn last(&self) -> String {
        let last = self.encoded.rsplit('/').next().unwrap_or_default();
        percent_encoding::percent_decode_str(last).decode_utf8_lossy().into_owned()
    }

    fn push(&mut self, segment: &str) {
        // An empty segment changes the route; `.` and `..` would be resolved
        // away by every HTTP library, encoded or not.
        if matches!(segment, "" | "." | "..") && self.fault.is_none() {
            self.fault = Some(format!("'{segment}' is not a usable part of an API path"));
        }
        if !self.encoded.is_empty() {
            self.encoded.push('/');
        }
        self.encoded.extend(utf8_percent_encode(segment, ENCODED));
    }

    /// The encoded path, or what is wrong with it.
    pub(crate) fn check(&self) -> Result<&str, String> {
        match &self.fault {
            None => Ok(&self.encoded),
            Some(fault) => Err(fault.clone()),
        }
    }
}

impl fmt::Display for ApiPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.encoded)
    }
}

impl From<&str> for ApiPath {
    fn from(path: &str) -> Self {
        let path = path.trim_matches('/');
        if path.is_empty() {
            return Self::default();
        }
        Self::new(path.split('/'))
    }
}

impl From<String> for ApiPath {
    fn from(path: String) -> Self {
        Self::from(path.as_str())
    }
}

impl From<&ApiPath> for ApiPath {
    fn from(path: &ApiPath) -> Self {
        path.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_and_empty_segments_are_refused() {
        for bad in ["nodes//qemu", "nodes/../access", "nodes/./x"] {
            assert!(ApiPath::from(bad).check().is_err(), "{bad}");
        }
        assert!(ApiPath::new(["nodes", ""]).check().is_err());
        assert_eq!(ApiPath::from("/").check(), Ok(""));
    }

    #[test]
    fn a_upid_is_one_segment() {
        let path = ApiPath::from("nodes/pve1/tasks").join("UPID:pve1:0:0:0:x::root@pam!a/b:");
        assert_eq!(
            path.to_string(),
            "nodes/pve1/tasks/UPID%3Apve1%3A0%3A0%3A0%3Ax%3A%3Aroot%40pam%21a%2Fb%3A"
        );
    }
}
