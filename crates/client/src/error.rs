//! What a call can end with.

use crate::wire::ErrorDetail;

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server answered that it does not do it, and why.
    #[error("{}", .detail.message)]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The server's words.
        detail: Box<ErrorDetail>,
    },
    /// Nobody answered there: the request was not carried out.
    #[error("cannot connect to {endpoint}")]
    Connect {
        /// Where.
        endpoint: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The connection broke or timed out: whether the request was carried out
    /// is not known.
    #[error("no answer from {endpoint}")]
    Interrupted {
        /// Where.
        endpoint: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The answer is not one of this API.
    #[error("{endpoint} does not answer like Innkeeper: {message}")]
    Malformed {
        /// Where.
        endpoint: String,
        /// What was expected and what came.
        message: String,
    },
    /// The settings of this client cannot work.
    #[error("{0}")]
    Settings(String),
}

impl Error {
    /// The server's code, when it answered with one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { detail, .. } => Some(&detail.code),
            _ => None,
        }
    }

    /// Whether the same call may work later without anybody changing anything.
    pub fn is_away(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Interrupted { .. } => true,
            Self::Refused { status, detail } => {
                detail.code == "unavailable" || matches!(status, 429 | 502 | 503 | 504)
            }
            Self::Malformed { .. } | Self::Settings(_) => false,
        }
    }

    /// The last cause, which says most, on one line.
    pub fn root_cause(&self) -> Option<String> {
        let mut cause = std::error::Error::source(self)?;
        while let Some(next) = cause.source() {
            cause = next;
        }
        Some(cause.to_string())
    }
}
