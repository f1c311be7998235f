//! What surrounds every request: its id, its limits, and the one place where a
//! failure is written and logged.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use client::wire::REQUEST_ID_HEADER;
use futures::FutureExt;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use model::{Error, Random};
use provisioner::SystemRandom;

use super::Native;
use super::error::Failure;

/// Longer ids of clients are replaced.
const REQUEST_ID_MOST: usize = 64;

/// A request's id, for what happens inside.
#[derive(Clone, Debug)]
pub(super) struct RequestId(pub String);

pub(super) async fn around(
    State(native): State<Native>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = request_id(request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let begun = Instant::now();
    let mut response = within_limits(&native, request, next).await;
    let status = response.status();
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    native.requests.count(&method, route, status.as_u16(), begun.elapsed());
    match response.extensions_mut().remove::<Arc<Failure>>() {
        Some(failure) => {
            let chain = failure.private().map(model::PrivateContext::chain);
            let cause = chain.as_deref().unwrap_or("");
            let body = failure.body(&id);
            let message = &body.error.message;
            let code = failure.code();
            // Once, here: whoever passed a failure on did not log it.
            match status {
                StatusCode::SERVICE_UNAVAILABLE => {
                    tracing::warn!(request_id = id, %method, path, code, message, cause, took_ms, "refused");
                }
                status if status.is_server_error() => {
                    tracing::error!(request_id = id, %method, path, code, message, cause, took_ms, "failed");
                }
                _ => {
                    tracing::info!(request_id = id, %method, path, code, message, took_ms, "refused");
                }
            }
            write_json(&mut response, serde_json::to_vec(&body).unwrap_or_default());
        }
        None => {
            tracing::debug!(request_id = id, %method, path, status = status.as_u16(), took_ms, "answered");
        }
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID_HEADER, value);
    }
    response
}

async fn within_limits(native: &Native, request: Request, next: Next) -> Response {
    let limits = native.limits;
    let Ok(_slot) = native.slots.try_acquire() else {
        return Failure::from(Error::TooManyRequests {
            message: format!("more than {} requests at the same time", limits.requests),
            retry_after: Duration::from_secs(1),
        })
        .into_response();
    };
    let run = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(limits.request_timeout, run).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            let what = format!("a handler panicked: {}", panic_text(&*panic));
            Failure::from(Error::internal(what)).into_response()
        }
        Err(_) => {
            let message = format!(
                "no answer within {:?}; it may have been carried out",
                limits.request_timeout
            );
            Failure::from(Error::Unavailable { message, context: None }).into_response()
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "without a message",
    }
}

/// The client's id when it is a plain one, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let given = headers.get(REQUEST_ID_HEADER).and_then(|value| value.to_str().ok());
    match given {
        Some(id) if (1..=REQUEST_ID_MOST).contains(&id.len()) && id.bytes().all(plain) => {
            id.to_owned()
        }
        _ => {
            let mut bytes = [0u8; 12];
            SystemRandom::new().fill(&mut bytes);
            bytes.iter().map(|byte| format!("{byte:02x}")).collect()
        }
    }
}

fn write_json(response: &mut Response, body: Vec<u8>) {
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *response.body_mut() = Body::from(body);
}
