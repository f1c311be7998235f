//! The native door: JSON over HTTP under `/v1`, with bearer tokens.

mod adoption;
mod audit;
mod auth;
mod changes;
mod describe;
mod error;
mod etag;
mod events;
mod extract;
mod flavours;
mod health;
mod images;
mod instances;
mod metrics;
mod operations;
mod orphans;
mod page;
mod projects;
mod query;
mod request;
mod snapshots;
mod terms;
mod tokens;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use axum::routing::get;
use axum::{Router, middleware};
use http::{HeaderValue, StatusCode, header};
use model::{Clock, Error, OperationId};
use provisioner::House;
use tokio::sync::Semaphore;
use utoipa_axum::router::OpenApiRouter;

pub use describe::openapi;
use error::Failure;
pub(crate) use events::json as event_json;

/// What the native door takes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// How long a client may take to send a body.
    pub body_timeout: Duration,
    /// Requests at the same time; more are refused.
    pub requests: usize,
    /// Streams of events at the same time; more are refused.
    pub streams: usize,
    /// How long a request may take. None waits for a hypervisor.
    pub request_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 256 << 10,
            body_timeout: Duration::from_secs(10),
            requests: 512,
            streams: 256,
            request_timeout: Duration::from_secs(30),
        }
    }
}

/// What handlers share.
#[derive(Clone)]
struct Native {
    house: Arc<House>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    slots: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    requests: Arc<metrics::Requests>,
    openapi: Arc<str>,
}

/// The door's routes.
///
/// # Errors
/// [`Error::Internal`] when the API's description cannot be written.
pub fn router(house: Arc<House>, clock: Arc<dyn Clock>, limits: Limits) -> Result<Router, Error> {
    let described = describe::openapi();
    let known = query::known(&described);
    let openapi = serde_json::to_string(&described).map_err(Error::internal)?;
    let slots = Arc::new(Semaphore::new(limits.requests));
    let streams = Arc::new(Semaphore::new(limits.streams));
    let (requests, openapi) = (Arc::default(), Arc::from(openapi));
    let native = Native { house, clock, limits, slots, streams, requests, openapi };
    let authenticate = middleware::from_fn_with_state(native.clone(), auth::authenticate);
    let open = routes_open().split_for_parts().0.route("/openapi.json", get(health::description));
    Ok(routes_v1()
        .split_for_parts()
        .0
        .route_layer(middleware::from_fn(etag::by_body))
        .route_layer(middleware::from_fn_with_state(native.clone(), terms::terms))
        .route_layer(middleware::from_fn_with_state(known, query::check))
        .route_layer(middleware::from_fn_with_state(native.clone(), audit::refusals))
        .route_layer(authenticate)
        .merge(open)
        .fallback(|| async { Failure::NoRoute })
        .method_not_allowed_fallback(|| async { Failure::MethodNotAllowed })
        .layer(middleware::from_fn_with_state(native.clone(), request::around))
        .with_state(native))
}

fn routes_v1() -> OpenApiRouter<Native> {
    OpenApiRouter::new()
        .merge(instances::routes())
        .merge(adoption::routes())
        .merge(changes::routes())
        .merge(snapshots::routes())
        .merge(operations::routes())
        .merge(images::routes())
        .merge(flavours::routes())
        .merge(orphans::routes())
        .merge(tokens::routes())
        .merge(events::routes())
        .merge(audit::routes())
        .merge(projects::routes())
        .merge(metrics::routes())
        .merge(webhooks::routes())
}

fn routes_open() -> OpenApiRouter<Native> {
    health::routes()
}

/// What every accepted change answers: 202 with the operation to follow.
fn accepted<T: serde::Serialize>(
    operation: OperationId,
    body: T,
) -> (StatusCode, [(header::HeaderName, HeaderValue); 1], axum::Json<T>) {
    // A UUID is always a valid header value.
    let location = HeaderValue::try_from(format!("/v1/operations/{operation}"))
        .unwrap_or(HeaderValue::from_static("/v1/operations"));
    (StatusCode::ACCEPTED, [(header::LOCATION, location)], axum::Json(body))
}

#[cfg(test)]
mod tests;
