//! Gives the guest another size: one call that sends what differs. What the
//! guest cannot take while it runs waits for its next start.

use async_trait::async_trait;
use provider::{ActionContext, Applied, Error, Probe, Undone};
use pve::qemu::{ConfigChange, QemuConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Carry, landed, ours, ours_to_undo};
use crate::cluster::Cluster;
use crate::guest::Guest;

/// The action's name.
pub(crate) const NAME: &str = "resize";

/// The options that make a guest's size.
const OPTIONS: [&str; 5] = ["cores", "sockets", "vcpus", "memory", "balloon"];

/// A size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Size {
    /// Cores, on one socket.
    pub cores: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
}

/// The action's payload.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Resize {
    /// The size to come.
    pub to: Size,
    /// The size to go back to when it is taken back.
    pub before: Size,
}

impl Size {
    /// What has to be sent so that the configuration gets this size.
    pub(crate) fn changes(self, config: &QemuConfig, mut change: ConfigChange) -> ConfigChange {
        if config.cores() != u64::from(self.cores) {
            change = change.set("cores", self.cores);
        }
        if config.memory_mib() != self.memory_mib {
            change = change.set("memory", self.memory_mib);
        }
        // More sockets or fewer virtual processors would make another number of
        // cores; more ballooning than memory is refused.
        let balloon = config.get("balloon").and_then(|text| text.parse().ok());
        for (name, unwanted) in [
            ("sockets", config.sockets() != 1),
            ("vcpus", config.get("vcpus").is_some()),
            ("balloon", balloon.unwrap_or(0) > self.memory_mib),
        ] {
            if unwanted {
                change = change.delete(name);
            }
        }
        change
    }
}

/// The options of the size that wait for the guest's next start.
async fn waiting(cluster: &Cluster, guest: &Guest) -> Result<Vec<String>, Error> {
    let mut waiting = cluster.pending(guest).await?;
    waiting.retain(|option| OPTIONS.contains(&option.as_str()));
    Ok(waiting)
}

/// The action's output.
async fn output(cluster: &Cluster, guest: &Guest) -> Result<Value, Error> {
    Ok(json!({ "pending": waiting(cluster, guest).await? }))
}

#[async_trait]
impl Carry for Resize {
    async fn apply(&self, cluster: &Cluster, context: &ActionContext) -> Result<Applied, Error> {
        let guest = ours(cluster, context).await?;
        let changes = self.to.changes(&guest.config, ConfigChange::new());
        if !changes.is_empty() {
            cluster.configure(&guest, changes).await?;
        }
        output(cluster, &guest).await.map(Applied::Done)
    }

    async fn probe(&self, cluster: &Cluster, context: &ActionContext) -> Result<Probe, Error> {
        let guest = ours(cluster, context).await?;
        match self.to.changes(&guest.config, ConfigChange::new()).is_empty() {
            true => output(cluster, &guest).await.map(Probe::Done),
            false => Ok(Probe::NotDone),
        }
    }

    async fn undo(&self, cluster: &Cluster, context: &ActionContext) -> Result<Undone, Error> {
        let Some(guest) = ours_to_undo(cluster, context).await? else {
            return Ok(Undone::Done);
        };
        // What waits is called off; the rest shows at the next look.
        let waiting = waiting(cluster, &guest).await?;
        if !waiting.is_empty() {
            let revert =
                waiting.iter().fold(ConfigChange::new(), |change, option| change.revert(option));
            cluster.configure(&guest, revert).await?;
            return Ok(Undone::InProgress);
        }
        let changes = self.before.changes(&guest.config, ConfigChange::new());
        if !changes.is_empty() {
            cluster.configure(&guest, changes).await?;
        }
        Ok(landed(cluster, context))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::tests::config;

    #[test]
    fn only_what_differs_is_sent() {
        let size = Size { cores: 2, memory_mib: 2048 };
        let sent = |options: &[(&str, &str)]| {
            pve::Params::from(&size.changes(&config(options), ConfigChange::new()))
        };
        assert_eq!(sent(&[("cores", "2"), ("memory", "2048")]).names().count(), 0);
        let sent = sent(&[("cores", "2"), ("sockets", "2"), ("memory", "1024")]);
        assert_eq!(sent.get("memory"), Some("2048"));
        assert_eq!(sent.get("delete"), Some("sockets"));
    }
}
