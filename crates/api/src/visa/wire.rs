//! What VISA's client reads. One type per answer; both generations of client
//! read the same ones.

use std::collections::BTreeMap;

use model::{ByteCount, Flavour, Image, Instance, InstanceState, OperationKind, PowerState};
use serde::Serialize;

use super::FLAVOUR_LABEL;
use super::flavour_id::to_text;

/// An instance, the same in lists and alone.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InstanceAnswer {
    id: String,
    /// The same as a number; clients ignore it.
    uid: u64,
    name: String,
    state: &'static str,
    flavour_id: String,
    image_id: String,
    created_at: String,
    address: String,
    security_groups: Vec<String>,
    fault: Option<FaultAnswer>,
}

/// Why an instance is in the state `ERROR`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FaultAnswer {
    message: String,
    code: u16,
    details: String,
    /// When: the name that clients of 3.x read.
    created: String,
    /// The same under the name that clients of 2.x read.
    created_at: String,
}

impl InstanceAnswer {
    pub(super) fn new(row: &Instance, number: String, image_id: String) -> Self {
        let state = state(row);
        let label = || row.spec.labels.get(FLAVOUR_LABEL).cloned().unwrap_or_default();
        Self {
            uid: number.parse().unwrap_or_default(),
            id: number,
            name: row.spec.name.clone(),
            state,
            flavour_id: row.spec.flavour.map_or_else(label, to_text),
            image_id,
            created_at: row.created_at.to_string(),
            address: address(row),
            security_groups: row.spec.security_groups.clone(),
            fault: (state == "ERROR").then(|| fault(row)),
        }
    }
}

fn fault(row: &Instance) -> FaultAnswer {
    let (message, at) = match &row.fault {
        Some(fault) => (fault.message.clone(), fault.at),
        None => ("the guest is gone from the hypervisor".to_owned(), row.created_at),
    };
    FaultAnswer {
        details: message.clone(),
        message,
        code: 500,
        created: at.to_string(),
        created_at: at.to_string(),
    }
}

/// The first IPv4 address of the guest's own interfaces, else the first one of
/// any kind.
pub(super) fn address(row: &Instance) -> String {
    let addresses = row.observed.iter().flat_map(|seen| &seen.addresses);
    let mut ips: Vec<_> = addresses.map(|address| address.ip).collect();
    ips.sort_by_key(std::net::IpAddr::is_ipv6);
    ips.first().map(ToString::to_string).unwrap_or_default()
}

/// The word that clients know for a state; any other loses them the whole answer.
pub(super) fn state(row: &Instance) -> &'static str {
    let moving = row.operation.is_some_and(|(_, kind)| kind == OperationKind::Migrate);
    let runs = row.observed.as_ref().is_some_and(|seen| seen.power == PowerState::Running);
    match row.state() {
        InstanceState::Failed | InstanceState::Lost => "ERROR",
        InstanceState::Creating => "BUILDING",
        // There is no word for being deleted; this one is asked about often.
        InstanceState::Stopping | InstanceState::Deleting => "STOPPING",
        InstanceState::Starting => "STARTING",
        InstanceState::Rebooting => "REBOOTING",
        _ if moving && runs => "ACTIVE_MIGRATING",
        _ if moving => "MIGRATING",
        InstanceState::Running => "ACTIVE",
        InstanceState::Stopped => "STOPPED",
        InstanceState::Paused => "UNAVAILABLE",
        InstanceState::Unknown => "UNKNOWN",
    }
}

/// What VISA's nightly clean-up goes by.
#[derive(Debug, Serialize)]
pub(super) struct Identifier {
    pub id: String,
    pub name: String,
}

/// An image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImageAnswer {
    id: String,
    name: String,
    /// Bytes.
    size: u64,
    created_at: &'static str,
}

impl ImageAnswer {
    pub(super) fn new(image: &Image, key: String) -> Self {
        let size = image.size.map(ByteCount::as_bytes).unwrap_or_default();
        Self { id: key, name: image.name.clone(), size, created_at: "" }
    }
}

/// A flavour.
#[derive(Debug, Serialize)]
pub(super) struct FlavourAnswer {
    id: String,
    name: String,
    cpus: u32,
    /// GiB.
    disk: u64,
    /// MiB.
    ram: u64,
}

impl FlavourAnswer {
    pub(super) fn new(flavour: &Flavour) -> Self {
        Self {
            id: to_text(flavour.id),
            name: flavour.name.clone(),
            cpus: flavour.cores,
            disk: flavour.disk.map(ByteCount::as_gib_ceil).unwrap_or_default(),
            ram: flavour.memory.as_mib_ceil(),
        }
    }
}

/// What the cluster has and what is given away: allocations, not load.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metrics {
    /// MiB.
    pub max_total_ram_size: u64,
    pub max_total_cores: u64,
    pub max_total_instances: u64,
    pub total_cores_used: f64,
    pub total_instances_used: u64,
    /// MiB.
    pub total_ram_used: u64,
}

/// A host.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Hypervisor {
    pub id: String,
    pub hostname: String,
    /// `up` or `down`.
    pub state: &'static str,
    /// `enabled` or `disabled`.
    pub status: &'static str,
}

/// Amounts by resource class.
#[derive(Debug, Serialize)]
pub(super) struct Amounts {
    #[serde(rename = "VCPU")]
    pub cores: u64,
    /// MiB.
    #[serde(rename = "MEMORY_MB")]
    pub memory: u64,
    /// Devices, by their resource classes.
    #[serde(flatten)]
    pub devices: BTreeMap<String, u32>,
}

/// What a host has.
#[derive(Debug, Serialize)]
pub(super) struct Inventory {
    pub hypervisor: Hypervisor,
    pub inventory: Amounts,
}

/// What is given away of it.
#[derive(Debug, Serialize)]
pub(super) struct Usage {
    pub hypervisor: Hypervisor,
    pub usage: Amounts,
}

/// The instances on it.
#[derive(Debug, Serialize)]
pub(super) struct Allocations {
    pub hypervisor: Hypervisor,
    pub allocations: Vec<Allocation>,
}

/// One instance on a host.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Allocation {
    pub server_compute_id: String,
}
