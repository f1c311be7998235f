//! Images and flavours.

use model::{FlavourId, ImageId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Time;

/// What instances are made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Image {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    pub id: ImageId,
    /// Its name, unique within its provider.
    pub name: String,
    /// The provider it is at.
    pub provider: String,
    /// The size of its root disk, when known; no smaller instance can be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// The hosts on which instances can be made from it.
    pub hosts: Vec<String>,
    /// When it was last seen.
    pub seen_at: Time,
}

/// Images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageList {
    /// The images.
    pub images: Vec<Image>,
}

/// A named size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Flavour {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    pub id: FlavourId,
    /// Its name, unique.
    pub name: String,
    /// Virtual processor cores.
    pub cores: u32,
    /// Memory.
    pub memory_bytes: u64,
    /// The root disk's size; absent: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    /// Devices of the host that its instances get.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
}

/// Devices of a host that are handed through to an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// What the provider calls them (on Proxmox VE a PCI resource mapping).
    pub name: String,
    /// The kind of part, of a device that can be divided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// How many, 1 to 16.
    #[serde(default = "one")]
    pub count: u32,
}

const fn one() -> u32 {
    1
}

/// Flavours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FlavourList {
    /// The flavours.
    pub flavours: Vec<Flavour>,
}

/// A flavour to add.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewFlavour {
    /// Its name, unique.
    pub name: String,
    /// Virtual processor cores.
    pub cores: u32,
    /// Memory.
    pub memory_bytes: u64,
    /// The root disk's size; absent: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    /// Devices of the host that its instances get.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
}
