//! Templates as images: where each can become a guest, and how.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use model::{ByteCount, HostId, ImagePresence};
use provider::ImageView;
use pve::VmId;
use pve::cluster::ClusterResource;
use pve::qemu::{QemuConfig, split_tags};

use crate::cluster::{Cluster, ConfigAnswer};
use crate::guest::root_disk;
use crate::native::{ImageRef, host_id};

/// How long what was read of a template's disks is believed. They change only
/// by hand.
const BELIEVED: Duration = Duration::from_secs(600);

/// How many templates are read at once.
const READS: usize = 4;

/// How many templates are kept in mind.
const MOST: usize = 10_000;

/// Storage types that cannot make linked clones of a template's disks. (On
/// directories every base image can be a backing file.)
const NO_LINKED_CLONES: [&str; 4] = ["lvm", "iscsi", "iscsidirect", "esxi"];

/// What a template's configuration says about its disks.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Disks {
    /// The root disk's size in bytes.
    size: Option<u64>,
    /// Storages of its disks.
    disks: BTreeSet<String>,
    /// Storages of all its volumes, CD images included: Proxmox clones a
    /// template to another host only if all of them are shared.
    volumes: BTreeSet<String>,
}

impl Disks {
    fn of(config: &QemuConfig) -> Self {
        let volumes = config.volumes().unwrap_or_default();
        let storages = |with_cds: bool| {
            let drives = volumes.values().filter(|d| with_cds || !d.is_cdrom());
            drives.filter_map(|disk| disk.storage().map(str::to_owned)).collect()
        };
        Self {
            size: root_disk(config).and_then(|(_, disk)| disk.size()).map(|size| size.bytes()),
            disks: storages(false),
            volumes: storages(true),
        }
    }
}

/// What was read of templates: by vmid, with the node that it was read on.
#[derive(Debug, Default)]
pub(crate) struct TemplateCache(Mutex<BTreeMap<VmId, (HostId, Duration, Disks)>>);

/// A storage on a node.
type StorageAt<'a> = BTreeMap<(&'a str, &'a str), &'a ClusterResource>;

impl Cluster {
    /// The templates among these rows that the settings select.
    pub async fn images(&self, rows: &[ClusterResource]) -> Vec<ImageView> {
        let selected: Vec<&ClusterResource> = rows
            .iter()
            .filter(|row| row.kind == "qemu" && row.template == Some(true))
            .filter(|row| {
                let name = row.name.as_deref().unwrap_or_default();
                self.settings.templates.select(
                    name,
                    &split_tags(row.tags.as_deref().unwrap_or_default()),
                    row.pool.as_deref(),
                )
            })
            .take(MOST)
            .collect();
        let storages: StorageAt<'_> = rows
            .iter()
            .filter(|row| row.kind == "storage")
            .filter_map(|row| Some(((row.storage.as_deref()?, row.node.as_deref()?), row)))
            .collect();
        let mut reads = Vec::new();
        for row in selected {
            reads.push(self.image(row, &storages));
        }
        let read: Vec<Option<ImageView>> = stream::iter(reads).buffered(READS).collect().await;
        let mut images: Vec<ImageView> = read.into_iter().flatten().collect();
        unique_names(&mut images);
        images
    }

    async fn image(&self, row: &ClusterResource, storages: &StorageAt<'_>) -> Option<ImageView> {
        let vmid = row.vmid?;
        let node = host_id(row.node.as_deref()?).ok()?;
        let disks = self.template_disks(vmid, &node).await?;
        let shared = disks.volumes.iter().all(|storage| {
            storages
                .get(&(storage.as_str(), node.as_str()))
                .is_some_and(|row| row.shared == Some(true))
        });
        let linked = disks.disks.iter().all(|storage| {
            let row = storages.get(&(storage.as_str(), node.as_str()));
            let kind = row.and_then(|row| row.plugintype.as_deref());
            !NO_LINKED_CLONES.contains(&kind.unwrap_or_default())
        });
        let native = ImageRef {
            vmid,
            node: node.clone(),
            shared,
            linked,
            storages: disks.disks.iter().cloned().collect(),
        };
        Some(ImageView {
            name: row.name.clone().unwrap_or_else(|| format!("VM {vmid}")),
            size: disks.size.map(ByteCount::bytes),
            presence: self.reachable(presence(&node, shared, &disks, storages), linked, storages),
            native: serde_json::to_value(native).unwrap_or_default(),
        })
    }

    /// Without the hosts that do not have the storage that full clones go to.
    fn reachable(
        &self,
        mut presence: ImagePresence,
        linked: bool,
        storages: &StorageAt<'_>,
    ) -> ImagePresence {
        let Some(storage) = &self.settings.clone_storage else { return presence };
        if self.settings.clones_linked(linked) {
            return presence;
        }
        let before = presence.hosts.len();
        presence.hosts.retain(|host| is_available(storages, storage, host.as_str()));
        if presence.hosts.len() < before {
            let missing =
                format!("; the storage {storage}, where full clones go, is not everywhere");
            presence.reason += &missing;
        }
        presence
    }

