//! What the cluster does by itself: backup jobs and replication.

use super::Cluster;
use crate::lenient::Words;
use crate::nodes::Node;
use crate::requests::{record, request};
use crate::resource::{Resource, handle};
use crate::tasks::LogLine;
use crate::{Error, Params, VmId};

/// `/cluster/backup/ID`.
#[derive(Clone, Debug)]
pub struct BackupJobHandle(Resource);

/// `/cluster/replication/ID`.
#[derive(Clone, Debug)]
pub struct ReplicationHandle(Resource);
handle!(BackupJobHandle, ReplicationHandle);

record! {
    /// Backups at certain times. More settings are in `extra`, by their names
    /// in [`BackupRequest`](crate::nodes::BackupRequest).
    BackupJob {
        /// Its id.
        id: String,
        /// Is it on? Absent means yes.
        enabled: Option<bool>,
        /// When: `sat 02:00`.
        schedule: Option<String>,
        /// The next time, in seconds since the epoch.
        #[serde(rename = "next-run")]
        next_run: Option<u64>,
        /// The guests.
        vmid: Words,
        /// All guests?
        all: bool,
        /// All guests of this pool.
        pool: Option<String>,
        /// The only node that does it.
        node: Option<String>,
        /// The storage for the files.
        storage: Option<String>,
        /// `snapshot`, `suspend` or `stop`.
        mode: Option<String>,
        /// A comment.
        comment: Option<String>,
        /// The rules for old files: a text or, in some releases, an object.
        #[serde(rename = "prune-backups")]
        prune_backups: serde_json::Value,
    }
}

request! {
    /// A backup job to make or to change.
    BackupJobRequest {
        /// Its id; made up unless set.
        id: text "id",
        /// When: `sat 02:00`.
        schedule: text "schedule",
        /// Switched on.
        enabled: flag "enabled",
        /// The guests.
        vmid: list "vmid",
        /// All guests.
        all: flag "all",
        /// Of all guests, not these.
        exclude: list "exclude",
        /// All guests of this pool.
        pool: text "pool",
        /// The only node that does it.
        node: text "node",
        /// The storage for the files.
        storage: text "storage",
        /// `snapshot`, `suspend` or `stop`.
        mode: text "mode",
        /// `0`, `gzip`, `lzo` or `zstd`.
        compress: text "compress",
        /// The rules for old files.
        prune_backups: value "prune-backups",
        /// Notes with `{{guestname}}` and others.
        notes_template: text "notes-template",
        /// A comment.
        comment: text "comment",
        /// Do at start what was missed.
        repeat_missed: flag "repeat-missed",
        /// Who gets mail.
        mailto: text "mailto",
        /// Settings to reset; for changes.
        delete: list "delete",
    }
}

record! {
    /// Copies of a guest's volumes on another node. The state fields are only
    /// in the list of a node.
    ReplicationJob {
        /// `100-0`: guest and number.
        id: String,
        /// The guest.
        guest: Option<VmId>,
        /// The node that gets the copies.
        target: String,
        /// The node that the guest is on.
        source: Option<String>,
        /// When; every 15 minutes unless set.
        schedule: Option<String>,
        /// The limit in megabytes per second.
        rate: Option<f64>,
        /// Is it off?
        disable: bool,
        /// `local` or `full`: it is being removed.
        remove_job: Option<String>,
        /// A comment.
        comment: Option<String>,
        /// The last good copy, in seconds since the epoch.
        last_sync: Option<u64>,
        /// The next one, in seconds since the epoch.
        next_sync: Option<u64>,
        /// How long the last one took, in seconds.
        duration: Option<f64>,
        /// Failures in a row.
        fail_count: Option<u32>,
        /// What went wrong.
        error: Option<String>,
    }
}

request! {
    /// A replication to make (with `target`) or to change.
    ReplicationRequest {
        /// The node that gets the copies; for new ones.
        target: text "target",
        /// When: `*/15`.
        schedule: text "schedule",
        /// The limit in megabytes per second.
        rate: number "rate",
        /// Switched off.
        disable: flag "disable",
        /// A comment.
        comment: text "comment",
        /// Settings to reset; for changes.
        delete: list "delete",
        /// Guards a change.
        digest: text "digest",
    }
}

impl Cluster {
    /// The backup jobs.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn backup_jobs(&self) -> Result<Vec<BackupJob>, Error> {
        self.resource().sub("backup").list(()).await
    }

    /// Makes a backup job.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn create_backup_job(&self, request: &BackupJobRequest) -> Result<(), Error> {
        self.resource().sub("backup").post(request).await.map(drop)
    }

    /// A backup job.
    pub fn backup_job(&self, id: &str) -> BackupJobHandle {
        BackupJobHandle(self.resource().sub("backup").join(id))
    }

    /// The replications of the cluster, without their state.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn replications(&self) -> Result<Vec<ReplicationJob>, Error> {
        self.resource().sub("replication").list(()).await
    }

    /// A replication, `100-0`.
    pub fn replication(&self, id: &str) -> ReplicationHandle {
        ReplicationHandle(self.resource().sub("replication").join(id))
    }
}

impl BackupJobHandle {
    /// The job.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn get(&self) -> Result<BackupJob, Error> {
        self.0.get(()).await
    }

    /// Changes it.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn update(&self, request: &BackupJobRequest) -> Result<(), Error> {
        self.0.put(request).await.map(drop)
    }

    /// Deletes it; its backups stay.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn delete(&self) -> Result<(), Error> {
        self.0.delete(()).await.map(drop)
    }
}

impl ReplicationHandle {
    /// The replication, without its state.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn get(&self) -> Result<ReplicationJob, Error> {
        self.0.get(()).await
    }

    /// Makes it.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn create(&self, request: &ReplicationRequest) -> Result<(), Error> {
        let named = Params::new().set("id", self.0.path.last()).set("type", "local");
        self.0.parent().post(named.and(request)).await.map(drop)
    }

    /// Changes it.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn update(&self, request: &ReplicationRequest) -> Result<(), Error> {
        self.0.put(request).await.map(drop)
    }

    /// Marks it for removal; the copies go with it unless `keep` says
    /// otherwise. `force` removes it from the configuration alone.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn delete(&self, keep: bool, force: bool) -> Result<(), Error> {
        let params =
            Params::new().opt("keep", keep.then_some(true)).opt("force", force.then_some(true));
        self.0.delete(params).await.map(drop)
    }
}

impl Node {
    /// The replications from this node, with their state.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn replications(&self, guest: Option<VmId>) -> Result<Vec<ReplicationJob>, Error> {
        self.resource().sub("replication").list(Params::new().opt("guest", guest)).await
    }

    /// The log of a replication.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn replication_log(&self, id: &str) -> Result<Vec<LogLine>, Error> {
        self.resource().sub("replication").join(id).sub("log").list(()).await
    }

    /// Replicates as soon as possible.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn replicate_now(&self, id: &str) -> Result<(), Error> {
        let job = self.resource().sub("replication").join(id);
        job.sub("schedule_now").post(()).await.map(drop)
    }
}
