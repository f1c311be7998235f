//! The bulk look at a whole cluster: two calls, however many guests it has, and
//! now and then those for what changes seldom.

use std::collections::BTreeMap;

use model::{ByteCount, HostId, PowerState};
use provider::{Batch, Error, GuestView, HostView};
use pve::VmId;
use pve::cluster::{ClusterResource, ClusterStatus};
use pve::qemu::split_tags;

use crate::actions::configure::TAG;
use crate::cluster::Cluster;
use crate::devices::Devices;
use crate::native::HostFacts;

impl Cluster {
    /// See [`provider::Provider::observe`].
    pub async fn observe(&self) -> Result<Batch, Error> {
        let rows = self.resources(None).await?;
        let mut gaps = Vec::new();
        match self.status().await {
            Ok(status) => gaps.extend(membership_gaps(&status)),
            Err(error) => gaps.push(format!("the cluster's state is not known: {error}")),
        }
        match self.sees_guests().await {
            Ok(None) => {}
            Ok(Some(missing)) => gaps.push(format!("the credentials lack {missing}")),
            Err(error) => gaps.push(format!("the credentials' rights are not known: {error}")),
        }
        let devices = self.devices().await;
        let hosts = self.hosts(&rows, &devices, &mut gaps);
        Ok(Batch {
            hosts,
            images: self.images(&rows).await,
            guests: rows.iter().filter_map(guest_view).collect(),
            security_groups: self.security_groups().await,
            incomplete: (!gaps.is_empty()).then(|| gaps.join("; ")),
        })
    }

    fn hosts(
        &self,
        rows: &[ClusterResource],
        devices: &Devices,
        gaps: &mut Vec<String>,
    ) -> Vec<HostView> {
        let facts = self.host_facts(rows);
        let mut given: BTreeMap<&str, (f64, u64)> = BTreeMap::new();
        for row in rows.iter().filter(|row| is_guest(row) && row.template != Some(true)) {
            let Some(node) = row.node.as_deref() else {
                continue;
            };
            let (cores, memory) = given.entry(node).or_default();
            *cores += row.maxcpu.unwrap_or(0.0);
            *memory += row.maxmem.unwrap_or(0);
        }
        let mut hosts = Vec::new();
        for row in rows.iter().filter(|row| row.kind == "node") {
            let name = row.node.as_deref().unwrap_or_default();
            let Ok(id) = name.parse::<HostId>() else {
                gaps.push(format!("the node {name:?} has a name that cannot be used"));
                continue;
            };
            let status = row.status.as_deref().unwrap_or("unknown");
            let online = status == "online";
            if !online {
                gaps.push(format!("the node {id} is {status}"));
            } else if row.maxmem.is_none() {
                gaps.push(format!("the credentials lack Sys.Audit on /nodes/{id}"));
            }
            let (cores, memory) = given.get(name).copied().unwrap_or_default();
            hosts.push(HostView {
                online,
                cores: whole(row.maxcpu.unwrap_or(0.0)),
                memory: ByteCount::bytes(row.maxmem.unwrap_or(0)),
                cores_allocated: whole(cores),
                memory_allocated: ByteCount::bytes(memory),
                devices: devices.get(name).cloned().unwrap_or_default(),
                closed: None,
                native: facts.clone(),
                id,
            });
        }
        hosts
    }

    fn host_facts(&self, rows: &[ClusterResource]) -> serde_json::Value {
        let [first, last] = self.settings.vmid_range;
        let vmids = rows
            .iter()
            .filter(|row| is_guest(row))
            .filter_map(|row| row.vmid.map(VmId::get))
            .filter(|vmid| (first..=last).contains(vmid));
        serde_json::to_value(HostFacts::of(vmids.collect())).unwrap_or_default()
    }
}

/// Virtual machines and containers: they share vmids, cores and memory.
fn is_guest(row: &ClusterResource) -> bool {
    matches!(row.kind.as_str(), "qemu" | "lxc")
}

/// Fractions of cores (containers have none, limits may) count as whole ones.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, and negative core counts do not exist"
)]
fn whole(cores: f64) -> u32 {
    cores.ceil() as u32
}

/// Whether the guest carries the tag of guests that Innkeeper made.
pub(crate) fn is_labelled(row: &ClusterResource) -> bool {
    split_tags(row.tags.as_deref().unwrap_or_default()).contains(TAG)
}

fn membership_gaps(status: &ClusterStatus) -> Vec<String> {
    let quorum = (!status.is_quorate()).then(|| "the cluster is not quorate".to_owned());
    let offline = status.nodes.iter().filter(|node| !node.online);
    let offline = offline.map(|node| format!("the node {} is offline", node.name));
    quorum.into_iter().chain(offline).collect()
}

fn guest_view(row: &ClusterResource) -> Option<GuestView> {
    if row.kind != "qemu" || row.template == Some(true) {
        return None;
    }
    Some(GuestView {
        key: row.vmid?.to_string(),
        name: row.name.clone().unwrap_or_default(),
        host: row.node.as_deref()?.parse().ok()?,
        power: match row.status.as_deref() {
            Some("running") => PowerState::Running,
            Some("stopped") => PowerState::Stopped,
            Some("paused" | "suspended") => PowerState::Paused,
            _ => PowerState::Unknown,
        },
        labelled: is_labelled(row),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_cluster_that_is_not_whole_is_a_gap() {
        let status: ClusterStatus = serde_json::from_str(
            r#"[{"type":"cluster","name":"lab","quorate":0},
                {"type":"node","name":"pve1","online":1},
                {"type":"node","name":"pve2","online":"0"}]"#,
        )
        .unwrap();
        assert_eq!(
            membership_gaps(&status),
            ["the cluster is not quorate", "the node pve2 is offline"]
        );
        let single: ClusterStatus =
            serde_json::from_str(r#"[{"type":"node","name":"pve1","online":1}]"#).unwrap();
        assert!(membership_gaps(&single).is_empty());
    }

    #[test]
    fn a_guest_without_a_name_yet_is_seen_as_unknown() {
        let row: ClusterResource = serde_json::from_str(
            r#"{"type":"qemu","id":"qemu/100000","vmid":"100000","node":"pve1","status":"unknown"}"#,
        )
        .unwrap();
        let view = guest_view(&row).unwrap();
        assert_eq!((view.key.as_str(), view.power), ("100000", PowerState::Unknown));
        assert!(!view.labelled);
    }

    #[test]
    fn the_label_is_found_among_tags_however_they_are_separated() {
        for tags in ["innkeeper", "a;innkeeper", "a,innkeeper b"] {
            let row = serde_json::json!({
                "type": "qemu", "vmid": 100, "node": "pve1", "tags": tags,
            });
            let row: ClusterResource = serde_json::from_value(row).unwrap();
            assert!(guest_view(&row).unwrap().labelled, "{tags}");
        }
    }
}
