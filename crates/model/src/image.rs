//! Images and flavours.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ByteCount, FlavourId, HostId, ImageId, ProviderId, Timestamp};

/// What instances are made from: on Proxmox, a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Its id.
    pub id: ImageId,
    /// Its name, unique within its provider.
    pub name: String,
    /// Where it is.
    pub provider: ProviderId,
    /// The size of its root disk, when known: no smaller instance can be made.
    pub size: Option<ByteCount>,
    /// Where instances can be made from it.
    pub presence: ImagePresence,
    /// The provider's own reference (opaque to everyone else).
    pub native: Value,
    /// When it was last seen. An image that is not seen any more stays, and
    /// creation from it fails with the reason.
    pub seen_at: Timestamp,
}

/// On which hosts an image can become an instance: data for placement. (A
/// template on local storage cannot be cloned to another host.)
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImagePresence {
    /// The hosts; those of a shared storage are all hosts that have it.
    pub hosts: Vec<HostId>,
    /// Why not elsewhere, for the explanation of a placement.
    pub reason: String,
}

/// A named size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flavour {
    /// Its id.
    pub id: FlavourId,
    /// Its name, unique.
    pub name: String,
    /// Virtual processor cores.
    pub cores: u32,
    /// Memory.
    pub memory: ByteCount,
    /// The root disk's size; `None` keeps the image's.
    pub disk: Option<ByteCount>,
    /// Devices of the host that its instances get.
    pub devices: Vec<DeviceRequest>,
}

/// Devices of a host that are handed through to a guest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeviceRequest {
    /// What the provider calls devices of this kind (on Proxmox VE a PCI resource
    /// mapping).
    pub name: String,
    /// The kind of part, of a device that can be divided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// How many.
    pub count: u32,
}
