//! A node's power, and what is done to all its guests at once.

use super::Node;
use crate::requests::request;
use crate::{Error, Params, Upid};

request! {
    /// Which guests are started, stopped or moved.
    BulkRequest {
        /// Only these guests.
        vms: list "vms",
        /// Also those that do not start with the node; for starts.
        force: flag "force",
        /// Stop hard those that do not react; for stops.
        force_stop: flag "force-stop",
        /// Seconds that a stop may take.
        timeout: uint "timeout",
        /// The node that takes them; for moves.
        target: text "target",
        /// So many moves at once.
        maxworkers: uint "maxworkers",
        /// Move disks on local storages, too.
        with_local_disks: flag "with-local-disks",
    }
}

impl Node {
    /// Reboots the node.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn reboot(&self) -> Result<(), Error> {
        self.0.sub("status").post(Params::new().set("command", "reboot")).await.map(drop)
    }

    /// Shuts the node down.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn shutdown(&self) -> Result<(), Error> {
        self.0.sub("status").post(Params::new().set("command", "shutdown")).await.map(drop)
    }

    /// Wakes the node up over the network and answers the MAC address that was
    /// called. Another node of the cluster does it.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn wake(&self) -> Result<String, Error> {
        self.0.sub("wakeonlan").post(()).await?.data()
    }

    /// Starts the guests that start with the node.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn start_all(&self, request: &BulkRequest) -> Result<Option<Upid>, Error> {
        self.0.sub("startall").post(request).await?.task()
    }

    /// Stops guests.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn stop_all(&self, request: &BulkRequest) -> Result<Option<Upid>, Error> {
        self.0.sub("stopall").post(request).await?.task()
    }

    /// Pauses machines; since release 8.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn suspend_all(&self, request: &BulkRequest) -> Result<Option<Upid>, Error> {
        self.0.sub("suspendall").post(request).await?.task()
    }

    /// Moves guests to another node; [`BulkRequest::target`] is required.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn migrate_all(&self, request: &BulkRequest) -> Result<Option<Upid>, Error> {
        self.0.sub("migrateall").post(request).await?.task()
    }
}
