//! The native door: JSON over HTTP under `/v1`, with bearer tokens.

mod auth;
mod changes;
mod error;
mod extract;
mod flavours;
mod health;
mod images;
mod instances;
mod operations;
mod orphans;
mod request;
mod snapshots;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use axum::routing::get;
use axum::{Router, middleware};
use client::wire;
use http::{HeaderValue, StatusCode, header};
use model::{Clock, Error, OperationId};
use provisioner::House;
use tokio::sync::Semaphore;
use utoipa::openapi::path::Operation;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr};
use utoipa_axum::router::OpenApiRouter;

use error::Failure;

/// What the native door takes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// How long a client may take to send a body.
    pub body_timeout: Duration,
    /// Requests at the same time; more are refused.
    pub requests: usize,
    /// How long a request may take. None waits for a hypervisor.
    pub request_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 256 << 10,
            body_timeout: Duration::from_secs(10),
            requests: 512,
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
    openapi: Arc<str>,
}

/// The door's routes.
///
/// # Errors
/// [`Error::Internal`] when the API's description cannot be written.
pub fn router(house: Arc<House>, clock: Arc<dyn Clock>, limits: Limits) -> Result<Router, Error> {
    let openapi = serde_json::to_string(&openapi()).map_err(Error::internal)?;
    let slots = Arc::new(Semaphore::new(limits.requests));
    let native = Native { house, clock, limits, slots, openapi: Arc::from(openapi) };
    let authenticate = middleware::from_fn_with_state(native.clone(), auth::authenticate);
    let open = routes_open().split_for_parts().0.route("/openapi.json", get(health::description));
    Ok(routes_v1()
        .split_for_parts()
        .0
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
        .merge(changes::routes())
        .merge(snapshots::routes())
        .merge(operations::routes())
        .merge(images::routes())
        .merge(flavours::routes())
        .merge(orphans::routes())
        .merge(tokens::routes())
}

fn routes_open() -> OpenApiRouter<Native> {
    health::routes()
}

/// The API's description, as `/openapi.json` serves it.
pub fn openapi() -> OpenApi {
    let mut described = routes_v1().into_openapi();
    for item in described.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            describe_failures(operation);
            let bearer = utoipa::openapi::SecurityRequirement::new("bearer", Vec::<String>::new());
            operation.security = Some(vec![bearer]);
        }
    }
    described.merge(routes_open().into_openapi());
    described.info.title = "Innkeeper".to_owned();
    described.info.version = "1".to_owned();
    described.info.description = Some(
        "Instances, and the operations that change them. What changes something is answered \
         with 202 and the operation to follow; reads answer the last known state, with its age, \
         and never wait for a hypervisor."
            .to_owned(),
    );
    described.info.license = None;
    described.info.contact = None;
    let components = described.components.get_or_insert_default();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let mut schemas = Vec::new();
    <wire::ErrorBody as utoipa::ToSchema>::schemas(&mut schemas);
    let body = <wire::ErrorBody as utoipa::PartialSchema>::schema();
    schemas.push(("ErrorBody".to_owned(), body));
    components.schemas.extend(schemas);
    described
}

/// Every route fails in the same form.
fn describe_failures(operation: &mut Operation) {
    let schema = Ref::from_schema_name("ErrorBody");
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let response = ResponseBuilder::new()
        .description("Refused or failed: the code says which, the field which part")
        .content("application/json", content)
        .build();
    operation.responses.responses.insert("default".to_owned(), RefOr::T(response));
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

/// The number of rows that a list asks for.
fn list_limit(asked: Option<u32>) -> Result<usize, Error> {
    let Some(asked) = asked else { return Ok(wire::LIST_DEFAULT) };
    let asked = usize::try_from(asked).unwrap_or(usize::MAX);
    if (1..=wire::LIST_MOST).contains(&asked) {
        return Ok(asked);
    }
    Err(Error::invalid("limit", format!("expected 1 to {}, got {asked}", wire::LIST_MOST)))
}

#[cfg(test)]
mod tests;
