//! Goes back to a snapshot, in two actions.
//!
//! Proxmox gives a guest another generation id (`vmgenid`) when it goes back.
//! The first action, which only reads, notes the present one; the second is done
//! when the guest has another. A guest without one is taken to have gone back
//! when it is off and stands on the snapshot.

use async_trait::async_trait;
use provider::{ActionContext, Applied, Error, Probe, Rejection};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Carry, ours};
use crate::cluster::Cluster;
use crate::guest::Guest;
use crate::tasks::LockWatch;

/// The name of the action that notes the generation.
pub(crate) const NOTE: &str = "note-generation";

/// The name of the action that goes back.
pub(crate) const NAME: &str = "rollback";

/// The member of the reference to the guest that holds the note.
const NOTED: &str = "generation_before_rollback";

/// The payload of the action that notes the generation.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Note {}

#[async_trait]
impl Carry for Note {
    async fn apply(&self, cluster: &Cluster, context: &ActionContext) -> Result<Applied, Error> {
        let guest = ours(cluster, context).await?;
        Ok(Applied::Done(json!({NOTED: guest.config.get("vmgenid")})))
    }

    /// Never: the note is taken anew until it is journalled.
    async fn probe(&self, _: &Cluster, _: &ActionContext) -> Result<Probe, Error> {
        Ok(Probe::NotDone)
    }
}

/// The payload of the action that goes back.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Rollback {
    /// The snapshot's name.
    pub name: String,
}

impl Rollback {
    async fn is_back(
        &self,
        cluster: &Cluster,
        guest: &Guest,
        context: &ActionContext,
    ) -> Result<bool, Error> {
        if guest.config.lock().is_some() {
            return Ok(false);
        }
        let noted = context.native.get(NOTED).and_then(Value::as_str);
        match (noted, guest.config.get("vmgenid")) {
            (Some(noted), Some(now)) => Ok(noted != now),
            _ => {
                let stands = guest.config.get("parent") == Some(&self.name);
                Ok(stands && !cluster.power(guest).await?.running)
            }
        }
    }
}

#[async_trait]
impl Carry for Rollback {
    async fn apply(&self, cluster: &Cluster, context: &ActionContext) -> Result<Applied, Error> {
        let guest = ours(cluster, context).await?;
        if let Some(handle) = cluster.task_on(&guest, &["qmrollback"]).await? {
            return Ok(Applied::Started(handle));
        }
        if !cluster.snapshots(&guest).await?.iter().any(|snapshot| snapshot.name == self.name) {
            let text = format!("VM {} has no snapshot {:?}", guest.vmid, self.name);
            return Err(Error::rejected(Rejection::NotFound, text));
        }
        cluster.roll_back(&guest, &self.name).await.map(Applied::Started)
    }

    async fn probe(&self, cluster: &Cluster, context: &ActionContext) -> Result<Probe, Error> {
        let guest = ours(cluster, context).await?;
        if let Some(handle) = cluster.task_on(&guest, &["qmrollback"]).await? {
            return Ok(Probe::InProgress(Some(handle)));
        }
        if guest.config.lock() == Some("rollback") {
            return match cluster.watch_lock(&guest, None).await? {
                LockWatch::Working(_) => Ok(Probe::InProgress(None)),
                LockWatch::Stays(error) => Err(error),
            };
        }
        Ok(match self.is_back(cluster, &guest, context).await? {
            true => Probe::Done(json!({})),
            false => Probe::NotDone,
        })
    }
}
