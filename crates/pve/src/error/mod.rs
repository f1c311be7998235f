//! One error type that says what the caller may do next.

mod kind;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use http::Method;

pub use kind::{Kind, Lock, Missing, PrivilegeCheck};

use crate::{ExitStatus, Upid};

/// The call that failed: method and path, never parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The HTTP method.
    pub method: Method,
    /// The path below `/api2/json`, percent-encoded.
    pub path: String,
}

impl Call {
    /// Does the call only read?
    pub fn is_read(&self) -> bool {
        // A log-in changes nothing that anyone could see.
        self.method == Method::GET || self.path == "access/ticket"
    }

    /// Is it answered by the guest agent inside a guest?
    pub(crate) fn is_agent(&self) -> bool {
        self.path.contains("/agent/")
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} /{}", self.method, self.path)
    }
}

/// Did the request reach the node that carries it out?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// Certainly not: nothing can have happened.
    No,
    /// Nobody knows: look before sending a write again.
    Maybe,
    /// Yes, and it answered.
    Yes,
}

/// Where the transport failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportKind {
    /// The host name could not be resolved.
    Dns,
    /// The connection was refused or broke while it was being made.
    Connect,
    /// The TLS handshake failed; the certificate is not trusted, for example.
    Tls,
    /// Nothing came in time.
    Timeout,
    /// The connection broke while the request or the answer was under way.
    Closed,
    /// A log-in that the call needed could not be made.
    Login,
}

/// What the network said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
#[non_exhaustive]
pub struct Transport {
    /// Where it failed.
    pub kind: TransportKind,
    /// The details, for people.
    pub detail: String,
}

/// An answer with an error status.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejection {
    /// The call.
    pub call: Call,
    /// The HTTP status. Proxmox has no 404 and no 409: most is 500.
    pub status: u16,
    /// The reason phrase of the status line: the first line of the message.
    pub reason: String,
    /// The whole message, when the body had one, without the final newline.
    pub message: Option<String>,
    /// Parameter name to text, for status 400.
    pub errors: BTreeMap<String, String>,
    /// What the text means.
    pub kind: Kind,
}

impl Rejection {
    /// The message, or the reason phrase where there is none.
    pub fn text(&self) -> &str {
        self.message.as_deref().unwrap_or(&self.reason)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.call, self.status, self.text())?;
        for (name, text) in &self.errors {
            write!(f, "; {name}: {}", text.trim_end())?;
        }
        Ok(())
    }
}

/// Why nobody knows whether a write happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Doubt {
    /// No answer within the client's timeout.
    TimedOut,
    /// The connection broke before the answer was complete.
    ConnectionLost,
    /// 596, 597, 599: the API proxy got no (whole) answer from the node's
    /// daemon, which after 30 seconds may well be at work still.
    NodeSilent(u16),
    /// 596 from a guest agent call: usually an answer that the daemon could
    /// not encode (a command that does not exist, for example). It says
    /// nothing against the node.
    AgentAnswerLost,
    /// A gateway in between answered (502, 503, 504, …).
    Gateway(u16),
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("no answer in time"),
            Self::ConnectionLost => f.write_str("the connection broke before the answer"),
            Self::NodeSilent(status) => write!(f, "the node did not answer its proxy ({status})"),
            Self::AgentAnswerLost => f.write_str("the guest agent's answer was lost (596)"),
            Self::Gateway(status) => write!(f, "a gateway answered {status}"),
        }
    }
}

