//! Devices of hosts that guests can get: the cluster's PCI resource mappings.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use provider::HostDevices;
use pve::cluster::{Mapping, MappingKind};

use crate::cluster::Cluster;

/// How long what was seen is as good as new: mappings change seldom.
const FRESH: Duration = Duration::from_secs(60);

/// By node and by the mapping's name.
pub(crate) type Devices = BTreeMap<String, BTreeMap<String, HostDevices>>;

/// What was seen last, and when it was looked for last (monotonic).
#[derive(Default)]
pub(crate) struct DeviceCache(Mutex<Option<(Duration, Devices)>>);

impl Cluster {
    /// The devices of each node. Last known ones stay while they cannot be had:
    /// a cluster before release 8 has none.
    pub async fn devices(&self) -> Devices {
        let cache = || self.devices.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.monotonic();
        if let Some((at, devices)) = &*cache()
            && now.saturating_sub(*at) < FRESH
        {
            return devices.clone();
        }
        let client = self.client();
        let seen = match self.read(client.cluster().mappings(MappingKind::Pci, None)).await {
            Ok(mappings) => Some(by_node(&mappings)),
            Err(error) => {
                tracing::debug!(%error, "the device mappings cannot be seen");
                None
            }
        };
        let mut cache = cache();
        let last = cache.take().map(|(_, devices)| devices).unwrap_or_default();
        let devices = seen.unwrap_or(last);
        *cache = Some((now, devices.clone()));
        devices
    }
}

/// Each entry of a mapping is one device of one node (or one that can be
/// divided).
fn by_node(mappings: &[Mapping]) -> Devices {
    let mut devices = Devices::new();
    for mapping in mappings {
        for entry in &mapping.map {
            let node = entry.split(',').find_map(|part| part.trim().strip_prefix("node="));
            let Some(node) = node else { continue };
            let on_it = devices.entry(node.to_owned()).or_default();
            let counted = on_it.entry(mapping.id.clone()).or_default();
            counted.count += 1;
            counted.divisible = mapping.mdev;
        }
    }
    devices
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn devices_are_counted_by_node_and_mapping() {
        let mappings: Vec<Mapping> = serde_json::from_str(
            r#"[{"id":"gpu","map":["node=pve1,path=0000:01:00.0,id=10de:1db6",
                    "path=0000:02:00.0,node=pve1,id=10de:1db6","node=pve2,path=0000:01:00,id=10de:1db6"]},
                {"id":"vgpu","mdev":1,"map":["node=pve2,path=0000:81:00.0,id=10de:2230"]},
                {"id":"broken","map":["path=0000:01:00.0"]}]"#,
        )
        .unwrap();
        let devices = by_node(&mappings);
        let gpu = |count| HostDevices { count, divisible: false };
        assert_eq!(devices["pve1"], [("gpu".to_owned(), gpu(2))].into());
        assert_eq!(devices["pve2"]["gpu"], gpu(1));
        assert_eq!(devices["pve2"]["vgpu"], HostDevices { count: 1, divisible: true });
    }
}
