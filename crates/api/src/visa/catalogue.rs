//! What instances are made from: images, flavours, security groups; and how much
//! room there is.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use model::{Error, Flavour, Image};
use provisioner::InstanceFilter;

use super::error::Failure;
use super::flavour_id::from_text;
use super::wire::{FlavourAnswer, ImageAnswer, Metrics};
use super::{Visa, cores_to_give};

/// The image that VISA calls so.
pub(super) fn find_image(visa: &Visa, id: &str) -> Option<Arc<Image>> {
    let images = visa.house.images(&visa.caller);
    images.into_iter().find(|image| visa.house.image_key(&visa.caller, image) == id)
}

/// The flavour that VISA calls so.
pub(super) fn find_flavour(visa: &Visa, id: &str) -> Option<Arc<Flavour>> {
    let id = from_text(id)?;
    visa.house.flavours(&visa.caller).into_iter().find(|flavour| flavour.id == id)
}

fn image_answer(visa: &Visa, image: &Image) -> ImageAnswer {
    ImageAnswer::new(image, visa.house.image_key(&visa.caller, image))
}

pub(super) async fn images(State(visa): State<Visa>) -> Json<Vec<ImageAnswer>> {
    let images = visa.house.images(&visa.caller);
    Json(images.iter().map(|image| image_answer(&visa, image)).collect())
}

pub(super) async fn image(
    State(visa): State<Visa>,
    Path(id): Path<String>,
) -> Result<Json<ImageAnswer>, Failure> {
    let image = find_image(&visa, &id).ok_or(Failure::NotFound)?;
    Ok(Json(image_answer(&visa, &image)))
}

pub(super) async fn flavours(State(visa): State<Visa>) -> Json<Vec<FlavourAnswer>> {
    let mut flavours = visa.house.flavours(&visa.caller);
    flavours.sort_by(|one, other| one.name.cmp(&other.name));
    Json(flavours.iter().map(|flavour| FlavourAnswer::new(flavour)).collect())
}

pub(super) async fn flavour(
    State(visa): State<Visa>,
    Path(id): Path<String>,
) -> Result<Json<FlavourAnswer>, Failure> {
    let flavour = find_flavour(&visa, &id).ok_or(Failure::NotFound)?;
    Ok(Json(FlavourAnswer::new(&flavour)))
}

pub(super) async fn security_groups(State(visa): State<Visa>) -> Json<Vec<String>> {
    Json(visa.house.security_groups(&visa.caller))
}

/// What is given away, whoever has it; VISA reckons from it how many more
/// instances of a flavour there can be.
pub(super) async fn metrics(State(visa): State<Visa>) -> Result<Json<Metrics>, Failure> {
    let (hosts, _) = visa.house.hosts(&visa.caller).ok_or_else(|| Error::Unavailable {
        message: "no host has been seen yet".to_owned(),
        context: None,
    })?;
    let filter = InstanceFilter { limit: usize::MAX, ..visa.ours() };
    let instances = visa.house.instances(&visa.caller, &filter).len();
    let mut metrics = Metrics {
        max_total_instances: visa.settings.instance_limit,
        total_instances_used: instances as u64,
        ..Metrics::default()
    };
    let mut cores_used = 0;
    for host in hosts.iter().filter(|host| host.online) {
        metrics.max_total_ram_size += host.memory.as_mib_ceil();
        metrics.max_total_cores += cores_to_give(&visa, host);
        metrics.total_ram_used += host.memory_allocated.as_mib_ceil();
        cores_used += host.cores_allocated;
    }
    metrics.total_cores_used = f64::from(cores_used);
    Ok(Json(metrics))
}
