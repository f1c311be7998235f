//! Snapshots of a machine.

use serde::Deserialize;

use super::{Qemu, QemuConfig};
use crate::lenient::List;
use crate::resource::{Resource, handle};
use crate::{Error, Params, Upid, lenient};

/// A snapshot, or the present state, which is listed last as `current`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// Notes.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub description: Option<String>,
    /// The snapshot before it.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub parent: Option<String>,
    /// When it was made, in seconds since the epoch.
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    pub snaptime: Option<u64>,
    /// Does it hold the memory?
    #[serde(default, deserialize_with = "lenient::bool")]
    pub vmstate: bool,
}

impl Snapshot {
    /// Is it the entry for the present state?
    pub fn is_current(&self) -> bool {
        self.name == "current"
    }
}

/// `/nodes/NODE/qemu/VMID/snapshot/NAME`.
#[derive(Clone, Debug)]
pub struct SnapshotHandle(pub(crate) Resource);
handle!(SnapshotHandle);

impl Qemu {
    /// The snapshots; the last entry is the present state.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn snapshots(&self) -> Result<Vec<Snapshot>, Error> {
        let List(snapshots) = self.0.sub("snapshot").get(()).await?;
        Ok(snapshots)
    }

    /// Makes a snapshot; `with_memory` saves the memory of a running machine.
    /// Names begin with a letter and have 2 to 40 characters. Disks that
    /// cannot have snapshots show only in the task.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn create_snapshot(
        &self,
        name: &str,
        description: Option<&str>,
        with_memory: bool,
    ) -> Result<Upid, Error> {
        let params = Params::new()
            .set("snapname", name)
            .opt("description", description)
            .opt("vmstate", with_memory.then_some(true));
        self.0.sub("snapshot").post(params).await?.started()
    }

    /// A snapshot.
    pub fn snapshot(&self, name: &str) -> SnapshotHandle {
        SnapshotHandle(self.0.sub("snapshot").join(name))
    }
}

impl SnapshotHandle {
    /// The configuration at that time.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn config(&self) -> Result<QemuConfig, Error> {
        self.0.sub("config").get(()).await
    }

    /// Changes the notes.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn describe(&self, description: &str) -> Result<(), Error> {
        let params = Params::new().set("description", description);
        self.0.sub("config").put(params).await.map(drop)
    }

    /// Goes back to it; `start` starts the machine afterwards. A snapshot that
    /// does not exist shows only in the task.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn rollback(&self, start: bool) -> Result<Upid, Error> {
        let params = Params::new().opt("start", start.then_some(true));
        self.0.sub("rollback").post(params).await?.started()
    }

    /// Deletes it; `force` drops it from the configuration even when a disk's
    /// snapshot cannot be deleted.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn delete(&self, force: bool) -> Result<Upid, Error> {
        let params = Params::new().opt("force", force.then_some(true));
        self.0.delete(params).await?.started()
    }
}
