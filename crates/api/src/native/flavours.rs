//! Flavours.

use axum::Json as Answer;
use axum::extract::State;
use client::wire;
use http::StatusCode;
use model::{ByteCount, DeviceRequest, FlavourId};
use provisioner::NewFlavour;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Native;
use super::error::Failure;
use super::extract::{Authenticated, Id, Json};

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(delete))
}

fn view(flavour: &model::Flavour) -> wire::Flavour {
    wire::Flavour {
        id: flavour.id,
        name: flavour.name.clone(),
        cores: flavour.cores,
        memory_bytes: flavour.memory.as_bytes(),
        disk_bytes: flavour.disk.map(ByteCount::as_bytes),
        devices: flavour.devices.iter().cloned().map(device).collect(),
    }
}

fn device(device: DeviceRequest) -> wire::Device {
    wire::Device { name: device.name, part: device.part, count: device.count }
}

fn asked(device: wire::Device) -> DeviceRequest {
    DeviceRequest { name: device.name, part: device.part, count: device.count }
}

/// List flavours
#[utoipa::path(get, path = "/v1/flavours", tag = "flavours", responses((status = 200, description = "All flavours", body = wire::FlavourList)))]
async fn list(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
) -> Answer<wire::FlavourList> {
    let flavours = native.house.flavours(&caller);
    Answer(wire::FlavourList { flavours: flavours.iter().map(|row| view(row)).collect() })
}

/// Add a flavour (administrators)
#[utoipa::path(
    post,
    path = "/v1/flavours",
    tag = "flavours",
    request_body = wire::NewFlavour,
    responses((status = 201, description = "The flavour", body = wire::Flavour))
)]
async fn create(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Json(request): Json<wire::NewFlavour>,
) -> Result<(StatusCode, Answer<wire::Flavour>), Failure> {
    let request = NewFlavour {
        name: request.name,
        cores: request.cores,
        memory: ByteCount::bytes(request.memory_bytes),
        disk: request.disk_bytes.map(ByteCount::bytes),
        devices: request.devices.into_iter().map(asked).collect(),
    };
    let flavour = native.house.create_flavour(&caller, request).await?;
    Ok((StatusCode::CREATED, Answer(view(&flavour))))
}

/// Remove a flavour (administrators); instances made with it keep their sizes
#[utoipa::path(
    delete,
    path = "/v1/flavours/{id}",
    tag = "flavours",
    params(("id" = String, Path, format = "uuid", description = "The flavour's id")),
    responses((status = 204, description = "It is removed"))
)]
async fn delete(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Id(id): Id<FlavourId>,
) -> Result<StatusCode, Failure> {
    native.house.delete_flavour(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
