//! Ids: guests and tasks.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Text that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not {expected}")]
pub struct ParseError {
    text: String,
    expected: &'static str,
}

impl ParseError {
    pub(crate) fn new(text: &str, expected: &'static str) -> Self {
        // Errors are printed; nobody needs a megabyte of it.
        let text = text.chars().take(200).collect();
        Self { text, expected }
    }
}

/// The number of a guest, 100 to 999,999,999, the same for virtual machines
/// and containers of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VmId(u32);

impl VmId {
    /// The smallest id that Proxmox accepts.
    pub const MIN: Self = Self(100);
    /// The largest id that Proxmox accepts.
    pub const MAX: Self = Self(999_999_999);

    /// A checked id.
    pub const fn new(id: u32) -> Option<Self> {
        if id >= Self::MIN.0 && id <= Self::MAX.0 { Some(Self(id)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for VmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for VmId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let id = text.parse().ok().and_then(Self::new);
        id.ok_or_else(|| ParseError::new(text, "a guest id between 100 and 999999999"))
    }
}

impl TryFrom<u32> for VmId {
    type Error = ParseError;

    fn try_from(id: u32) -> Result<Self, ParseError> {
        Self::new(id)
            .ok_or_else(|| ParseError::new(&id.to_string(), "a guest id between 100 and 999999999"))
    }
}

impl<'de> Deserialize<'de> for VmId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::try_from(crate::lenient::u32(d)?).map_err(D::Error::custom)
    }
}

impl Serialize for VmId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u32(self.0)
    }
}

/// An optional [`VmId`] in any spelling, for `deserialize_with`.
pub(crate) fn opt_vmid<'de, D: Deserializer<'de>>(d: D) -> Result<Option<VmId>, D::Error> {
    let id = crate::lenient::opt_u32(d)?;
    id.map(VmId::try_from).transpose().map_err(D::Error::custom)
}

/// The id of a task:
/// `UPID:NODE:PID:PSTART:STARTTIME:TYPE:ID:USER:`.
///
/// A clone's `id` is the **source**; it is empty for an upload and can be
/// `102@local` for a deleted volume.
///
/// ```
/// let upid: pve::Upid = "UPID:pve1:0000314F:000AB8AD:6B007E7F:qmdestroy:505:root@pam!full:".parse()?;
/// assert_eq!((upid.node(), upid.kind(), upid.id()), ("pve1", "qmdestroy", "505"));
/// assert_eq!((upid.user(), upid.token()), ("root@pam", Some("full")));
/// assert_eq!(upid.start_time(), 1_795_194_495);
/// # Ok::<(), pve::ParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Upid {
    node: String,
    pid: u32,
    pstart: u64,
    start_time: u64,
    kind: String,
    id: String,
    owner: String,
    /// `pstart` has 8 or 9 digits; the id must print as it was.
    pstart_digits: usize,
}

impl Upid {
    /// The node that runs it, and that must be asked about it.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The process id on the node.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The process's start, in the kernel's clock ticks since boot.
    pub fn pstart(&self) -> u64 {
        self.pstart
    }

    /// When it began, in seconds since the epoch by the node's clock.
    pub fn start_time(&self) -> u64 {
        self.start_time
    }

    /// The type: `qmclone`, `qmstart`, `imgcopy`, …
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What it works on; may be empty.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The guest it works on, when the id is one.
    pub fn vmid(&self) -> Option<VmId> {
        self.id.parse().ok()
    }

    /// The user, without the token.
    pub fn user(&self) -> &str {
        self.owner.split('!').next().unwrap_or(&self.owner)
    }

    /// The token's name, when a token started it.
    pub fn token(&self) -> Option<&str> {
        self.owner.split_once('!').map(|(_, token)| token)
    }
}

impl fmt::Display for Upid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "UPID:{}:{:08X}:{:0width$X}:{:08X}:{}:{}:{}:",
            self.node,
            self.pid,
            self.pstart,
            self.start_time,
            self.kind,
            self.id,
            self.owner,
            width = self.pstart_digits,
        )
    }
}

impl FromStr for Upid {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse_upid(text).ok_or_else(|| ParseError::new(text, "a task id (UPID)"))
    }
}

fn parse_upid(text: &str) -> Option<Upid> {
    if text.len() > 1024 {
        return None;
    }
    let mut parts = text.strip_prefix("UPID:")?.strip_suffix(':')?.split(':');
    let mut next = || parts.next();
    let hex = |text: &str, digits: std::ops::RangeInclusive<usize>| {
        let proper = digits.contains(&text.len()) && text.bytes().all(|c| c.is_ascii_hexdigit());
        proper.then(|| u64::from_str_radix(text, 16).ok()).flatten()
    };
    let node = next().filter(|node| !node.is_empty())?;
    let pid = hex(next()?, 8..=8)?;
    let pstart = next()?;
    let start_time = hex(next()?, 8..=8)?;
    let kind = next().filter(|kind| !kind.is_empty())?;
    let (id, owner) = (next()?, next().filter(|owner| !owner.is_empty())?);
    if next().is_some() {
        return None;
    }
    Some(Upid {
        node: node.to_owned(),
        pid: u32::try_from(pid).ok()?,
        pstart: hex(pstart, 8..=9)?,
        start_time,
        kind: kind.to_owned(),
        id: id.to_owned(),
        owner: owner.to_owned(),
        pstart_digits: pstart.len(),
    })
}

impl<'de> Deserialize<'de> for Upid {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

impl Serialize for Upid {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn all_forms_print_as_they_were() {
        for text in [
            "UPID:pve1:000033BF:000ABDA6:6B007E8C:imgcopy::root@pam:",
            "UPID:pve1:000033BF:000ABDA6:6B007E8C:imgdel:102@local:root@pam:",
            "UPID:pve-2.x:000033BF:1000ABDA6:6B007E8C:qmclone:100:a@b!t:",
        ] {
            assert_eq!(text.parse::<Upid>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "UPID:bogus",
            "UPID:pve1:000033BF:000ABDA6:6B007E8C:imgcopy::root@pam",
            "UPID:pve1:33BF:000ABDA6:6B007E8C:imgcopy::root@pam:",
            "UPID:pve1:000033BG:000ABDA6:6B007E8C:imgcopy::root@pam:",
            "UPID:pve1:+00033BF:000ABDA6:6B007E8C:imgcopy::root@pam:",
            "UPID:pve1:000033BF:000ABDA6:6B007E8C:imgcopy::root@pam:x:",
        ] {
            assert!(text.parse::<Upid>().is_err(), "{text}");
        }
    }

    #[test]
    fn guest_ids_have_a_range() {
        assert!("99".parse::<VmId>().is_err());
        assert!("1000000000".parse::<VmId>().is_err());
        assert_eq!(serde_json::from_str::<VmId>("\"103\"").unwrap().get(), 103);
        assert_eq!(serde_json::from_str::<VmId>("103").unwrap().get(), 103);
    }
}
