//! Snapshots of an instance: list, take, roll back, delete.

use axum::Json as Answer;
use axum::extract::State;
use axum::response::IntoResponse;
use client::wire;
use model::InstanceId;
use provisioner::NewSnapshot;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::Failure;
use super::extract::{Authenticated, Id, IdAndName, Json};
use super::{Native, accepted};

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new()
        .routes(routes!(list, take))
        .routes(routes!(discard))
        .routes(routes!(roll_back))
}

/// List the snapshots of an instance, the oldest first
///
/// Those that were taken through Innkeeper.
#[utoipa::path(
    get,
    path = "/v1/instances/{id}/snapshots",
    tag = "snapshots",
    params(("id" = String, Path, format = "uuid", description = "The instance's id")),
    responses((status = 200, description = "The snapshots", body = wire::SnapshotList))
)]
async fn list(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Id(id): Id<InstanceId>,
) -> Result<Answer<wire::SnapshotList>, Failure> {
    let all = native.house.snapshots(&caller, id)?;
    let row = |snapshot: &model::Snapshot| wire::Snapshot {
        name: snapshot.name.clone(),
        description: snapshot.description.clone(),
        memory: snapshot.memory,
        parent: snapshot.parent.clone(),
        current: all.current.as_ref() == Some(&snapshot.name),
        created_at: snapshot.created_at.into(),
    };
    Ok(Answer(wire::SnapshotList { snapshots: all.taken.iter().map(row).collect() }))
}

/// Take a snapshot of an instance
#[utoipa::path(
    post,
    path = "/v1/instances/{id}/snapshots",
    tag = "snapshots",
    params(("id" = String, Path, format = "uuid", description = "The instance's id")),
    request_body = wire::NewSnapshot,
    responses((status = 202, description = "Accepted", body = wire::Accepted))
)]
async fn take(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Id(id): Id<InstanceId>,
    Json(request): Json<wire::NewSnapshot>,
) -> Result<impl IntoResponse + use<>, Failure> {
    let wire::NewSnapshot { name, description, memory } = request;
    let new = NewSnapshot { name, description, memory };
    let operation = native.house.take_snapshot(&caller, id, new).await?;
    Ok(accepted(operation, wire::Accepted { instance: id, operation }))
}

/// Go back to a snapshot
///
/// What has happened since it was taken is lost. Without the guest's memory in
/// it the guest is off afterwards.
#[utoipa::path(
    post,
    path = "/v1/instances/{id}/snapshots/{name}/rollback",
    tag = "snapshots",
    params(
        ("id" = String, Path, format = "uuid", description = "The instance's id"),
        ("name" = String, Path, description = "The snapshot's name")
    ),
    responses((status = 202, description = "Accepted", body = wire::Accepted))
)]
async fn roll_back(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    IdAndName(id, name): IdAndName<InstanceId>,
) -> Result<impl IntoResponse + use<>, Failure> {
    let operation = native.house.roll_back(&caller, id, &name).await?;
    Ok(accepted(operation, wire::Accepted { instance: id, operation }))
}

/// Delete a snapshot
#[utoipa::path(
    delete,
    path = "/v1/instances/{id}/snapshots/{name}",
    tag = "snapshots",
    params(
        ("id" = String, Path, format = "uuid", description = "The instance's id"),
        ("name" = String, Path, description = "The snapshot's name")
    ),
    responses((status = 202, description = "Accepted", body = wire::Accepted))
)]
async fn discard(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    IdAndName(id, name): IdAndName<InstanceId>,
) -> Result<impl IntoResponse + use<>, Failure> {
    let operation = native.house.discard_snapshot(&caller, id, &name).await?;
    Ok(accepted(operation, wire::Accepted { instance: id, operation }))
}
