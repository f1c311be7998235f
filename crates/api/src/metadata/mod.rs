//! The metadata door: what guests ask at their first boot (cloud-init's NoCloud
//! over HTTP). A guest is identified by the unguessable token in its path and
//! by nothing else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use model::Error;
use provisioner::{House, SeedDocuments};
use tokio::sync::Semaphore;

/// What the metadata door takes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests at the same time; more are refused, and guests ask again.
    pub requests: usize,
    /// How long a request may take.
    pub request_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests: 256, request_timeout: Duration::from_secs(10) }
    }
}

/// Tokens are shorter; nothing longer is looked up.
const TOKEN_MOST: usize = 128;

#[derive(Clone)]
struct Metadata {
    house: Arc<House>,
    limits: Limits,
    slots: Arc<Semaphore>,
}

/// The door's routes: `GET /{token}/{document}`, and nothing that lists.
pub fn router(house: Arc<House>, limits: Limits) -> Router {
    let slots = Arc::new(Semaphore::new(limits.requests));
    Router::new()
        .route("/{token}/{document}", get(document))
        // Where VISA's metadata server had them.
        .route("/ci/{token}/{document}", get(document))
        .fallback(|| async { refusal(StatusCode::NOT_FOUND) })
        .method_not_allowed_fallback(|| async { refusal(StatusCode::METHOD_NOT_ALLOWED) })
        .with_state(Metadata { house, limits, slots })
}

/// A refusal says nothing that helps to guess.
fn refusal(status: StatusCode) -> Response {
    let reason = status.canonical_reason().unwrap_or("refused");
    (status, format!("{reason}\n")).into_response()
}

async fn document(
    State(metadata): State<Metadata>,
    Path((token, document)): Path<(String, String)>,
) -> Response {
    let begun = Instant::now();
    let (response, error) = match answer(&metadata, &token, &document).await {
        Ok(text) => {
            let headers = [
                (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
                (header::CACHE_CONTROL, "no-store"),
            ];
            ((headers, text).into_response(), None)
        }
        Err(error) => (refusal(status_of(&error)), Some(error)),
    };
    let status = response.status().as_u16();
    // The beginning tells guests apart in a log; the rest is what lets one in.
    let token: String =
        token.chars().take(6).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect();
    let document = DOCUMENTS.iter().find(|name| **name == document).copied().unwrap_or("other");
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    match error {
        Some(error) if response.status().is_server_error() => {
            let chain = error.private_context().map(model::PrivateContext::chain);
            let cause = chain.as_deref().unwrap_or("");
            tracing::error!(token, document, status, %error, cause, took_ms, "seed not served");
        }
        _ => tracing::info!(token, document, status, took_ms, "seed"),
    }
    response
}

/// What NoCloud asks for, below the seed's address.
const DOCUMENTS: [&str; 4] = ["user-data", "meta-data", "vendor-data", "network-config"];

async fn answer(metadata: &Metadata, token: &str, document: &str) -> Result<String, Error> {
    let absent = || Error::not_found("document", "of this seed");
    if token.len() > TOKEN_MOST || !DOCUMENTS.contains(&document) {
        return Err(absent());
    }
    let too_many = || Error::TooManyRequests {
        message: format!("more than {} requests at the same time", metadata.limits.requests),
        retry_after: Duration::from_secs(1),
    };
    let _slot = metadata.slots.try_acquire().map_err(|_| too_many())?;
    let seed = metadata.house.seed(token);
    let seed =
        tokio::time::timeout(metadata.limits.request_timeout, seed).await.map_err(|_| {
            Error::Unavailable { message: "no answer in time".to_owned(), context: None }
        })??;
    pick(seed, document).ok_or_else(absent)
}

fn pick(seed: SeedDocuments, document: &str) -> Option<String> {
    match document {
        "user-data" => Some(seed.user_data),
        "meta-data" => Some(seed.meta_data),
        "vendor-data" => Some(seed.vendor_data),
        "network-config" => seed.network_config,
        _ => None,
    }
}

/// The status of each public error. cloud-init asks again after a 5xx.
const fn status_of(error: &Error) -> StatusCode {
    match error {
        Error::NotFound { .. }
        | Error::Gone { .. }
        | Error::InvalidRequest { .. }
        | Error::Unauthenticated { .. }
        | Error::Forbidden { .. }
        | Error::AlreadyExists { .. }
        | Error::Conflict { .. }
        | Error::PreconditionFailed { .. }
        | Error::QuotaExceeded { .. }
        | Error::Unsupported { .. } => StatusCode::NOT_FOUND,
        Error::TooManyRequests { .. }
        | Error::InsufficientCapacity { .. }
        | Error::ReadOnly { .. }
        | Error::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
