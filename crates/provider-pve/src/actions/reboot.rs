//! Restarts the guest, in two actions.
//!
//! A restart leaves no trace but another QEMU process, so that a lost answer
//! could not be told from a request that never arrived. The first action, which
//! only reads, notes the process id in the reference to the guest; the second
//! is done when the guest runs in another process.

use async_trait::async_trait;
use provider::{ActionContext, Applied, Error, Probe};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Carry, ours};
use crate::cluster::{Cluster, Power};

/// The name of the action that notes the process.
pub(crate) const NOTE: &str = "note";

/// The name of the action that restarts.
pub(crate) const NAME: &str = "reboot";

/// The member of the reference to the guest that holds the note.
const NOTED: &str = "pid_before_reboot";

/// The kinds of tasks that a restart consists of.
const RESTARTS: &[&str] = &["qmreboot", "qmstart"];

/// The payload of the action that notes the process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Note {}

#[async_trait]
impl Carry for Note {
    async fn apply(&self, cluster: &Cluster, context: &ActionContext) -> Result<Applied, Error> {
        let guest = ours(cluster, context).await?;
        let power = cluster.power(&guest).await?;
        if !power.running {
            return Err(Error::invalid(format!("VM {} is not running", guest.vmid)));
        }
        Ok(Applied::Done(json!({NOTED: power.pid})))
    }

    /// Never: the note is taken anew until it is journalled.
    async fn probe(&self, _: &Cluster, _: &ActionContext) -> Result<Probe, Error> {
        Ok(Probe::NotDone)
    }
}

/// The payload of the action that restarts.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Reboot {
    /// How long the guest may take to go down, in seconds.
    pub timeout_s: u32,
}

impl Reboot {
    fn has_restarted(context: &ActionContext, power: &Power) -> bool {
        let noted = context.native.get(NOTED).and_then(|pid| pid.as_u64());
        power.running && power.pid.is_some() && noted.is_some() && power.pid.map(u64::from) != noted
    }
}

#[async_trait]
impl Carry for Reboot {
    async fn apply(&self, cluster: &Cluster, context: &ActionContext) -> Result<Applied, Error> {
        let guest = ours(cluster, context).await?;
        let power = cluster.power(&guest).await?;
        if Self::has_restarted(context, &power) {
            return Ok(Applied::Done(json!({})));
        }
        if let Some(handle) = cluster.task_on(&guest, RESTARTS).await? {
            return Ok(Applied::Started(handle));
        }
        if power.running {
            return cluster.reboot(&guest, self.timeout_s).await.map(Applied::Started);
        }
        // It ran when it was noted: it went down and has not come back.
        cluster.start(&guest).await.map(Applied::Started)
    }

    async fn probe(&self, cluster: &Cluster, context: &ActionContext) -> Result<Probe, Error> {
        let guest = ours(cluster, context).await?;
        let power = cluster.power(&guest).await?;
        if Self::has_restarted(context, &power) {
            return Ok(Probe::Done(json!({})));
        }
        cluster.going_on(&guest, RESTARTS).await
    }
}
