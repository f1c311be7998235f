//! Failures: what the house says and what HTTP adds, as status and JSON.

use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use client::wire::{ErrorBody, ErrorDetail};
use http::{HeaderValue, StatusCode, header};
use model::{Error, OperationId, PrivateContext};

/// Why a request is not answered with a success. It travels to the outermost
/// layer in the response's extensions, and is written and logged there, once,
/// with the request's id.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// The house says no.
    House(Error),
    /// No route has this path.
    NoRoute,
    /// The path exists, but not with this method.
    MethodNotAllowed,
    /// The body is larger than this many bytes.
    BodyTooLarge(usize),
    /// The body is not declared as JSON but as this.
    MediaType(Option<String>),
    /// The body did not arrive in this time.
    BodyTimeout(Duration),
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
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTimeout(_) => StatusCode::REQUEST_TIMEOUT,
        }
    }

    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::House(error) => error.code(),
            Self::NoRoute => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::BodyTooLarge(_) => "body_too_large",
            Self::MediaType(_) => "unsupported_media_type",
            Self::BodyTimeout(_) => "request_timeout",
        }
    }

    fn message(&self) -> String {
        match self {
            Self::House(Error::InvalidRequest { field, message }) => {
                format!("{}: {message}", wire_field(field))
            }
            Self::House(error) => error.to_string(),
            Self::NoRoute => "there is nothing at this path; see /openapi.json".to_owned(),
            Self::MethodNotAllowed => {
                "this path exists, but not with this method; see the header Allow".to_owned()
            }
            Self::BodyTooLarge(limit) => format!("the body is larger than {limit} bytes"),
            Self::MediaType(Some(given)) => {
                format!("content-type: expected application/json, got {given:?}")
            }
            Self::MediaType(None) => "content-type: expected application/json".to_owned(),
            Self::BodyTimeout(limit) => format!("the body did not arrive within {limit:?}"),
        }
    }

    fn field(&self) -> Option<String> {
        match self {
            Self::House(Error::InvalidRequest { field, .. }) => Some(wire_field(field)),
            Self::MediaType(_) => Some("content-type".to_owned()),
            Self::BodyTooLarge(_) | Self::BodyTimeout(_) => Some("body".to_owned()),
            Self::House(_) | Self::NoRoute | Self::MethodNotAllowed => None,
        }
    }

    const fn operation(&self) -> Option<OperationId> {
        match self {
            Self::House(Error::Conflict { operation, .. }) => *operation,
            _ => None,
        }
    }

    /// What the log says beyond the message.
    pub(super) fn private(&self) -> Option<&PrivateContext> {
        match self {
            Self::House(error) => error.private_context(),
            _ => None,
        }
    }

    /// The body with the request's id.
    pub(super) fn body(&self, request_id: &str) -> ErrorBody {
        ErrorBody {
            error: ErrorDetail {
                code: self.code().to_owned(),
                message: self.message(),
                field: self.field(),
                operation: self.operation(),
                request_id: request_id.to_owned(),
            },
        }
    }
}

/// The status of each public error.
const fn status_of(error: &Error) -> StatusCode {
    match error {
        Error::InvalidRequest { .. } => StatusCode::BAD_REQUEST,
        Error::Unauthenticated { .. } => StatusCode::UNAUTHORIZED,
        Error::Forbidden { .. } | Error::QuotaExceeded { .. } => StatusCode::FORBIDDEN,
        Error::NotFound { .. } => StatusCode::NOT_FOUND,
        Error::Gone { .. } => StatusCode::GONE,
        Error::AlreadyExists { .. } | Error::Conflict { .. } => StatusCode::CONFLICT,
        Error::PreconditionFailed { .. } => StatusCode::PRECONDITION_FAILED,
        Error::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
        Error::Unsupported { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Error::InsufficientCapacity { .. } | Error::ReadOnly { .. } | Error::Unavailable { .. } => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The wire's name for one of the house's fields: amounts carry their unit.
fn wire_field(field: &str) -> String {
    let (parents, last) = match field.rsplit_once('.') {
        Some((parents, last)) => (Some(parents), last),
        None => (None, field),
    };
    let last = match last {
        "memory" => "memory_bytes",
        "disk" => "disk_bytes",
        "size" => "size_bytes",
        "timeout" => "timeout_seconds",
        other => other,
    };
    match parents {
        Some(parents) => format!("{parents}.{last}"),
        None => last.to_owned(),
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        let headers = response.headers_mut();
        match &self {
            Self::House(Error::Unauthenticated { .. }) => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::House(Error::TooManyRequests { retry_after, .. }) => {
                let seconds = retry_after.as_secs_f64().ceil().max(1.0);
                headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds as u64));
            }
            // As long as a data base or a cluster takes at least to come back.
            Self::House(Error::Unavailable { .. }) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            }
            _ => {}
        }
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_field_has_the_name_that_the_caller_wrote() {
        assert_eq!(wire_field("disks[0].size"), "disks[0].size_bytes");
        assert_eq!(wire_field("memory"), "memory_bytes");
        assert_eq!(wire_field("labels"), "labels");
        let body = Failure::House(Error::invalid("timeout", "expected 1 s to 1 h")).body("r-1");
        assert_eq!(body.error.field.as_deref(), Some("timeout_seconds"));
        assert_eq!(body.error.message, "timeout_seconds: expected 1 s to 1 h");
        assert_eq!(body.error.request_id, "r-1");
    }

    #[test]
    fn an_internal_error_says_nothing_of_its_cause() {
        let failure = Failure::House(Error::internal("password=hunter2"));
        let body = serde_json::to_string(&failure.body("r")).unwrap_or_default();
        assert!(body.contains("internal error") && !body.contains("hunter2"), "{body}");
        assert_eq!(failure.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(failure.private().is_some());
    }
}
