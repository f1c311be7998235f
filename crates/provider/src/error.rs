//! A provider's errors, classed by what the caller may do.

use std::time::Duration;

/// Why a hypervisor said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The request is wrong.
    Invalid,
    /// The credentials lack a privilege, named when it is known.
    Denied(Option<String>),
    /// What it is about does not exist.
    NotFound,
    /// It exists already.
    Exists,
    /// No space or no quota.
    Quota,
    /// It cannot be done here.
    Unsupported,
}

/// What went wrong, classed by what the caller may do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request was not sent: try again.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The request was sent and its answer is not known: probe. "Not there"
    /// counts only after `settle`.
    #[error("the answer was lost: {text}")]
    Ambiguous {
        /// What happened.
        text: String,
        /// How long the effect may still be on its way.
        settle: Duration,
    },
    /// The answer was no.
    #[error("{text}")]
    Rejected {
        /// Why.
        why: Rejection,
        /// What the hypervisor said.
        text: String,
    },
    /// Somebody holds a lock: back off.
    #[error("busy: {0}")]
    Busy(String),
    /// It failed in a way that may pass by itself: costs one of the action's
    /// tries.
    #[error("{0}")]
    Failed(String),
    /// The hypervisor is away: back off; costs no attempt, ends at the deadline.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The answer makes no sense: report.
    #[error("malformed answer: {0}")]
    Malformed(String),
    /// Nothing can go on before an administrator does something.
    #[error("{text}")]
    NeedsAdministrator {
        /// What is wrong.
        text: String,
        /// The commands that put it right.
        commands: Vec<String>,
    },
}

impl Error {
    /// A refusal.
    pub fn rejected(why: Rejection, text: impl Into<String>) -> Self {
        Self::Rejected { why, text: text.into() }
    }

    /// A refusal because the request is wrong.
    pub fn invalid(text: impl Into<String>) -> Self {
        Self::rejected(Rejection::Invalid, text)
    }
}
