//! Keys, monitor commands and cloud-init documents.

use super::{MoveDiskRequest, PendingValue, Qemu};
use crate::nodes::{RrdPoint, rrd_params};
use crate::requests::{record, request};
use crate::{Error, Params, Upid, VmId};

record! {
    /// Whether a machine can move, and what is in the way.
    MigrateCheck {
        /// Does it run?
        running: bool,
        /// The nodes that it can move to while it is stopped.
        allowed_nodes: Vec<String>,
        /// Per other node, why not.
        not_allowed_nodes: serde_json::Value,
        /// Disks on local storages.
        local_disks: Vec<serde_json::Value>,
        /// Devices of the node that it uses.
        local_resources: Vec<String>,
    }
}

request! {
    /// A move of a machine to another cluster.
    RemoteMigrateRequest(
        endpoint: &str = "target-endpoint",
        bridge: &str = "target-bridge",
        storage: &str = "target-storage"
    ) {
        /// While it runs.
        online: flag "online",
        /// Delete it here afterwards.
        delete: flag "delete",
        /// Its id there; the same unless set.
        target_vmid: vmid "target-vmid",
        /// The limit in KiB/s.
        bwlimit: uint "bwlimit",
    }
}

impl Qemu {
    /// The options that cloud-init gets, with what waits for the next
    /// regeneration.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn cloudinit(&self) -> Result<Vec<PendingValue>, Error> {
        self.0.sub("cloudinit").list(()).await
    }

    /// The document that cloud-init gets: `user`, `network` or `meta`.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn cloudinit_dump(&self, kind: &str) -> Result<String, Error> {
        let text: Option<String> =
            self.0.sub("cloudinit/dump").get(Params::new().set("type", kind)).await?;
        Ok(text.unwrap_or_default())
    }

    /// Presses keys: `ctrl-alt-delete`.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn send_key(&self, keys: &str) -> Result<(), Error> {
        self.0.sub("sendkey").put(Params::new().set("key", keys)).await.map(drop)
    }

    /// Runs a command of QEMU's monitor and answers what it says.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn monitor(&self, command: &str) -> Result<String, Error> {
        let params = Params::new().set("command", command);
        Ok(self.0.sub("monitor").post(params).await?.data::<Option<_>>()?.unwrap_or_default())
    }

    /// Load over time; see [`Node::rrd_data`](crate::nodes::Node::rrd_data).
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn rrd_data(
        &self,
        timeframe: &str,
        consolidation: Option<&str>,
    ) -> Result<Vec<RrdPoint>, Error> {
        self.0.sub("rrddata").list(rrd_params(timeframe, consolidation)).await
    }

    /// Can it move, to this node or any?
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn migrate_check(&self, target: Option<&str>) -> Result<MigrateCheck, Error> {
        self.0.sub("migrate").get(Params::new().opt("target", target)).await
    }

    /// Moves it to another cluster; experimental.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn remote_migrate(&self, request: &RemoteMigrateRequest) -> Result<Upid, Error> {
        self.0.sub("remote_migrate").post(request).await?.started()
    }

    /// Gives a disk to another machine on the same node; `target_disk` is its
    /// name there. Both must be stopped.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn reassign_disk(
        &self,
        disk: &str,
        target: VmId,
        target_disk: &str,
    ) -> Result<Upid, Error> {
        let request = MoveDiskRequest { disk: disk.to_owned(), ..MoveDiskRequest::default() };
        let params =
            Params::from(&request).set("target-vmid", target).set("target-disk", target_disk);
        self.0.sub("move_disk").post(params).await?.started()
    }
}
