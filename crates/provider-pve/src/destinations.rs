//! Where a guest could move: what Proxmox says about each node.

use std::collections::BTreeMap;

use model::Mark;
use provider::{Destination, Destinations, Error, Rejection};
use pve::cluster::ResourceFilter;
use serde_json::Value;

use crate::actions::{gone, unfinished};
use crate::cluster::Cluster;
use crate::guest::Guest;
use crate::native::{GuestRef, Identity, host_id};
use crate::ownership::Standing;

impl Cluster {
    /// See [`provider::Provider::destinations`].
    pub async fn destinations(
        &self,
        reference: &GuestRef,
        mark: Mark,
    ) -> Result<Destinations, Error> {
        let identity = Identity::of(reference, mark);
        let guest = match self.look(reference.vmid, &reference.hints(), &identity).await? {
            Standing::Ours(guest) => guest,
            Standing::Absent => return Err(gone(reference.vmid)),
            Standing::Unfinished(guest) => return Err(unfinished(guest.vmid)),
            Standing::Foreign(text) => return Err(Error::rejected(Rejection::NotFound, text)),
        };
        let conditions = self.migration_conditions(&guest).await?;
        let local = local_disks(&conditions);
        let resources = list(&conditions, "local_resources");
        let refused: BTreeMap<String, String> = refused(&conditions);
        let running = self.power(&guest).await?.running;
        let mut others = Vec::new();
        for row in self.resources(Some(ResourceFilter::Nodes)).await? {
            let node = host_id(row.node.as_deref().unwrap_or_default())?;
            if node == guest.node {
                continue;
            }
            let online = row.status.as_deref() == Some("online");
            let why = match () {
                () if !online => Some("it does not answer".to_owned()),
                () if !local.is_empty() => Some(format!("local disks: {}", local.join(", "))),
                () if !resources.is_empty() => {
                    Some(format!("local devices: {}", resources.join(", ")))
                }
                () => refused.get(node.as_str()).cloned(),
            };
            others.push(Destination { host: node, refused: why });
        }
        Ok(Destinations { host: guest.node, running, others })
    }

    async fn migration_conditions(&self, guest: &Guest) -> Result<Value, Error> {
        self.read(self.client().node(guest.node.as_str()).qemu(guest.vmid).migration_conditions())
            .await
    }
}

/// The disks that are not on shared storage. What is inserted as a CD is no
/// disk, but it has to be there, too.
fn local_disks(conditions: &Value) -> Vec<String> {
    let disks = conditions.get("local_disks").and_then(Value::as_array);
    let name = |disk: &Value| {
        let name = disk.get("drivename").or(disk.get("volid"))?;
        name.as_str().map(str::to_owned)
    };
    disks.into_iter().flatten().filter_map(name).collect()
}

fn list(conditions: &Value, name: &str) -> Vec<String> {
    let rows = conditions.get(name).and_then(Value::as_array);
    rows.into_iter().flatten().filter_map(|row| row.as_str().map(str::to_owned)).collect()
}

/// `not_allowed_nodes`: a node, and an object that says what is missing there.
fn refused(conditions: &Value) -> BTreeMap<String, String> {
    let nodes = conditions.get("not_allowed_nodes").and_then(Value::as_object);
    let reason = |why: &Value| {
        let storages = list(why, "unavailable_storages");
        match storages.is_empty() {
            true => format!("not allowed: {why}"),
            false => format!("storages that are not there: {}", storages.join(", ")),
        }
    };
    nodes.into_iter().flatten().map(|(node, why)| (node.clone(), reason(why))).collect()
}
