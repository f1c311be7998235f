//! Asks the guest to shut down; powers it off after a while if that is wanted.

use async_trait::async_trait;
use provider::{ActionContext, Applied, Error, Probe, Rejection};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Carry, ours, target};
use crate::cluster::Cluster;
use crate::guest::Guest;
use crate::ownership::Standing;

/// The action's name.
pub(crate) const NAME: &str = "shutdown";

/// The action's payload.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Shutdown {
    /// How long the guest may take, in seconds.
    pub timeout_s: u32,
    /// Whether it is powered off then. Otherwise the task fails.
    pub force: bool,
    /// Before a removal: a guest that is gone, or was never finished, counts as
    /// shut down.
    #[serde(default)]
    pub before_removal: bool,
}

impl Shutdown {
    /// The guest that is to go down, unless it is down already.
    async fn running(
        &self,
        cluster: &Cluster,
        context: &ActionContext,
    ) -> Result<Option<Guest>, Error> {
        let guest = if self.before_removal {
            let (reference, identity) = target(context)?;
            match cluster.look(reference.vmid, &reference.hints(), &identity).await? {
                Standing::Absent | Standing::Unfinished(_) => return Ok(None),
                Standing::Foreign(text) => return Err(Error::rejected(Rejection::NotFound, text)),
                Standing::Ours(guest) => guest,
            }
        } else {
            ours(cluster, context).await?
        };
        Ok(cluster.power(&guest).await?.running.then_some(guest))
    }
}

#[async_trait]
impl Carry for Shutdown {
    async fn apply(&self, cluster: &Cluster, context: &ActionContext) -> Result<Applied, Error> {
        let Some(guest) = self.running(cluster, context).await? else {
            return Ok(Applied::Done(json!({})));
        };
        if let Some(handle) = cluster.task_on(&guest, &["qmshutdown"]).await? {
            return Ok(Applied::Started(handle));
        }
        cluster.shutdown(&guest, self).await.map(Applied::Started)
    }

    async fn probe(&self, cluster: &Cluster, context: &ActionContext) -> Result<Probe, Error> {
        let Some(guest) = self.running(cluster, context).await? else {
            return Ok(Probe::Done(json!({})));
        };
        cluster.going_on(&guest, &["qmshutdown"]).await
    }
}