/// Why a call failed, sorted by what the caller may do.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The call could not be built; nothing was sent. A programming error or
    /// bad input.
    #[error("{call}: {reason}")]
    InvalidRequest {
        /// The call.
        call: Call,
        /// What is wrong.
        reason: String,
    },
    /// The client could not be built.
    #[error("configuration: {0}")]
    Config(String),
    /// The server was not reached; nothing happened, and any call may be sent
    /// again.
    #[error("{call}: not sent, the server could not be reached")]
    NotSent {
        /// The call.
        call: Call,
        /// What the network said.
        source: Transport,
    },
    /// A write was sent and its answer is lost: it may have happened, may be
    /// under way, may never happen. Look before sending it again.
    #[error("{call}: outcome unknown, {doubt}")]
    Ambiguous {
        /// The call.
        call: Call,
        /// Why.
        doubt: Doubt,
        /// What the network said, unless it was a status.
        #[source]
        source: Option<Transport>,
    },
    /// The cluster, or the node that the call is for, cannot do it now:
    /// nothing happened (for a read it does not matter). Back off and repeat.
    #[error("{call}: not available now, {reason}")]
    Unavailable {
        /// The call.
        call: Call,
        /// The HTTP status, when there was one.
        status: Option<u16>,
        /// Status text, or a summary.
        reason: String,
        /// What the network said, unless it was a status.
        #[source]
        source: Option<Transport>,
    },
    /// A lock is held by something else: nothing happened, back off.
    #[error("busy: {rejection}")]
    Busy {
        /// Which lock.
        lock: Lock,
        /// The answer.
        rejection: Box<Rejection>,
    },
    /// Too many calls at once for this client's limits; nothing was sent.
    #[error("{call}: not sent, {reason}")]
    Overloaded {
        /// The call.
        call: Call,
        /// Which limit.
        reason: String,
    },
    /// The log-in that the call needs asks for a second factor; the call was
    /// not sent. Begin with [`Client::log_in`](crate::Client::log_in), or use
    /// an API token.
    #[error(
        "{call}: not sent, the log-in needs a second factor (log in by `Client::log_in`, or use an API token)"
    )]
    SecondFactor {
        /// The call.
        call: Call,
    },
    /// Token, ticket or password were refused.
    #[error("not authenticated: {0}")]
    Unauthenticated(Box<Rejection>),
    /// The server refused for a reason of its own; nothing happened.
    #[error("{0}")]
    Rejected(Box<Rejection>),
    /// The answer cannot be understood. After a write: it was carried out.
    #[error("{call}: answer not understood: {reason}")]
    Malformed {
        /// The call.
        call: Call,
        /// What is wrong.
        reason: String,
    },
    /// The task did not end within the wait's deadline; it goes on.
    #[error("task {upid} is still running after {} s", waited.as_secs())]
    TaskRunning {
        /// The task.
        upid: Box<Upid>,
        /// How long it was watched.
        waited: Duration,
    },
    /// The task ended, and not well. Part of its work may be done.
    #[error("task {upid} failed: {exit}")]
    TaskFailed {
        /// The task.
        upid: Box<Upid>,
        /// How it ended.
        exit: ExitStatus,
        /// What its text means.
        kind: Kind,
    },
    /// What was waited for did not come about in time; nothing was sent.
    #[error("{what}: not so after {} s", waited.as_secs())]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
    },
}

impl Error {
    /// Whether the request was sent, as far as anyone can know.
    pub fn was_sent(&self) -> Sent {
        match self {
            Self::InvalidRequest { .. }
            | Self::Config(_)
            | Self::NotSent { .. }
            | Self::Overloaded { .. }
            | Self::SecondFactor { .. } => Sent::No,
            Self::Ambiguous { .. } => Sent::Maybe,
            // 595: the proxy could not connect to the node. 429: a gateway has
            // too much to do. Other texts are refusals by the node itself. A
            // read's lost answer is unknown.
            Self::Unavailable { status, .. } => match status {
                Some(429 | 595) => Sent::No,
                Some(500..=501) => Sent::Yes,
                _ => Sent::Maybe,
            },
            Self::Busy { .. }
            | Self::Unauthenticated(_)
            | Self::Rejected(_)
            | Self::Malformed { .. }
            | Self::TaskRunning { .. }
            | Self::TaskFailed { .. }
            | Self::TimedOut { .. } => Sent::Yes,
        }
    }

