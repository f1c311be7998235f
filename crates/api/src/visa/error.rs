//! Refusals, with the status and the texts that VISA's provider always had where
//! its clients could see them.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use model::Error;
use serde_json::json;

/// Why a request is not answered with a success.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// The house says no.
    House(Error),
    /// The body is not as it should be; the text names the key.
    Invalid(String),
    /// The body is larger than this many bytes.
    TooLarge(usize),
    /// No token, or another one.
    Unauthorized,
    /// No such thing, or no such path.
    NotFound,
    /// The path exists, but not with this method.
    MethodNotAllowed,
    /// It was accepted, and failed while the client was still there.
    Failed(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::House(error)
    }
}

impl Failure {
    pub(super) const fn status(&self) -> StatusCode {
        match self {
            Self::House(error) => status_of(error),
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn body(&self) -> serde_json::Value {
        match self {
            Self::House(Error::InvalidRequest { field, message }) => {
                json!({ "error": format!("\"{}\" {message}", wire_field(field)) })
            }
            Self::House(Error::NotFound { .. } | Error::Gone { .. }) | Self::NotFound => {
                json!({ "message": "Not found" })
            }
            Self::House(Error::Internal(_)) => json!({ "message": "An error occurred" }),
            Self::House(error) => json!({ "message": error.to_string() }),
            Self::Invalid(text) => json!({ "error": text }),
            Self::TooLarge(most) => {
                json!({ "error": format!("the body must not be larger than {most} bytes") })
            }
            Self::Unauthorized => json!({ "message": "Unauthorized" }),
            Self::MethodNotAllowed => json!({ "message": "Method not allowed" }),
            Self::Failed(reason) => json!({ "message": "An error occurred", "error": reason }),
        }
    }

    fn log(&self) {
        let status = self.status().as_u16();
        match self {
            Self::House(error) if self.status().is_server_error() => {
                let chain = error.private_context().map(model::PrivateContext::chain);
                tracing::error!(status, %error, cause = chain.as_deref().unwrap_or(""), "failed");
            }
            Self::House(error) => tracing::info!(status, %error, "refused"),
            Self::Failed(reason) => tracing::warn!(status, reason, "failed"),
            Self::Invalid(text) => tracing::info!(status, text, "refused"),
            Self::TooLarge(_) | Self::Unauthorized | Self::NotFound | Self::MethodNotAllowed => {
                tracing::info!(status, "refused");
            }
        }
    }
}

/// The status of each public error.
const fn status_of(error: &Error) -> StatusCode {
    match error {
        Error::InvalidRequest { .. } => StatusCode::BAD_REQUEST,
        Error::Unauthenticated { .. } => StatusCode::UNAUTHORIZED,
        Error::Forbidden { .. } | Error::QuotaExceeded { .. } => StatusCode::FORBIDDEN,
        Error::NotFound { .. } | Error::Gone { .. } => StatusCode::NOT_FOUND,
        Error::AlreadyExists { .. } | Error::Conflict { .. } | Error::PreconditionFailed { .. } => {
            StatusCode::CONFLICT
        }
        Error::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
        Error::Unsupported { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Error::InsufficientCapacity { .. } | Error::ReadOnly { .. } | Error::Unavailable { .. } => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What VISA calls one of the house's fields.
fn wire_field(field: &str) -> String {
    match field {
        "image" => "imageId".to_owned(),
        "flavour" | "disks[0].size" => "flavourId".to_owned(),
        "user_data" => "bootCommand".to_owned(),
        "meta_data" => "metadata".to_owned(),
        other => other.replace("security_groups", "securityGroups"),
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.log();
        if let Self::Unauthorized = self {
            let html = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
            return (self.status(), html, "Unauthorized").into_response();
        }
        (self.status(), Json(self.body())).into_response()
    }
}
