//! Powers the guest off, hard. Also the first action of a removal.

use async_trait::async_trait;
use provider::{ActionContext, Applied, Error, Probe, Rejection};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Carry, gone, target, unfinished};
use crate::cluster::Cluster;
use crate::ownership::Standing;

/// The action's name.
pub(crate) const NAME: &str = "stop";

/// The action's payload.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stop {
    /// Before a removal: a guest that is gone, or was never finished, counts
    /// as stopped.
    #[serde(default)]
    pub before_removal: bool,
}

impl Stop {
    async fn look(&self, cluster: &Cluster, context: &ActionContext) -> Result<Standing, Error> {
        let (reference, identity) = target(context)?;
        let standing = cluster.look(reference.vmid, &reference.hints(), &identity).await?;
        match standing {
            Standing::Absent if !self.before_removal => Err(gone(reference.vmid)),
            Standing::Unfinished(guest) if !self.before_removal => Err(unfinished(guest.vmid)),
            other => Ok(other),
        }
    }
}

#[async_trait]
impl Carry for Stop {
    async fn apply(&self, cluster: &Cluster, context: &ActionContext) -> Result<Applied, Error> {
        let guest = match self.look(cluster, context).await? {
            Standing::Absent | Standing::Unfinished(_) => return Ok(Applied::Done(json!({}))),
            Standing::Foreign(text) => return Err(Error::rejected(Rejection::NotFound, text)),
            Standing::Ours(guest) => guest,
        };
        if !cluster.power(&guest).await?.running {
            return Ok(Applied::Done(json!({})));
        }
        if let Some(handle) = cluster.task_on(&guest, &["qmstop"]).await? {
            return Ok(Applied::Started(handle));
        }
        let (_, identity) = target(context)?;
        let guest = cluster.still_ours(&guest, &identity).await?;
        cluster.stop(&guest).await.map(Applied::Started)
    }

    async fn probe(&self, cluster: &Cluster, context: &ActionContext) -> Result<Probe, Error> {
        let guest = match self.look(cluster, context).await? {
            Standing::Absent | Standing::Unfinished(_) => return Ok(Probe::Done(json!({}))),
            Standing::Foreign(text) => return Ok(Probe::Foreign(text)),
            Standing::Ours(guest) => guest,
        };
        if !cluster.power(&guest).await?.running {
            return Ok(Probe::Done(json!({})));
        }
        cluster.going_on(&guest, &["qmstop"]).await
    }
}
