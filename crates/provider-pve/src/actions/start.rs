//! Powers the guest on.

use async_trait::async_trait;
use provider::{ActionContext, Applied, Error, Probe, Undone};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Carry, ours, target};
use crate::cluster::Cluster;
use crate::ownership::Standing;

/// The action's name.
pub(crate) const NAME: &str = "start";

/// The action's payload.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Start {}

#[async_trait]
impl Carry for Start {
    async fn apply(&self, cluster: &Cluster, context: &ActionContext) -> Result<Applied, Error> {
        let guest = ours(cluster, context).await?;
        if cluster.power(&guest).await?.running {
            return Ok(Applied::Done(json!({})));
        }
        if let Some(handle) = cluster.task_on(&guest, &["qmstart"]).await? {
            return Ok(Applied::Started(handle));
        }
        cluster.start(&guest).await.map(Applied::Started)
    }

    async fn probe(&self, cluster: &Cluster, context: &ActionContext) -> Result<Probe, Error> {
        let guest = ours(cluster, context).await?;
        if cluster.power(&guest).await?.running {
            return Ok(Probe::Done(json!({})));
        }
        cluster.going_on(&guest, &["qmstart"]).await
    }

    /// Of a create plan. The clone's undo would stop the guest too; here a
    /// start that still goes on is waited for.
    async fn undo(&self, cluster: &Cluster, context: &ActionContext) -> Result<Undone, Error> {
        let (reference, identity) = target(context)?;
        let hints = reference.hints();
        let Standing::Ours(guest) = cluster.look(reference.vmid, &hints, &identity).await? else {
            return Ok(Undone::Done);
        };
        if cluster.works_on(&guest).await? {
            return Ok(Undone::InProgress);
        }
        if !cluster.power(&guest).await?.running {
            return Ok(Undone::Done);
        }
        let guest = cluster.still_ours(&guest, &identity).await?;
        cluster.stop(&guest).await.map(Undone::Started)
    }
}
