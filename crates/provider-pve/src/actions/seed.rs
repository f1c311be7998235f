//! The medium with a guest's seed: an ISO image that is put on a storage before
//! the guest is made, and taken out and removed once the guest has read it.
//!
//! Its name carries our attempt, so that nothing else can stand in its place.

use async_trait::async_trait;
use model::{AttemptId, HostId};
use provider::{ActionContext, Applied, Error, Probe, Rejection, SeedMedium, Undone};
use pve::VmId;
use pve::property::Disk;
use pve::qemu::{ConfigChange, QemuConfig};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Carry, landed, ours_to_undo};
use crate::cluster::Cluster;

/// The name of the action that puts it on the storage.
pub(crate) const NAME: &str = "seed";

/// The name of the action that takes it out of the guest's drive.
pub(crate) const EJECT: &str = "eject";

/// The name of the action that removes it from the storage.
pub(crate) const UNSEED: &str = "unseed";

/// Where it lies: part of the reference to the guest while there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SeedRef {
    /// The node whose storage it is on; the storage may be shared.
    pub node: HostId,
    /// The storage.
    pub storage: String,
    /// Its name there.
    pub file: String,
}

impl SeedRef {
    /// The medium of one attempt at a guest.
    pub fn new(node: &HostId, storage: &str, vmid: VmId, attempt: AttemptId) -> Self {
        let file = format!("innkeeper-{vmid}-{attempt}.iso");
        Self { node: node.clone(), storage: storage.to_owned(), file }
    }

    /// Its volume id.
    pub fn volume(&self) -> String {
        format!("{}:iso/{}", self.storage, self.file)
    }
}

/// The payload of the action that puts it on the storage.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Upload {
    /// Where to.
    pub medium: SeedRef,
}

fn given(context: &ActionContext) -> Result<&SeedMedium, Error> {
    let medium = context.seed_medium.as_ref();
    medium.ok_or_else(|| Error::invalid("the medium with the guest's seed is missing"))
}

impl Upload {
    /// Whether all of it is there: a copy that was broken off is shorter.
    async fn is_there(&self, cluster: &Cluster, context: &ActionContext) -> Result<bool, Error> {
        let length = u64::try_from(given(context)?.0.len()).unwrap_or(u64::MAX);
        let found = cluster.medium(&self.medium).await?;
        Ok(found.is_some_and(|size| size.is_none_or(|size| size == length)))
    }
}

#[async_trait]
impl Carry for Upload {
    async fn apply(&self, cluster: &Cluster, context: &ActionContext) -> Result<Applied, Error> {
        if self.is_there(cluster, context).await? {
            return Ok(Applied::Done(json!({})));
        }
        cluster.upload_medium(&self.medium, given(context)?).await.map(Applied::Started)
    }

    async fn probe(&self, cluster: &Cluster, context: &ActionContext) -> Result<Probe, Error> {
        if cluster.is_copying(&self.medium.node).await? {
            return Ok(Probe::InProgress(None));
        }
        Ok(match self.is_there(cluster, context).await? {
            true => Probe::Done(json!({})),
            false => Probe::NotDone,
        })
    }

    async fn undo(&self, cluster: &Cluster, context: &ActionContext) -> Result<Undone, Error> {
        if cluster.is_copying(&self.medium.node).await? {
            return Ok(Undone::InProgress);
        }
        match cluster.medium(&self.medium).await? {
            None => Ok(landed(cluster, context)),
            Some(_) => Ok(match cluster.remove_medium(&self.medium).await? {
                Some(handle) => Undone::Started(handle),
                None => Undone::InProgress,
            }),
        }
    }
}

/// The payload of the action that takes it out.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Eject {
    /// Which one.
    pub medium: SeedRef,
}

/// The drive that this volume is in.
fn drive_of(config: &QemuConfig, volume: &str) -> Result<Option<String>, Error> {
    let disks = config.disks().map_err(|error| Error::Malformed(error.to_string()))?;
    Ok(disks.into_iter().find(|(_, disk)| disk.file() == volume).map(|(name, _)| name))
}

#[async_trait]
impl Carry for Eject {
    async fn apply(&self, cluster: &Cluster, context: &ActionContext) -> Result<Applied, Error> {
        // A guest that is gone has no drive.
        if let Some(guest) = ours_to_undo(cluster, context).await?
            && let Some(drive) = drive_of(&guest.config, &self.medium.volume())?
        {
            // The drive stays: its removal would wait for the next start.
            let change = ConfigChange::new().set(&drive, Disk::empty_cdrom());
            cluster.configure(&guest, change).await?;
        }
        Ok(Applied::Done(json!({})))
    }

