//! Guests that are there already: adopt and release (administrators).

use axum::extract::State;
use axum::response::IntoResponse;
use client::wire;
use model::{Error, InstanceId, ProjectId, ProviderId};
use provisioner::AdoptInstance;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::Failure;
use super::extract::{Authenticated, Id, Json};
use super::instances::name_of;
use super::{Native, accepted};

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new().routes(routes!(adopt)).routes(routes!(release))
}

/// Adopt a guest that is there (administrators)
///
/// The guest becomes an instance: observed only, or ours. One that belongs to an
/// instance, or carries another installation's mark, is refused.
#[utoipa::path(
    post,
    path = "/v1/instances/adopt",
    tag = "instances",
    request_body = wire::AdoptInstance,
    responses((status = 202, description = "Accepted", body = wire::Accepted))
)]
async fn adopt(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Json(request): Json<wire::AdoptInstance>,
) -> Result<impl IntoResponse + use<>, Failure> {
    let provider: Result<ProviderId, _> = request.provider.parse();
    let request = AdoptInstance {
        provider: provider.map_err(|error| Error::invalid("provider", error.to_string()))?,
        guest: request.guest,
        owned: request.owned,
        expires_at: request.expires_at.map(|at| at.0),
        project: name_of::<ProjectId>("project", request.project)?,
    };
    let answer = native.house.adopt_instance(&caller, request).await?;
    let body = wire::Accepted { instance: answer.instance, operation: answer.operation };
    Ok(accepted(answer.operation, body))
}

/// Let an instance's guest go (administrators)
///
/// The instance is forgotten, our mark is taken off, and the guest stays as it is.
#[utoipa::path(
    post,
    path = "/v1/instances/{id}/release",
    tag = "instances",
    params(("id" = String, Path, format = "uuid", description = "The instance's id")),
    responses((status = 202, description = "Accepted", body = wire::Accepted))
)]
async fn release(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Id(id): Id<InstanceId>,
) -> Result<impl IntoResponse + use<>, Failure> {
    let operation = native.house.release_instance(&caller, id).await?;
    Ok(accepted(operation, wire::Accepted { instance: id, operation }))
}
