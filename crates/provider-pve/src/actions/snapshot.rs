//! Takes a snapshot, and deletes one.
//!
//! A snapshot that we take names its operation in its description, so that one
//! of the same name that somebody else has taken is neither taken for ours nor
//! taken back.

use async_trait::async_trait;
use model::OperationId;
use provider::{ActionContext, Applied, Error, Probe, Undone};
use pve::qemu::Snapshot as Listed;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Carry, landed, ours, ours_to_undo};
use crate::cluster::Cluster;
use crate::guest::Guest;
use crate::tasks::LockWatch;

/// The name of the action that takes one.
pub(crate) const TAKE: &str = "snapshot";

/// The name of the action that deletes one.
pub(crate) const DISCARD: &str = "discard";

/// How the line begins that names the operation.
const LINE: &str = "innkeeper-snapshot/1 ";

/// The payload of the action that takes one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Take {
    /// Its name.
    pub name: String,
    /// What people say about it.
    pub description: String,
    /// Whether the memory of a running guest is saved.
    pub memory: bool,
    /// The operation that takes it.
    pub token: OperationId,
}

/// Whether the guest is locked by work on a snapshot that goes on.
async fn at_work(cluster: &Cluster, guest: &Guest, kinds: &[&str]) -> Result<Option<Probe>, Error> {
    if let Some(handle) = cluster.task_on(guest, kinds).await? {
        return Ok(Some(Probe::InProgress(Some(handle))));
    }
    if !matches!(guest.config.lock(), Some("snapshot" | "snapshot-delete" | "rollback")) {
        return Ok(None);
    }
    match cluster.watch_lock(guest, None).await? {
        LockWatch::Working(_) => Ok(Some(Probe::InProgress(None))),
        LockWatch::Stays(error) => Err(error),
    }
}

impl Take {
    async fn listed(&self, cluster: &Cluster, guest: &Guest) -> Result<Option<Listed>, Error> {
        let all = cluster.snapshots(guest).await?;
        Ok(all.into_iter().find(|snapshot| snapshot.name == self.name))
    }

    fn is_ours(&self, snapshot: &Listed) -> bool {
        let line = format!("{LINE}{}", self.token);
        snapshot.description.iter().flat_map(|text| text.lines()).any(|found| found.trim() == line)
    }

    fn text(&self) -> String {
        format!("{}\n{LINE}{}", self.description.trim(), self.token).trim().to_owned()
    }
}

#[async_trait]
impl Carry for Take {
    async fn apply(&self, cluster: &Cluster, context: &ActionContext) -> Result<Applied, Error> {
        let guest = ours(cluster, context).await?;
        match self.listed(cluster, &guest).await? {
            Some(snapshot) if self.is_ours(&snapshot) => Ok(Applied::Done(json!({}))),
            Some(_) => Err(Error::invalid(format!(
                "VM {} has a snapshot {:?} already",
                guest.vmid, self.name
            ))),
            None => {
                let (name, text) = (&self.name, self.text());
                cluster.take_snapshot(&guest, name, &text, self.memory).await.map(Applied::Started)
            }
        }
    }

    async fn probe(&self, cluster: &Cluster, context: &ActionContext) -> Result<Probe, Error> {
        let guest = ours(cluster, context).await?;
        if let Some(probe) = at_work(cluster, &guest, &["qmsnapshot"]).await? {
            return Ok(probe);
        }
        Ok(match self.listed(cluster, &guest).await? {
            Some(snapshot) if self.is_ours(&snapshot) => Probe::Done(json!({})),
            _ => Probe::NotDone,
        })
    }

    async fn undo(&self, cluster: &Cluster, context: &ActionContext) -> Result<Undone, Error> {
        let Some(guest) = ours_to_undo(cluster, context).await? else {
            return Ok(Undone::Done);
        };
        if cluster.works_on(&guest).await? {
            return Ok(Undone::InProgress);
        }
        match self.listed(cluster, &guest).await? {
            Some(snapshot) if self.is_ours(&snapshot) => {
                cluster.drop_snapshot(&guest, &self.name).await.map(Undone::Started)
            }
            _ => Ok(landed(cluster, context)),
        }
    }
}

/// The payload of the action that deletes one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Discard {
    /// Its name.
    pub name: String,
}

impl Discard {
    async fn is_gone(&self, cluster: &Cluster, guest: &Guest) -> Result<bool, Error> {
        let all = cluster.snapshots(guest).await?;
        Ok(!all.iter().any(|snapshot| snapshot.name == self.name))
    }
}

#[async_trait]
impl Carry for Discard {
    async fn apply(&self, cluster: &Cluster, context: &ActionContext) -> Result<Applied, Error> {
        let guest = ours(cluster, context).await?;
        if self.is_gone(cluster, &guest).await? {
            return Ok(Applied::Done(json!({})));
        }
        if let Some(handle) = cluster.task_on(&guest, &["qmdelsnapshot"]).await? {
            return Ok(Applied::Started(handle));
        }
        cluster.drop_snapshot(&guest, &self.name).await.map(Applied::Started)
    }

    async fn probe(&self, cluster: &Cluster, context: &ActionContext) -> Result<Probe, Error> {
        let guest = ours(cluster, context).await?;
        if let Some(probe) = at_work(cluster, &guest, &["qmdelsnapshot"]).await? {
            return Ok(probe);
        }
        Ok(match self.is_gone(cluster, &guest).await? {
            true => Probe::Done(json!({})),
            false => Probe::NotDone,
        })
    }
}