    /// What the template's configuration says about its disks, read once and
    /// then rarely.
    async fn template_disks(&self, vmid: VmId, node: &HostId) -> Option<Disks> {
        let now = self.clock.monotonic();
        {
            let cache = self.templates.0.lock();
            let cache = cache.unwrap_or_else(PoisonError::into_inner);
            if let Some((on, at, disks)) = cache.get(&vmid)
                && on == node
                && now.saturating_sub(*at) < BELIEVED
            {
                return Some(disks.clone());
            }
        }
        let config = match self.config(node, vmid).await {
            Ok(ConfigAnswer::Found(config)) => config,
            Ok(ConfigAnswer::Missing | ConfigAnswer::Hidden) => return None,
            Err(error) => {
                tracing::warn!(%vmid, %node, %error, "template not read");
                return None;
            }
        };
        let disks = Disks::of(&config);
        let mut cache = self.templates.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= MOST {
            cache.clear();
        }
        cache.insert(vmid, (node.clone(), now, disks.clone()));
        Some(disks)
    }
}

/// The hosts where a template can become a guest: its own, and, when all of its
/// volumes are shared, every host that has them.
fn presence(node: &HostId, shared: bool, disks: &Disks, storages: &StorageAt<'_>) -> ImagePresence {
    if !shared {
        let local: Vec<&str> = disks
            .volumes
            .iter()
            .filter(|storage| {
                storages
                    .get(&(storage.as_str(), node.as_str()))
                    .is_none_or(|row| row.shared != Some(true))
            })
            .map(String::as_str)
            .collect();
        return ImagePresence {
            hosts: vec![node.clone()],
            reason: format!("the template is on {node}'s own storage ({})", local.join(", ")),
        };
    }
    let nodes: BTreeSet<&str> = storages.keys().map(|(_, node)| *node).collect();
    let has_all =
        |at: &&str| disks.volumes.iter().all(|storage| is_available(storages, storage, at));
    let hosts: Vec<HostId> =
        nodes.into_iter().filter(has_all).filter_map(|node| node.parse().ok()).collect();
    let names: Vec<&str> = disks.volumes.iter().map(String::as_str).collect();
    ImagePresence {
        hosts,
        reason: format!("the template's storage ({}) is not available there", names.join(", ")),
    }
}

fn is_available(storages: &StorageAt<'_>, storage: &str, node: &str) -> bool {
    let row = storages.get(&(storage, node));
    row.is_some_and(|row| row.status.as_deref() == Some("available"))
}

/// Images are found by name: templates that share one get their vmid added.
fn unique_names(images: &mut [ImageView]) {
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for image in images.iter() {
        *count.entry(image.name.clone()).or_default() += 1;
    }
    for image in images.iter_mut().filter(|image| count[&image.name] > 1) {
        image.name = format!("{}-{}", image.name, image.native["vmid"]);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::guest::tests::config;

    fn storage(name: &str, node: &str, shared: bool) -> ClusterResource {
        serde_json::from_value(serde_json::json!({
            "type": "storage", "storage": name, "node": node, "status": "available",
            "shared": u8::from(shared),
        }))
        .unwrap()
    }

    fn hosts(options: &[(&str, &str)], rows: &[ClusterResource]) -> (Vec<String>, String) {
        let storages: StorageAt<'_> = rows
            .iter()
            .map(|row| ((row.storage.as_deref().unwrap(), row.node.as_deref().unwrap()), row))
            .collect();
        let disks = Disks::of(&config(options));
        let node: HostId = "pve1".parse().unwrap();
        let shared = disks
            .volumes
            .iter()
            .all(|name| storages[&(name.as_str(), "pve1")].shared == Some(true));
        let presence = presence(&node, shared, &disks, &storages);
        let hosts = presence.hosts.iter().map(ToString::to_string).collect();
        (hosts, presence.reason)
    }

    #[test]
    fn a_template_on_shared_storage_is_on_every_host_that_has_it() {
        let rows = [
            storage("ceph", "pve1", true),
            storage("ceph", "pve2", true),
            storage("local", "pve3", false),
        ];
        let (hosts, _) = hosts(&[("scsi0", "ceph:base-9000-disk-0,size=2G")], &rows);
        assert_eq!(hosts, ["pve1", "pve2"]);
    }

    #[test]
    fn one_local_volume_keeps_a_template_on_its_host() {
        let rows = [
            storage("ceph", "pve1", true),
            storage("ceph", "pve2", true),
            storage("local", "pve1", false),
            storage("local", "pve2", false),
        ];
        let options = [
            ("scsi0", "ceph:base-9000-disk-0,size=2G"),
            ("ide2", "local:iso/debian.iso,media=cdrom"),
        ];
        let (hosts, reason) = hosts(&options, &rows);
        assert_eq!(hosts, ["pve1"]);
        assert_eq!(reason, "the template is on pve1's own storage (local)");
    }

    #[test]
    fn templates_of_one_name_are_told_apart_by_vmid() {
        let image = |name: &str, vmid: u32| ImageView {
            name: name.into(),
            size: None,
            presence: ImagePresence::default(),
            native: serde_json::json!({"vmid": vmid}),
        };
        let mut images = vec![image("a", 1), image("b", 2), image("a", 3)];
        unique_names(&mut images);
        let names: Vec<&str> = images.iter().map(|image| image.name.as_str()).collect();
        assert_eq!(names, ["a-1", "b", "a-3"]);
    }
}
