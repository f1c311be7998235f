//! Grows the root disk to an absolute size, so that doing it twice is doing it
//! once.

use async_trait::async_trait;
use provider::{ActionContext, Applied, Error, Probe};
use pve::property::DiskSize;
use pve::qemu::QemuConfig;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Carry, ours};
use crate::cluster::Cluster;
use crate::guest::root_disk;

/// The action's name.
pub(crate) const NAME: &str = "grow";

/// The action's payload.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Grow {
    /// The size in GiB.
    pub gib: u64,
}

impl Grow {
    /// The root disk, when it is still smaller.
    fn smaller(&self, config: &QemuConfig) -> Result<Option<String>, Error> {
        let Some((name, disk)) = root_disk(config) else {
            return Err(Error::invalid("the image has no disk that could grow"));
        };
        let size = disk.size().unwrap_or_default();
        let wanted = DiskSize::from_gib(self.gib);
        if size > wanted {
            return Err(Error::invalid(format!(
                "the disk {name} has {size} and cannot shrink to {wanted}"
            )));
        }
        Ok((size < wanted).then_some(name))
    }
}

#[async_trait]
impl Carry for Grow {
    async fn apply(&self, cluster: &Cluster, context: &ActionContext) -> Result<Applied, Error> {
        let guest = ours(cluster, context).await?;
        let Some(disk) = self.smaller(&guest.config)? else {
            return Ok(Applied::Done(json!({})));
        };
        if let Some(handle) = cluster.task_on(&guest, &["resize"]).await? {
            return Ok(Applied::Started(handle));
        }
        Ok(match cluster.resize(&guest, &disk, DiskSize::from_gib(self.gib)).await? {
            Some(handle) => Applied::Started(handle),
            None => Applied::Done(json!({})),
        })
    }

    async fn probe(&self, cluster: &Cluster, context: &ActionContext) -> Result<Probe, Error> {
        let guest = ours(cluster, context).await?;
        if self.smaller(&guest.config)?.is_none() {
            return Ok(Probe::Done(json!({})));
        }
        cluster.going_on(&guest, &["resize"]).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::guest::tests::config;

    #[test]
    fn a_disk_grows_to_the_size_and_never_shrinks() {
        let smaller = |size: &str, gib| {
            let disk = format!("local:1/a.qcow2,size={size}");
            Grow { gib }.smaller(&config(&[("scsi0", &disk)]))
        };
        assert_eq!(smaller("2G", 3).unwrap().as_deref(), Some("scsi0"));
        assert_eq!(smaller("3G", 3).unwrap(), None);
        let error = smaller("2560M", 2).unwrap_err().to_string();
        assert_eq!(error, "the disk scsi0 has 2560M and cannot shrink to 2G");
        assert!(Grow { gib: 1 }.smaller(&config(&[])).is_err());
    }
}
