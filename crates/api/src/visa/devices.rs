//! Devices of hosts, and which flavours ask for them.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use model::Flavour;
use provisioner::HostInfo;
use serde::Serialize;

use super::Visa;
use super::catalogue::find_flavour;
use super::error::Failure;
use super::flavour_id::to_text;

/// A kind of device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Device {
    identifier: String,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// Devices that each instance of a flavour gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeviceAllocation {
    flavour_id: String,
    device: Device,
    unit_count: u32,
}

fn device(name: &str, divisible: bool) -> Device {
    let kind = if divisible { "VIRTUAL_GPU" } else { "PCI_PASSTHROUGH" };
    Device { identifier: name.to_owned(), kind }
}

/// The resource class that a device is counted under: `CUSTOM_` and its name in
/// capitals.
pub(super) fn resource_class(name: &str) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("CUSTOM_{}", name.chars().map(word).collect::<String>())
}

/// All names, and whether they can be divided: those that hosts have, and those
/// that flavours ask for.
fn all(visa: &Visa) -> Result<BTreeMap<String, bool>, Failure> {
    let (hosts, _) = visa.house.hosts(&visa.caller).ok_or(Failure::NotFound)?;
    let mut names = BTreeMap::new();
    for flavour in visa.house.flavours(&visa.caller) {
        names.extend(flavour.devices.iter().map(|it| (it.name.clone(), it.part.is_some())));
    }
    for HostInfo { devices, .. } in hosts {
        names.extend(devices.into_iter().map(|(name, info)| (name, info.divisible)));
    }
    Ok(names)
}

fn allocations_of(flavour: &Flavour, names: &BTreeMap<String, bool>) -> Vec<DeviceAllocation> {
    let allocation = |asked: &model::DeviceRequest| DeviceAllocation {
        flavour_id: to_text(flavour.id),
        device: device(&asked.name, names.get(&asked.name).copied().unwrap_or_default()),
        unit_count: asked.count,
    };
    flavour.devices.iter().map(allocation).collect()
}

pub(super) async fn list(State(visa): State<Visa>) -> Result<Json<Vec<Device>>, Failure> {
    Ok(Json(all(&visa)?.iter().map(|(name, divisible)| device(name, *divisible)).collect()))
}

pub(super) async fn get(
    State(visa): State<Visa>,
    Path((kind, name)): Path<(String, String)>,
) -> Result<Json<Device>, Failure> {
    let names = all(&visa)?;
    let found = names.get(&name).map(|divisible| device(&name, *divisible));
    found.filter(|device| device.kind == kind).map(Json).ok_or(Failure::NotFound)
}

pub(super) async fn allocations(
    State(visa): State<Visa>,
) -> Result<Json<Vec<DeviceAllocation>>, Failure> {
    let names = all(&visa)?;
    let flavours = visa.house.flavours(&visa.caller);
    Ok(Json(flavours.iter().flat_map(|flavour| allocations_of(flavour, &names)).collect()))
}

pub(super) async fn of_flavour(
    State(visa): State<Visa>,
    Path(id): Path<String>,
) -> Result<Json<Vec<DeviceAllocation>>, Failure> {
    let flavour = find_flavour(&visa, &id).ok_or(Failure::NotFound)?;
    Ok(Json(allocations_of(&flavour, &all(&visa)?)))
}

/// Two devices whose names differ in nothing that a class can show are one class.
pub(super) async fn classes(State(visa): State<Visa>) -> Result<Json<Vec<String>>, Failure> {
    let mut classes: Vec<String> = all(&visa)?.keys().map(|name| resource_class(name)).collect();
    classes.sort_unstable();
    classes.dedup();
    Ok(Json(classes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_class_is_a_word_in_capitals() {
        assert_eq!(resource_class("gpu-a100.x"), "CUSTOM_GPU_A100_X");
    }
}
