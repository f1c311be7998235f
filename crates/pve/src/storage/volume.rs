//! One volume, and the pruning of backups.

use super::NodeStorage;
use crate::nodes::{RrdPoint, rrd_params};
use crate::requests::{record, request};
use crate::resource::{Resource, handle};
use crate::{Error, Params, Upid, VmId};

/// `/nodes/NODE/storage/STORAGE/content/VOLUME`.
#[derive(Clone, Debug)]
pub struct VolumeHandle(Resource);
handle!(VolumeHandle);

record! {
    /// A volume, asked for alone.
    VolumeInfo {
        /// Where it lies on the node.
        path: String,
        /// Size, bytes.
        size: Option<u64>,
        /// Bytes in use.
        used: Option<u64>,
        /// `qcow2`, `raw`, …
        format: String,
        /// Notes.
        notes: Option<String>,
        /// Is it protected from pruning?
        protected: bool,
    }
}

record! {
    /// What pruning would do with a backup.
    PruneDecision {
        /// The backup.
        volid: String,
        /// `keep`, `remove`, `protected`, `renamed`.
        mark: String,
        /// `qemu`, `lxc`, `unknown`.
        #[serde(rename = "type")]
        kind: String,
        /// The guest it is of.
        vmid: Option<VmId>,
        /// When it was made, in seconds since the epoch.
        ctime: Option<u64>,
    }
}

request! {
    /// Which backups are looked at, and what is kept.
    PruneRequest {
        /// The rules, `keep-last=3,keep-weekly=2`; the storage's own unless
        /// set.
        prune_backups: value "prune-backups",
        /// Only those of this guest.
        vmid: vmid "vmid",
        /// Only those of `qemu` or `lxc`.
        kind: text "type",
    }
}

record! {
    /// What a foreign machine's description says; the parameters to make it
    /// here are in `create_args`.
    ImportMetadata {
        /// `vm`.
        #[serde(rename = "type")]
        kind: String,
        /// Where it is from: `esxi`, `ova`.
        source: Option<String>,
        /// Parameters of the machine to make.
        #[serde(rename = "create-args")]
        create_args: std::collections::BTreeMap<String, serde_json::Value>,
        /// Disk to volume id.
        disks: std::collections::BTreeMap<String, serde_json::Value>,
        /// What needs a look.
        warnings: Vec<serde_json::Value>,
    }
}

impl NodeStorage {
    /// A volume; the id may begin with the storage or not.
    pub fn volume(&self, volid: &str) -> VolumeHandle {
        VolumeHandle(self.0.sub("content").join(volid))
    }

    /// What pruning would do, without doing it.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn prune_preview(&self, request: &PruneRequest) -> Result<Vec<PruneDecision>, Error> {
        self.0.sub("prunebackups").list(request).await
    }

    /// Deletes the backups that the rules do not keep.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn prune(&self, request: &PruneRequest) -> Result<Option<Upid>, Error> {
        self.0.sub("prunebackups").delete(request).await?.task()
    }

    /// Its fill level over time; see
    /// [`Node::rrd_data`](crate::nodes::Node::rrd_data).
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

    /// Reads the description of a foreign machine (`.vmx`, `.ova`); since 8.2.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn import_metadata(&self, volid: &str) -> Result<ImportMetadata, Error> {
        let params = Params::new().set("volume", volid);
        self.0.sub("import-metadata").get(params).await
    }
}

impl VolumeHandle {
    /// Path, size, notes.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn get(&self) -> Result<VolumeInfo, Error> {
        self.0.get(()).await
    }

    /// Changes notes, protection from pruning, or both. Only backups have
    /// these.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn update(&self, notes: Option<&str>, protected: Option<bool>) -> Result<(), Error> {
        let params = Params::new().opt("notes", notes).opt("protected", protected);
        self.0.put(params).await.map(drop)
    }

    /// Copies it to another volume id, on this node or another.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn copy_to(
        &self,
        target: &str,
        target_node: Option<&str>,
    ) -> Result<Option<Upid>, Error> {
        let params = Params::new().set("target", target).opt("target_node", target_node);
        self.0.post(params).await?.task()
    }

    /// Deletes it; a task since release 6.2. `delay_s`: wait up to so many
    /// seconds for the end before answering, and answer no task when it came.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn delete(&self, delay_s: Option<u32>) -> Result<Option<Upid>, Error> {
        self.0.delete(Params::new().opt("delay", delay_s)).await?.task()
    }
}
