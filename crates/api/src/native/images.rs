//! Images.

use axum::Json;
use axum::extract::State;
use client::wire;
use model::ImageId;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Native;
use super::error::Failure;
use super::extract::{Authenticated, Id};

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get))
}

fn view(image: &model::Image) -> wire::Image {
    wire::Image {
        id: image.id,
        name: image.name.clone(),
        provider: image.provider.to_string(),
        size_bytes: image.size.map(model::ByteCount::as_bytes),
        hosts: image.presence.hosts.iter().map(ToString::to_string).collect(),
        seen_at: image.seen_at.into(),
    }
}

/// List images
#[utoipa::path(get, path = "/v1/images", tag = "images", responses((status = 200, description = "All images", body = wire::ImageList)))]
async fn list(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
) -> Json<wire::ImageList> {
    let images = native.house.images(&caller);
    Json(wire::ImageList { images: images.iter().map(|image| view(image)).collect() })
}

/// Get an image
#[utoipa::path(
    get,
    path = "/v1/images/{id}",
    tag = "images",
    params(("id" = String, Path, format = "uuid", description = "The image's id")),
    responses((status = 200, description = "The image", body = wire::Image))
)]
async fn get(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Id(id): Id<ImageId>,
) -> Result<Json<wire::Image>, Failure> {
    Ok(Json(view(&*native.house.image(&caller, id)?)))
}
