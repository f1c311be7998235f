//! The routes of newer clients: hosts as last seen. A list that lacks a host
//! makes VISA forget it, so that there is none as long as nothing was seen.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use provisioner::{DeviceInfo, HostInfo};

use super::devices::resource_class;
use super::error::Failure;
use super::wire::{Allocation, Allocations, Amounts, Hypervisor, Inventory, Usage};
use super::{Visa, cores_to_give};

fn hosts(visa: &Visa) -> Result<Vec<(Hypervisor, HostInfo)>, Failure> {
    let (hosts, _) = visa.house.hosts(&visa.caller).ok_or(Failure::NotFound)?;
    if hosts.is_empty() {
        return Err(Failure::NotFound);
    }
    let several = hosts.iter().any(|host| host.provider != hosts[0].provider);
    let named = |host: HostInfo| {
        let id = match several {
            true => format!("{}/{}", host.provider, host.id),
            false => host.id.to_string(),
        };
        let hypervisor = Hypervisor {
            id,
            hostname: host.id.to_string(),
            state: if host.online { "up" } else { "down" },
            status: if host.open { "enabled" } else { "disabled" },
        };
        (hypervisor, host)
    };
    Ok(hosts.into_iter().map(named).collect())
}

fn by_class(host: &HostInfo, count: impl Fn(&DeviceInfo) -> u32) -> BTreeMap<String, u32> {
    let mut classes = BTreeMap::new();
    for (name, info) in &host.devices {
        *classes.entry(resource_class(name)).or_default() += count(info);
    }
    classes
}

pub(super) async fn inventories(State(visa): State<Visa>) -> Result<Json<Vec<Inventory>>, Failure> {
    let answer = |(hypervisor, host): (Hypervisor, HostInfo)| Inventory {
        hypervisor,
        inventory: Amounts {
            cores: cores_to_give(&visa, &host),
            memory: host.memory.as_mib_ceil(),
            devices: by_class(&host, |info| info.count),
        },
    };
    Ok(Json(hosts(&visa)?.into_iter().map(answer).collect()))
}

pub(super) async fn usages(State(visa): State<Visa>) -> Result<Json<Vec<Usage>>, Failure> {
    let answer = |(hypervisor, host): (Hypervisor, HostInfo)| Usage {
        hypervisor,
        usage: Amounts {
            cores: u64::from(host.cores_allocated),
            memory: host.memory_allocated.as_mib_ceil(),
            devices: by_class(&host, |info| info.given),
        },
    };
    Ok(Json(hosts(&visa)?.into_iter().map(answer).collect()))
}

pub(super) async fn allocations(
    State(visa): State<Visa>,
) -> Result<Json<Vec<Allocations>>, Failure> {
    let mut on: BTreeMap<_, Vec<Allocation>> = BTreeMap::new();
    for row in visa.house.instances(&visa.caller, &visa.ours()) {
        let number = visa.house.number_of(&visa.caller, row.id);
        if let (Some(seen), Some(server_compute_id)) = (&row.observed, number) {
            let place = (row.provider.clone(), seen.host.clone());
            on.entry(place).or_default().push(Allocation { server_compute_id });
        }
    }
    let answer = |(hypervisor, host): (Hypervisor, HostInfo)| Allocations {
        hypervisor,
        allocations: on.remove(&(host.provider, host.id)).unwrap_or_default(),
    };
    Ok(Json(hosts(&visa)?.into_iter().map(answer).collect()))
}
