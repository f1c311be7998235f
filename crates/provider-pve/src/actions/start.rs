//! Powers the guest on.

use async_trait::async_trait;
use provider::{ActionContext, Applied, Error, Probe, Rejection, Undone};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Carry, ours, target};
use crate::cluster::Cluster;
use crate::errors;
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

    /// QEMU that did not come up may the next time: memory that is not free yet,
    /// a volume that another node still holds, a lock, a machine that was slow.
    fn failure(&self, text: &str) -> Error {
        match errors::of_text(text) {
            Error::Rejected { why: Rejection::Invalid, text } | Error::Busy(text)
                if text.contains("start failed") =>
            {
                Error::Failed(text)
            }
            other => other,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_tried_again_for_what_passes_by_itself() {
        let fails = |text: &str| matches!(Start {}.failure(text), Error::Failed(_));
        assert!(fails("start failed: QEMU exited with code 1"));
        assert!(fails("start failed: command '/usr/bin/kvm' failed: got timeout"));
        assert!(!fails("bridge 'vmbr4000' does not exist"));
        assert!(!fails("storage 'fast' does not exist"));
        assert!(!fails("VM is locked (backup)"));
        assert!(!fails("can't lock file '/var/lock/qemu-server/lock-1.conf' - got timeout"));
    }
}
