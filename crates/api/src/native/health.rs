//! Routes that need no token.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use model::{Caller, Door, Error, Principal, ProjectId, Role};
use provisioner::OperationFilter;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Native;
use super::error::Failure;

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz))
}

/// Whether the process lives
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, description = "It does")))]
async fn healthz() -> &'static str {
    "ok\n"
}

/// How long the store may take to show that it answers.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// Whether the server can do its work: its store answers
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    responses(
        (status = 200, description = "It can"),
        (status = 503, description = "It cannot, for now"),
    )
)]
async fn readyz(State(native): State<Native>) -> Result<&'static str, Failure> {
    let project = "readiness".parse::<ProjectId>().map_err(Error::internal)?;
    let principal = Principal { id: "readiness".to_owned(), name: "readiness".to_owned() };
    let caller = Caller::new(principal, project, Door::House, Role::Reader);
    let filter = OperationFilter { limit: 1, ..OperationFilter::default() };
    let look = native.house.operations(&caller, &filter);
    match tokio::time::timeout(READY_WITHIN, look).await {
        Ok(Ok(_)) => Ok("ready\n"),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Failure::from(Error::Unavailable {
            message: "the store does not answer".to_owned(),
            context: None,
        })),
    }
}

pub(super) async fn description(State(native): State<Native>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (headers, native.openapi.to_string()).into_response()
}
