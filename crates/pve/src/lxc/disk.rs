//! A container's volumes and snapshots.

use super::{Lxc, LxcConfig};
use crate::qemu::{Feature, Snapshot, SnapshotHandle};
use crate::requests::request;
use crate::{Error, Params, Upid};

request! {
    /// A move of a volume to another storage or another container.
    MoveVolumeRequest(volume: &str = "volume") {
        /// Where it goes.
        storage: text "storage",
        /// Delete the old one; it becomes `unusedN` otherwise.
        delete: flag "delete",
        /// The container that gets it, on the same node.
        target_vmid: vmid "target-vmid",
        /// Its name there: `mp1`.
        target_volume: text "target-volume",
        /// Guards the change.
        digest: text "digest",
        /// Guards the change of the other container.
        target_digest: text "target-digest",
        /// The limit in KiB/s.
        bwlimit: number "bwlimit",
    }
}

impl Lxc {
    /// Can all its volumes do this: `snapshot`, `clone` (linked), `copy`?
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn feature(&self, feature: &str) -> Result<Feature, Error> {
        let params = Params::new().set("feature", feature);
        self.0.sub("feature").get(params).await
    }

    /// Grows a volume (`rootfs`, `mp0`) to `size` (`32G`), or by `+4G`.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn resize(
        &self,
        volume: &str,
        size: impl crate::ParamValue,
        digest: Option<&str>,
    ) -> Result<Option<Upid>, Error> {
        let params = Params::new().set("disk", volume).set("size", size).opt("digest", digest);
        self.0.sub("resize").put(params).await?.task()
    }

    /// Moves a volume to another storage or container. It must be stopped.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request); [`Error::Busy`].
    pub async fn move_volume(&self, request: &MoveVolumeRequest) -> Result<Upid, Error> {
        self.0.sub("move_volume").post(request).await?.started()
    }

    /// The snapshots; the last entry is the present state.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn snapshots(&self) -> Result<Vec<Snapshot>, Error> {
        self.0.sub("snapshot").list(()).await
    }

    /// Makes a snapshot. Names begin with a letter and have 2 to 40
    /// characters. Containers on directory storages cannot have any, which
    /// shows only in the task.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn create_snapshot(
        &self,
        name: &str,
        description: Option<&str>,
    ) -> Result<Upid, Error> {
        let params = Params::new().set("snapname", name).opt("description", description);
        self.0.sub("snapshot").post(params).await?.started()
    }

    /// A snapshot: notes, rollback, delete.
    pub fn snapshot(&self, name: &str) -> SnapshotHandle {
        SnapshotHandle(self.0.sub("snapshot").join(name))
    }

    /// The configuration at the time of a snapshot.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn snapshot_config(&self, name: &str) -> Result<LxcConfig, Error> {
        self.0.sub("snapshot").join(name).sub("config").get(()).await
    }
}
