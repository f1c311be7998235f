//! Asks the guest to shut down; powers it off after a while if that is wanted.

use async_trait::async_trait;
use provider::{ActionContext, Applied, Error, Probe};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Carry, ours};
use crate::cluster::Cluster;

/// The action's name.
pub(crate) const NAME: &str = "shutdown";

/// The action's payload.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Shutdown {
    /// How long the guest may take, in seconds.
    pub timeout_s: u32,
    /// Whether it is powered off then. Otherwise the task fails.
    pub force: bool,
}

#[async_trait]
impl Carry for Shutdown {
    async fn apply(&self, cluster: &Cluster, context: &ActionContext) -> Result<Applied, Error> {
        let guest = ours(cluster, context).await?;
        if !cluster.power(&guest).await?.running {
            return Ok(Applied::Done(json!({})));
        }
        if let Some(handle) = cluster.task_on(&guest, &["qmshutdown"]).await? {
            return Ok(Applied::Started(handle));
        }
        cluster.shutdown(&guest, self).await.map(Applied::Started)
    }

    async fn probe(&self, cluster: &Cluster, context: &ActionContext) -> Result<Probe, Error> {
        let guest = ours(cluster, context).await?;
        if !cluster.power(&guest).await?.running {
            return Ok(Probe::Done(json!({})));
        }
        cluster.going_on(&guest, &["qmshutdown"]).await
    }
}
