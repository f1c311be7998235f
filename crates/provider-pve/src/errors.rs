//! From the client's errors, and the texts that tasks end with, to what the
//! house may do about them.

use std::error::Error as _;
use std::time::Duration;

use provider::{Error, Rejection};
use pve::error::{Kind, TransportKind};

/// Texts that have no kind of their own in the client: a part in lower case,
/// and what it means. The first that fits counts.
const TEXTS: &[(&str, Meaning)] = &[
    // The guest did not react; asking again would take as long again.
    ("quit/powerdown failed", Meaning::Unsupported),
    // Races about the power state, and late clean-ups: the next look sees.
    ("vm still running", Meaning::Busy),
    ("got timeout", Meaning::Busy),
    ("got lock", Meaning::Busy),
    // The worker was killed; the next look sees what it has done.
    ("unexpected status", Meaning::Busy),
    ("received interrupt", Meaning::Busy),
    ("interrupted by signal", Meaning::Busy),
    ("no space left", Meaning::Quota),
    ("not enough space", Meaning::Quota),
    ("not enough free space", Meaning::Quota),
    ("insufficient free space", Meaning::Quota),
    ("out of space", Meaning::Quota),
    ("cannot allocate memory", Meaning::Quota),
    ("quota exceeded", Meaning::Quota),
    ("linked clone feature is not", Meaning::Unsupported),
    ("not allowed for linked clones", Meaning::Unsupported),
    ("uses local storage", Meaning::Unsupported),
];

#[derive(Clone, Copy)]
enum Meaning {
    Busy,
    Quota,
    Unsupported,
}

/// The error that a task's exit text stands for. A text that is not known is a
/// refusal: repeating what failed for an unknown reason would hide it.
pub(crate) fn of_text(text: &str) -> Error {
    let text = text.trim();
    of_kind(&Kind::of_text(text), text)
}

fn of_kind(kind: &Kind, text: &str) -> Error {
    let rejected = |why| Error::rejected(why, text);
    match kind {
        Kind::Busy(_) | Kind::DigestMismatch | Kind::AlreadyRunning | Kind::AgentNotRunning => {
            Error::Busy(text.to_owned())
        }
        Kind::Unavailable => Error::Unavailable(text.to_owned()),
        Kind::AlreadyExists => rejected(Rejection::Exists),
        Kind::Forbidden(check) => rejected(Rejection::Denied(
            check.as_ref().map(|check| privilege(&check.path, &check.privileges)),
        )),
        // What a guest is to use, not the guest: the request is wrong.
        Kind::Missing(_) if names_a_part(text) => rejected(Rejection::Invalid),
        Kind::Missing(_) => rejected(Rejection::NotFound),
        Kind::NotImplemented | Kind::InUse | Kind::AgentNotConfigured => {
            rejected(Rejection::Unsupported)
        }
        _ => match meaning(text) {
            Some(Meaning::Busy) => Error::Busy(text.to_owned()),
            Some(Meaning::Quota) => rejected(Rejection::Quota),
            Some(Meaning::Unsupported) => rejected(Rejection::Unsupported),
            None => rejected(Rejection::Invalid),
        },
    }
}

fn meaning(text: &str) -> Option<Meaning> {
    let lower = text.to_ascii_lowercase();
    let found = TEXTS.iter().find(|(part, _)| lower.contains(part));
    found.map(|(_, meaning)| *meaning)
}

fn names_a_part(text: &str) -> bool {
    ["bridge '", "security group '", "pool '"].iter().any(|head| text.contains(head))
}

/// A missing privilege for people: `VM.Clone on /vms/9000`.
pub(crate) fn privilege(path: &str, privileges: &str) -> String {
    format!("{} on {path}", privileges.replace('|', " or "))
}

/// The error of a call. `settle` is how long after a lost answer its effect
/// may still appear.
pub(crate) fn of_call(error: &pve::Error, settle: Duration) -> Error {
    let text = chain(error);
    match error {
        pve::Error::NotSent { source, .. } => match source.kind {
            TransportKind::Timeout | TransportKind::Closed => Error::NotSent(text),
            _ => Error::Unavailable(text),
        },
        pve::Error::Unavailable { .. } => Error::Unavailable(text),
        pve::Error::Busy { .. } => Error::Busy(text),
        pve::Error::Unauthenticated(_) => Error::rejected(Rejection::Denied(None), text),
        pve::Error::Rejected(rejection) => of_kind(&rejection.kind, &text),
        pve::Error::InvalidRequest { .. } | pve::Error::Config(_) => Error::invalid(text),
        error if error.may_have_happened() => Error::Ambiguous { text, settle },
        _ => Error::Malformed(text),
    }
}

/// The error of a call that only reads: never ambiguous.
pub(crate) fn of_read(error: &pve::Error) -> Error {
    match of_call(error, Duration::ZERO) {
        Error::Ambiguous { text, .. } | Error::NotSent(text) => Error::Unavailable(text),
        other => other,
    }
}

/// The error with its causes on one line.
fn chain(error: &pve::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> &'static str {
        match of_text(text) {
            Error::Busy(_) => "busy",
            Error::Unavailable(_) => "unavailable",
            Error::Rejected { why, .. } => match why {
                Rejection::Invalid => "invalid",
                Rejection::Exists => "exists",
                Rejection::Quota => "quota",
                Rejection::NotFound => "not found",
                Rejection::Unsupported => "unsupported",
                Rejection::Denied(_) => "denied",
            },
            _ => "other",
        }
    }

    #[test]
    fn texts_of_real_clusters_are_classed_by_what_to_do_next() {
        for (text, expected) in [
            ("can't lock file '/var/lock/qemu-server/lock-102.conf' - got timeout", "busy"),
            ("VM is locked (backup)", "busy"),
            ("checksum mismatch (file change by other user?)", "busy"),
            ("VM 101 already running", "busy"),
            ("unexpected status", "busy"),
            ("cluster not ready - no quorum?", "unavailable"),
            ("unable to create VM 791: config file already exists", "exists"),
            ("clone failed: No space left on device", "quota"),
            ("bridge 'vmbr4000' does not exist", "invalid"),
            ("security group 'web' does not exist", "invalid"),
            ("start failed: QEMU exited with code 1", "invalid"),
            ("shrinking disks is not supported", "invalid"),
            ("storage 'fast' does not exist", "not found"),
            ("VM quit/powerdown failed - got timeout", "unsupported"),
            ("Linked clone feature is not supported for 'x' (scsi0)", "unsupported"),
            ("Permission check failed (/vms/101, VM.Audit)", "denied"),
            ("something new", "invalid"),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    #[test]
    fn the_missing_privilege_is_named_with_its_path() {
        let error = of_text(
            "Permission check failed (/storage/x, Datastore.Audit|Datastore.AllocateSpace)\n",
        );
        let Error::Rejected { why, .. } = error else {
            panic!("{error:?}");
        };
        let named = "Datastore.Audit or Datastore.AllocateSpace on /storage/x";
        assert_eq!(why, Rejection::Denied(Some(named.to_owned())));
    }
}