    /// May a write that failed like this have had an effect?
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::Ambiguous { .. } | Self::TaskRunning { .. } | Self::TaskFailed { .. } => true,
            Self::Malformed { call, .. } => !call.is_read(),
            _ => false,
        }
    }

    /// Is it worth repeating the call, if it only reads?
    pub fn is_retryable_read(&self) -> bool {
        match self {
            Self::NotSent { source, .. } => source.kind != TransportKind::Tls,
            Self::Ambiguous { .. }
            | Self::Unavailable { .. }
            | Self::Busy { .. }
            | Self::Overloaded { .. } => true,
            _ => false,
        }
    }

    /// Does it look as if the endpoint itself were gone? A node that its proxy
    /// cannot reach (595) says nothing against the proxy.
    pub(crate) fn is_endpoint_down(&self) -> bool {
        match self {
            Self::NotSent { .. } | Self::Ambiguous { source: Some(_), .. } => true,
            Self::Unavailable { status: Some(595), .. } => false,
            _ => self.is_endpoint_fault(),
        }
    }

    /// Might another node of the cluster answer where this one did not?
    pub(crate) fn is_endpoint_fault(&self) -> bool {
        match self {
            Self::NotSent { .. } => true,
            Self::Unavailable { status, .. } => {
                matches!(status, None | Some(502..=504 | 520..=530 | 595))
            }
            _ => false,
        }
    }

    /// The call that failed.
    pub fn call(&self) -> Option<&Call> {
        match self {
            Self::InvalidRequest { call, .. }
            | Self::NotSent { call, .. }
            | Self::Ambiguous { call, .. }
            | Self::Unavailable { call, .. }
            | Self::Overloaded { call, .. }
            | Self::SecondFactor { call }
            | Self::Malformed { call, .. } => Some(call),
            Self::Config(_)
            | Self::TaskRunning { .. }
            | Self::TaskFailed { .. }
            | Self::TimedOut { .. } => None,
            Self::Busy { .. } | Self::Unauthenticated(_) | Self::Rejected(_) => {
                self.rejection().map(|rejection| &rejection.call)
            }
        }
    }

    /// The answer, when the server refused.
    pub fn rejection(&self) -> Option<&Rejection> {
        match self {
            Self::Busy { rejection, .. }
            | Self::Unauthenticated(rejection)
            | Self::Rejected(rejection) => Some(rejection),
            _ => None,
        }
    }

    /// What the refusal, or the failed task's text, means.
    pub fn kind(&self) -> Option<&Kind> {
        match self {
            Self::TaskFailed { kind, .. } => Some(kind),
            _ => self.rejection().map(|rejection| &rejection.kind),
        }
    }

    /// What does not exist, if that is the reason. Look at *which* thing:
    /// `storage 'x' does not exist` says nothing about the guest.
    pub fn missing(&self) -> Option<&Missing> {
        match self.kind() {
            Some(Kind::Missing(missing)) => Some(missing),
            _ => None,
        }
    }

    /// Does something that the call needs not exist?
    pub fn is_not_found(&self) -> bool {
        self.missing().is_some()
    }

    /// Does the node say that it has no guest with this id? It may be on
    /// another node, or cluster file system and node may be cut off.
    pub fn is_guest_missing(&self, vmid: crate::VmId) -> bool {
        self.missing() == Some(&Missing::Guest(vmid))
    }

    /// Is the name or id taken?
    pub fn already_exists(&self) -> bool {
        matches!(self.kind(), Some(Kind::AlreadyExists))
    }

    /// The path and the privilege that are missing there. Alternatives are
    /// joined with `|`.
    pub fn missing_privilege(&self) -> Option<(&str, &str)> {
        match self.kind() {
            Some(Kind::Forbidden(Some(check))) => Some((&check.path, &check.privileges)),
            _ => None,
        }
    }

    /// Is a right missing (with or without saying which)?
    pub fn is_forbidden(&self) -> bool {
        matches!(self.kind(), Some(Kind::Forbidden(_)))
    }

    /// Parameter name to text; empty unless parameters were refused.
    pub fn invalid_parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        let errors = self.rejection().map(|rejection| &rejection.errors);
        errors.into_iter().flatten().map(|(name, text)| (name.as_str(), text.trim_end()))
    }

    /// Did the configuration change since the digest was read?
    pub fn is_digest_mismatch(&self) -> bool {
        matches!(self.kind(), Some(Kind::DigestMismatch))
    }

    /// Is the guest agent not answering (yet)? Also true while a guest boots.
    pub fn is_agent_not_running(&self) -> bool {
        matches!(self.kind(), Some(Kind::AgentNotRunning))
    }
}

/// An error and everything behind it in one line.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
