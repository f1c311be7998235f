//! What Proxmox's texts mean. There is no other way: its API has no error
//! codes, and the texts below were seen on releases 8.4 and 9.2.

use crate::VmId;

/// The meaning of a refusal or of a failed task's text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Something does not exist.
    Missing(Missing),
    /// The id or name is taken.
    AlreadyExists,
    /// A right is missing; which one, when the text says so.
    Forbidden(Option<PrivilegeCheck>),
    /// Parameters were refused; see [`Rejection::errors`](super::Rejection::errors).
    InvalidParameters,
    /// The configuration changed since its digest was read.
    DigestMismatch,
    /// A lock is held.
    Busy(Lock),
    /// No quorum, or the node cannot be reached by its peers.
    Unavailable,
    /// The guest is not running.
    NotRunning,
    /// The guest is running already.
    AlreadyRunning,
    /// The guest agent is not switched on in the guest's configuration.
    AgentNotConfigured,
    /// The guest agent does not answer (yet).
    AgentNotRunning,
    /// The guest agent answered with an error.
    Agent,
    /// The thing is still used by others (a base volume by its linked clones).
    InUse,
    /// The server does not know the call (501).
    NotImplemented,
    /// Anything else.
    Other,
}

/// What does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missing {
    /// A guest, on the node that was asked.
    Guest(VmId),
    /// A snapshot.
    Snapshot(String),
    /// A storage.
    Storage(String),
    /// A pool.
    Pool(String),
    /// A node.
    Node(String),
    /// A task.
    Task,
    /// Something else.
    Other,
}

/// A lock that was held.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lock {
    /// The guest's configuration carries this lock (`clone`, `backup`, …).
    Guest(String),
    /// A lock file could not be had in time.
    File(String),
    /// A lock of the cluster file system could not be had in time.
    Cluster(String),
}

/// A permission check that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivilegeCheck {
    /// The ACL path, `/vms/101` for example.
    pub path: String,
    /// The privilege; alternatives are joined with `|`.
    pub privileges: String,
}

impl Kind {
    /// The meaning of a text alone: a failed task's exit status, for example.
    pub fn of_text(text: &str) -> Self {
        let text = text.trim_end();
        if let Some(lock) = lock(text) {
            return Self::Busy(lock);
        }
        if is_unavailable(text) {
            return Self::Unavailable;
        }
        if let Some(kind) = agent(text) {
            return kind;
        }
        if text.contains("checksum mismatch (file change")
            || text.contains("detected modified configuration")
        {
            return Self::DigestMismatch;
        }
        if let Some(missing) = missing(text) {
            return Self::Missing(missing);
        }
        if text.starts_with("Permission check failed") {
            return Self::Forbidden(privilege(text));
        }
        if text.contains("already exists")
            || text.contains("already defined")
            || text.contains("already used")
        {
            return Self::AlreadyExists;
        }
        if text.contains("is still in use") || text.contains("still used by") {
            return Self::InUse;
        }
        if text.ends_with("already running") {
            return Self::AlreadyRunning;
        }
        if text.ends_with("not running") {
            return Self::NotRunning;
        }
        Self::Other
    }

    pub(crate) fn of_answer<'a>(
        status: u16,
        text: &str,
        mut errors: impl Iterator<Item = &'a str> + Clone,
    ) -> Self {
        let of_text = Self::of_text(text);
        match (status, of_text) {
            (400, Self::Other) => {
                if errors.clone().any(|text| text.contains("already exists")) {
                    Self::AlreadyExists
                } else if errors.any(|text| text.trim_end() == "no such task") {
                    Self::Missing(Missing::Task)
                } else {
                    Self::InvalidParameters
                }
            }
            (403, Self::Other) => Self::Forbidden(None),
            (501, Self::Other) => Self::NotImplemented,
            (_, kind) => kind,
        }
    }
}

/// The text in single quotes that follow `head`.
fn quoted<'a>(text: &'a str, head: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("{head}'"))?;
    rest.split('\'').next()
}

fn lock(text: &str) -> Option<Lock> {
    for head in ["VM is locked (", "CT is locked ("] {
        if let Some((_, rest)) = text.split_once(head) {
            return Some(Lock::Guest(rest.split(')').next()?.to_owned()));
        }
    }
    if text.contains("can't lock file ") && text.contains("got timeout") {
        return Some(Lock::File(quoted(text, "can't lock file ")?.to_owned()));
    }
    if text.contains("got lock request timeout") || text.contains("got lock timeout") {
        let name = quoted(text, "cfs-lock ").or_else(|| quoted(text, "cfs lock "));
        return Some(Lock::Cluster(name.unwrap_or_default().to_owned()));
    }
    None
}

fn is_unavailable(text: &str) -> bool {
    text.contains("no quorum")
        || text.starts_with("hostname lookup '")
        || text.contains("cluster not ready")
        || text.contains("Transport endpoint is not connected")
}

fn agent(text: &str) -> Option<Kind> {
    if text.starts_with("No QEMU guest agent configured") {
        Some(Kind::AgentNotConfigured)
    } else if text.starts_with("QEMU guest agent is not running") {
        Some(Kind::AgentNotRunning)
    } else if text.starts_with("Agent error:") {
        Some(Kind::Agent)
    } else {
        None
    }
}

fn missing(text: &str) -> Option<Missing> {
    if let Some(file) = quoted(text, "Configuration file ")
        && text.ends_with("does not exist")
    {
        let id = file.rsplit('/').next()?.strip_suffix(".conf")?;
        return Some(id.parse().map_or(Missing::Other, Missing::Guest));
    }
    for head in [
        "unable to find configuration file for VM ",
        "unable to find configuration file for CT ",
        "no such VM ('",
        "no such CT ('",
    ] {
        if let Some((_, rest)) = text.split_once(head) {
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
            return Some(digits.parse().map_or(Missing::Other, Missing::Guest));
        }
    }
    if let Some(node) = quoted(text, "no such cluster node ") {
        return Some(Missing::Node(node.to_owned()));
    }
    if text.contains("does not exist") {
        let named = |head, make: fn(String) -> Missing| {
            // At the start of a word: `create pool failed: pool 'x' …`.
            let name = quoted(text, head)?;
            text.contains(&format!("{head}'{name}' does not exist")).then(|| make(name.to_owned()))
        };
        return named("snapshot ", Missing::Snapshot)
            .or_else(|| named("storage ", Missing::Storage))
            .or_else(|| named("pool ", Missing::Pool))
            .or(Some(Missing::Other));
    }
    let other = text == "no such task"
        || text.starts_with("no rule at position")
        || (text.contains("no such ") && !text.starts_with("no such file '/api"));
    (other && text != "no such uri").then_some(Missing::Other)
}

/// `Permission check failed (/vms/101, VM.Audit)`; other things stand in the
/// brackets too, and some texts have none.
fn privilege(text: &str) -> Option<PrivilegeCheck> {
    let (_, rest) = text.split_once('(')?;
    let (path, privileges) = rest.trim_end().strip_suffix(')')?.split_once(", ")?;
    let named =
        privileges.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '|' | '_' | ' '));
    (path.starts_with('/') && named)
        .then(|| PrivilegeCheck { path: path.to_owned(), privileges: privileges.to_owned() })
}
