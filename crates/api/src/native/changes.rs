//! Changes of an instance that is there: resize, edit, migrate.

use axum::Json as Answer;
use axum::extract::State;
use axum::response::IntoResponse;
use client::wire;
use model::{ByteCount, HostId, InstanceId};
use provisioner::{EditInstance, ResizeInstance};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::Failure;
use super::extract::{Authenticated, Id, Json, JsonOrDefault};
use super::instances::{flavour_called, host_score, name_of};
use super::{Native, accepted};

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new()
        .routes(routes!(resize))
        .routes(routes!(edit))
        .routes(routes!(destinations))
        .routes(routes!(migrate))
}

/// Give an instance another size
///
/// At once where its hypervisor can; otherwise the instance lists what waits for
/// its next start in `pending`. Disks only grow.
#[utoipa::path(
    post,
    path = "/v1/instances/{id}/resize",
    tag = "instances",
    params(("id" = String, Path, format = "uuid", description = "The instance's id")),
    request_body = wire::Resize,
    responses((status = 202, description = "Accepted", body = wire::Accepted))
)]
async fn resize(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Id(id): Id<InstanceId>,
    Json(request): Json<wire::Resize>,
) -> Result<impl IntoResponse + use<>, Failure> {
    let flavour = request.flavour.as_ref();
    let flavour = flavour.map(|text| flavour_called(&native.house, &caller, text)).transpose()?;
    let request = ResizeInstance {
        flavour,
        cores: request.cores,
        memory: request.memory_bytes.map(ByteCount::bytes),
        root_disk: request.disk_bytes.map(ByteCount::bytes),
    };
    let operation = native.house.resize_instance(&caller, id, request).await?;
    Ok(accepted(operation, wire::Accepted { instance: id, operation }))
}

/// Rename, describe, tag or protect an instance, or put its expiry off
///
/// A protected instance is not deleted: the protection has to be taken off first.
#[utoipa::path(
    patch,
    path = "/v1/instances/{id}",
    tag = "instances",
    params(("id" = String, Path, format = "uuid", description = "The instance's id")),
    request_body = wire::EditInstance,
    responses((status = 202, description = "Accepted", body = wire::Accepted))
)]
async fn edit(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Id(id): Id<InstanceId>,
    Json(request): Json<wire::EditInstance>,
) -> Result<impl IntoResponse + use<>, Failure> {
    let wire::EditInstance { name, description, tags, protected, expires_at } = request;
    let expires_at = expires_at.map(|at| at.map(|at| at.0));
    let security_groups = None;
    let request = EditInstance { name, description, tags, protected, expires_at, security_groups };
    let operation = native.house.edit_instance(&caller, id, request).await?;
    Ok(accepted(operation, wire::Accepted { instance: id, operation }))
}

/// List where an instance could move
///
/// Every other host with its score or the reason why not, as last seen. The move
/// itself asks the hypervisor.
#[utoipa::path(
    get,
    path = "/v1/instances/{id}/destinations",
    tag = "instances",
    params(("id" = String, Path, format = "uuid", description = "The instance's id")),
    responses((status = 200, description = "The hosts", body = wire::DestinationList))
)]
async fn destinations(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Id(id): Id<InstanceId>,
) -> Result<Answer<wire::DestinationList>, Failure> {
    let choices = native.house.destinations(&caller, id)?;
    let destinations = choices.into_iter().map(host_score).collect();
    Ok(Answer(wire::DestinationList { destinations }))
}

/// Move an instance to another host
///
/// The body may be left out: to the best host, of a guest that is off.
#[utoipa::path(
    post,
    path = "/v1/instances/{id}/migrate",
    tag = "instances",
    params(("id" = String, Path, format = "uuid", description = "The instance's id")),
    request_body = Option<wire::Migrate>,
    responses((status = 202, description = "Accepted", body = wire::Accepted))
)]
async fn migrate(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Id(id): Id<InstanceId>,
    JsonOrDefault(request): JsonOrDefault<wire::Migrate>,
) -> Result<impl IntoResponse + use<>, Failure> {
    let host = name_of::<HostId>("host", request.host)?;
    let operation = native.house.migrate_instance(&caller, id, host, request.online).await?;
    Ok(accepted(operation, wire::Accepted { instance: id, operation }))
}
