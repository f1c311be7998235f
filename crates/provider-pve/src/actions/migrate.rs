//! Moves the guest to another host. Proxmox takes a move that fails back by
//! itself: the guest stays where it was.

use async_trait::async_trait;
use model::HostId;
use provider::{ActionContext, Applied, Error, Probe};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Carry, ours};
use crate::cluster::Cluster;
use crate::tasks::LockWatch;

/// The action's name.
pub(crate) const NAME: &str = "migrate";

/// The action's payload.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Migrate {
    /// The node.
    pub node: HostId,
    /// Whether a running guest goes on running. Otherwise it is refused.
    pub online: bool,
}

#[async_trait]
impl Carry for Migrate {
    async fn apply(&self, cluster: &Cluster, context: &ActionContext) -> Result<Applied, Error> {
        let guest = ours(cluster, context).await?;
        if let Some(handle) = cluster.task_on(&guest, &["qmigrate"]).await? {
            return Ok(Applied::Started(handle));
        }
        if guest.node == self.node {
            return Ok(Applied::Done(json!({"node": self.node})));
        }
        let running = cluster.power(&guest).await?.running;
        if running && !self.online {
            return Err(Error::invalid(format!("VM {} is running", guest.vmid)));
        }
        cluster.migrate(&guest, &self.node, running).await.map(Applied::Started)
    }

    async fn probe(&self, cluster: &Cluster, context: &ActionContext) -> Result<Probe, Error> {
        let guest = ours(cluster, context).await?;
        if guest.node == self.node {
            return Ok(Probe::Done(json!({"node": self.node})));
        }
        if let Some(handle) = cluster.task_on(&guest, &["qmigrate"]).await? {
            return Ok(Probe::InProgress(Some(handle)));
        }
        // A move that was killed leaves its lock.
        if guest.config.lock() != Some("migrate") {
            return Ok(Probe::NotDone);
        }
        match cluster.watch_lock(&guest, None).await? {
            LockWatch::Working(_) => Ok(Probe::InProgress(None)),
            LockWatch::Stays(error) => Err(error),
        }
    }
}