    async fn probe(&self, cluster: &Cluster, context: &ActionContext) -> Result<Probe, Error> {
        let Some(guest) = ours_to_undo(cluster, context).await? else {
            return Ok(Probe::Done(json!({})));
        };
        Ok(match drive_of(&guest.config, &self.medium.volume())? {
            Some(_) => Probe::NotDone,
            None => Probe::Done(json!({})),
        })
    }
}

/// The payload of the action that removes it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Unseed {
    /// Which one.
    pub medium: SeedRef,
}

/// The reference to the guest names no medium any more.
fn removed() -> serde_json::Value {
    json!({ "seed": null })
}

#[async_trait]
impl Carry for Unseed {
    async fn apply(&self, cluster: &Cluster, _: &ActionContext) -> Result<Applied, Error> {
        if cluster.medium(&self.medium).await?.is_none() {
            return Ok(Applied::Done(removed()));
        }
        Ok(match cluster.remove_medium(&self.medium).await? {
            Some(handle) => Applied::Started(handle),
            None => Applied::Done(removed()),
        })
    }

    async fn probe(&self, cluster: &Cluster, _: &ActionContext) -> Result<Probe, Error> {
        Ok(match cluster.medium(&self.medium).await? {
            Some(_) => Probe::NotDone,
            None => Probe::Done(removed()),
        })
    }
}

/// The drives that a medium is put into, in order: those that Proxmox's own
/// dialogs use first.
const DRIVES: [&str; 10] =
    ["ide2", "ide3", "ide0", "ide1", "sata5", "sata4", "sata3", "sata2", "sata1", "sata0"];

/// The change that puts this volume into a drive; `None` when it is in one.
///
/// # Errors
/// [`Error::Rejected`] when no drive is free, or the guest has a medium of
/// Proxmox's own cloud-init, which has the same label.
pub(crate) fn insert(config: &QemuConfig, volume: &str) -> Result<Option<(String, Disk)>, Error> {
    if drive_of(config, volume)?.is_some() {
        return Ok(None);
    }
    let bad = |error: pve::property::PropertyError| Error::Malformed(error.to_string());
    let disks = config.disks().map_err(bad)?;
    if let Some((name, _)) = disks.iter().find(|(_, disk)| disk.file().contains("cloudinit")) {
        let text = format!(
            "the image has a cloud-init drive of Proxmox's own ({name}): remove it from the template"
        );
        return Err(Error::rejected(Rejection::Unsupported, text));
    }
    let is_free = |name: &&&str| disks.get(**name).is_none_or(|disk| disk.file() == "none");
    let Some(name) = DRIVES.iter().find(is_free) else {
        let text = "the guest has no drive free for the medium with its seed".to_owned();
        return Err(Error::rejected(Rejection::Unsupported, text));
    };
    let disk = Disk::volume(volume).and_then(|disk| disk.with("media", "cdrom")).map_err(bad)?;
    Ok(Some(((*name).to_owned(), disk)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::guest::tests::config;

    const SEED: &str = "nfs:iso/innkeeper-100000-a.iso";

    fn drive(options: &[(&str, &str)]) -> Option<String> {
        insert(&config(options), SEED).unwrap().map(|(name, disk)| format!("{name}={disk}"))
    }

    #[test]
    fn the_medium_goes_into_the_first_drive_that_is_free() {
        let medium = format!("{SEED},media=cdrom");
        assert_eq!(drive(&[]), Some(format!("ide2={medium}")));
        assert_eq!(drive(&[("ide2", "none,media=cdrom")]), Some(format!("ide2={medium}")));
        let taken = ("ide2", "local:iso/tools.iso,media=cdrom");
        assert_eq!(drive(&[taken]), Some(format!("ide3={medium}")));
        assert_eq!(drive(&[taken, ("sata1", medium.as_str())]), None);
    }

    #[test]
    fn a_second_medium_with_the_same_label_is_refused() {
        let own = config(&[("ide2", "local:100/vm-100-cloudinit.qcow2,media=cdrom")]);
        let error = insert(&own, SEED).unwrap_err();
        assert!(error.to_string().contains("ide2"), "{error}");
    }
}
