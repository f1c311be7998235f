//! The public error: what a use case tells whoever called it.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::OperationId;

/// What went wrong inside, for the log only. It has no `Display` and its
/// `Debug` is empty of content, so that it cannot reach a client by accident.
#[derive(Clone)]
pub struct PrivateContext(Arc<dyn StdError + Send + Sync>);

impl PrivateContext {
    /// Keeps this cause for the log.
    pub fn new(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(Arc::from(cause.into()))
    }

    /// The cause with all its sources, on one line, for the log at the door.
    pub fn chain(&self) -> String {
        let mut text = self.0.to_string();
        let mut source = self.0.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}

impl fmt::Debug for PrivateContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateContext(..)")
    }
}

/// What a use case answers when it does not do what was asked. Every door maps
/// every variant, so a new one asks every dialect what it says.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A field of the request is wrong. `message` says what was expected.
    #[error("{field}: {message}")]
    InvalidRequest {
        /// The field's name as the caller wrote it, for example `disks[0].size`.
        field: String,
        /// What was expected and what was given.
        message: String,
    },
    /// No valid credentials.
    #[error("{message}")]
    Unauthenticated {
        /// What is missing or wrong, without the credential itself.
        message: String,
    },
    /// Valid credentials that do not allow this.
    #[error("{message}")]
    Forbidden {
        /// What would be needed.
        message: String,
    },
    /// There is no such thing, or the caller may not know that there is.
    #[error("there is no {what} {id:?}")]
    NotFound {
        /// The kind of thing, for example `instance`.
        what: &'static str,
        /// What was looked for.
        id: String,
    },
    /// It existed and does not any more; it will not come back.
    #[error("{what} {id:?} has been deleted")]
    Gone {
        /// The kind of thing.
        what: &'static str,
        /// What was looked for.
        id: String,
    },
    /// The name or id is taken.
    #[error("there is already a {what} {id:?}")]
    AlreadyExists {
        /// The kind of thing.
        what: &'static str,
        /// The taken name or id.
        id: String,
    },
    /// The state does not allow it now.
    #[error("{message}")]
    Conflict {
        /// What stands in the way.
        message: String,
        /// The operation that stands in the way, when there is one.
        operation: Option<OperationId>,
    },
    /// A condition that the caller set does not hold.
    #[error("{message}")]
    PreconditionFailed {
        /// What was expected and what is.
        message: String,
    },
    /// The project's quota does not allow it.
    #[error("{message}")]
    QuotaExceeded {
        /// Which limit, how much is used, how much was asked for.
        message: String,
    },
    /// Too many requests.
    #[error("{message}")]
    TooManyRequests {
        /// What was exceeded.
        message: String,
        /// When to come back.
        retry_after: Duration,
    },
    /// No host can carry it now.
    #[error("{message}")]
    InsufficientCapacity {
        /// Every host with the reason why not.
        message: String,
    },
    /// Changes are switched off.
    #[error("{message}")]
    ReadOnly {
        /// Why, and until when if known.
        message: String,
    },
    /// What was asked for is not possible here.
    #[error("{message}")]
    Unsupported {
        /// What is not possible.
        message: String,
    },
    /// Something that is needed is away for now; the same request may work later.
    #[error("{message}")]
    Unavailable {
        /// What is away.
        message: String,
        /// For the log.
        context: Option<PrivateContext>,
    },
    /// A fault of ours. The cause is for the log only.
    #[error("internal error")]
    Internal(PrivateContext),
}

impl Error {
    /// A stable code for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest { .. } => "invalid_request",
            Self::Unauthenticated { .. } => "unauthenticated",
            Self::Forbidden { .. } => "forbidden",
            Self::NotFound { .. } => "not_found",
            Self::Gone { .. } => "gone",
            Self::AlreadyExists { .. } => "already_exists",
            Self::Conflict { .. } => "conflict",
            Self::PreconditionFailed { .. } => "precondition_failed",
            Self::QuotaExceeded { .. } => "quota_exceeded",
            Self::TooManyRequests { .. } => "too_many_requests",
            Self::InsufficientCapacity { .. } => "insufficient_capacity",
            Self::ReadOnly { .. } => "read_only",
            Self::Unsupported { .. } => "unsupported",
            Self::Unavailable { .. } => "unavailable",
            Self::Internal(_) => "internal",
        }
    }

    /// A request error about one field.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::InvalidRequest { field: field.into(), message: message.into() }
    }

    /// Nothing of this kind with this id.
    pub fn not_found(what: &'static str, id: impl fmt::Display) -> Self {
        Self::NotFound { what, id: id.to_string() }
    }

    /// A fault of ours, with its cause for the log.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Internal(PrivateContext::new(cause))
    }

    /// What the log at the door should say beyond the message.
    pub fn private_context(&self) -> Option<&PrivateContext> {
        match self {
            Self::Internal(context) => Some(context),
            Self::Unavailable { context, .. } => context.as_ref(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Error;

    #[test]
    fn an_internal_error_keeps_its_cause_to_itself() {
        let error = Error::internal("password=hunter2");
        assert_eq!(error.to_string(), "internal error");
        assert!(!format!("{error:?}").contains("hunter2"));
        assert_eq!(error.private_context().map(|c| c.chain()).as_deref(), Some("password=hunter2"));
    }

    #[test]
    fn a_bad_field_is_named() {
        assert_eq!(Error::invalid("cores", "at least 1").to_string(), "cores: at least 1");
    }
}
