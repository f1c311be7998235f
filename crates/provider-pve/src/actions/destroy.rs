//! Removes the guest with its disks and everything that refers to it.
//!
//! Ownership is read immediately before each call that destroys. The guest is
//! gone only when the cluster says that it does not exist, and is quorate.

use async_trait::async_trait;
use provider::{ActionContext, Applied, Error, Handle, Probe, Rejection};
use pve::qemu::ConfigChange;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Carry, target, unfinished};
use crate::cluster::Cluster;
use crate::guest::Guest;
use crate::native::{GuestRef, Identity};
use crate::ownership::Standing;
use crate::tasks::LockWatch;

/// The action's name.
pub(crate) const NAME: &str = "destroy";

/// The action's payload.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Destroy {}

#[async_trait]
impl Carry for Destroy {
    async fn apply(&self, cluster: &Cluster, context: &ActionContext) -> Result<Applied, Error> {
        let (reference, identity) = target(context)?;
        let standing = cluster.look(reference.vmid, &reference.hints(), &identity).await?;
        match standing {
            Standing::Absent => {
                no_clone_on_its_way(cluster, &reference).await?;
                Ok(Applied::Done(json!({})))
            }
            Standing::Foreign(text) => Err(Error::rejected(Rejection::Exists, text)),
            Standing::Unfinished(guest) => Err(locked(cluster, &guest).await),
            Standing::Ours(guest) => {
                match remove(cluster, &guest, &identity, Protection::OfAdministrator).await? {
                    Removal::Started(handle) => Ok(Applied::Started(handle)),
                    Removal::Working => {
                        Err(Error::Busy(format!("another task works on VM {}", reference.vmid)))
                    }
                }
            }
        }
    }

    async fn probe(&self, cluster: &Cluster, context: &ActionContext) -> Result<Probe, Error> {
        let (reference, identity) = target(context)?;
        let standing = cluster.look(reference.vmid, &reference.hints(), &identity).await?;
        match standing {
            Standing::Absent => {
                no_clone_on_its_way(cluster, &reference).await?;
                Ok(Probe::Done(json!({})))
            }
            Standing::Foreign(text) => Ok(Probe::Foreign(text)),
            Standing::Unfinished(_) => Ok(Probe::NotDone),
            Standing::Ours(guest) => cluster.going_on(&guest, &["qmdestroy"]).await,
        }
    }
}

/// Refuses to call a guest gone whose clone may still be running. (Only of a
/// guest that was never finished: its reference names the template and no UUID.)
async fn no_clone_on_its_way(cluster: &Cluster, reference: &GuestRef) -> Result<(), Error> {
    let (None, Some(source), Some(node)) =
        (&reference.uuid, reference.source, &reference.source_node)
    else {
        return Ok(());
    };
    match cluster.may_be_cloned(reference.vmid, (node, source), None).await? {
        false => Ok(()),
        true => Err(unfinished(reference.vmid)),
    }
}

/// What to tell about a guest that is locked by a clone.
async fn locked(cluster: &Cluster, guest: &Guest) -> Error {
    match cluster.watch_lock(guest, None).await {
        Ok(LockWatch::Working(_)) => unfinished(guest.vmid),
        Ok(LockWatch::Stays(error)) | Err(error) => error,
    }
}

/// Whose wish a guest's protection flag is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    /// It was copied from the template: the guest was never handed over, and
    /// the flag is taken off.
    OfTemplate,
    /// Somebody has set it on this guest: it is respected.
    OfAdministrator,
}

/// How far a removal is.
pub(crate) enum Removal {
    /// A task has begun: a stop, or the removal itself.
    Started(Handle),
    /// Somebody's task works on the guest; come again.
    Working,
}

/// Takes the next step of removing a guest of ours: waits for whoever works on
/// it, removes it, or stops it when Proxmox says that it runs. Whose guest it is
/// is read again, immediately before.
///
/// # Errors
/// Those of the calls; [`Error::NeedsAdministrator`] when the guest is protected
/// or stays locked.
pub(crate) async fn remove(
    cluster: &Cluster,
    found: &Guest,
    identity: &Identity,
    protection: Protection,
) -> Result<Removal, Error> {
    if let Some(handle) = cluster.task_on(found, &["qmdestroy"]).await? {
        return Ok(Removal::Started(handle));
    }
    if cluster.works_on(found).await? {
        return Ok(Removal::Working);
    }
    let guest = cluster.still_ours(found, identity).await?;
    if guest.config.lock().is_some() {
        return match cluster.watch_lock(&guest, None).await? {
            LockWatch::Working(_) => Ok(Removal::Working),
            LockWatch::Stays(error) => Err(error),
        };
    }
    if guest.is_protected() {
        if protection == Protection::OfAdministrator {
            return Err(Error::NeedsAdministrator {
                text: format!("VM {} is protected against removal", guest.vmid),
                commands: vec![format!("qm set {} --protection 0", guest.vmid)],
            });
        }
        let change = ConfigChange::new().delete("protection");
        cluster.configure(&guest, change).await?;
        return Ok(Removal::Working);
    }
    // Asking to remove a running guest does no harm, and saves a look at its
    // state between the proof of ownership and the removal.
    Ok(Removal::Started(match cluster.delete(&guest).await? {
        Some(handle) => handle,
        None => {
            let guest = cluster.still_ours(&guest, identity).await?;
            cluster.stop(&guest).await?
        }
    }))
}
