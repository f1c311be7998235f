//! Backups of guests (`vzdump`).

use super::Node;
use crate::requests::{record, request};
use crate::{Error, Params, Upid};

request! {
    /// A backup of guests. Which ones: [`vmid`](Self::vmid),
    /// [`pool`](Self::pool) or [`all`](Self::all).
    ///
    /// ```
    /// use pve::nodes::BackupRequest;
    /// let request = BackupRequest::new()
    ///     .vmid([100, 101])
    ///     .storage("local")
    ///     .mode("snapshot")
    ///     .compress("zstd")
    ///     .notes_template("{{guestname}}");
    /// # let _ = request;
    /// ```
    BackupRequest {
        /// These guests.
        vmid: list "vmid",
        /// All guests of this pool.
        pool: text "pool",
        /// All guests of the node.
        all: flag "all",
        /// Of all guests, not these.
        exclude: list "exclude",
        /// The storage for the files.
        storage: text "storage",
        /// The folder for the files, instead of a storage.
        dumpdir: text "dumpdir",
        /// `snapshot`, `suspend` or `stop`.
        mode: text "mode",
        /// `0`, `gzip`, `lzo` or `zstd`.
        compress: text "compress",
        /// Threads of zstd; 0 is half of the cores.
        zstd: uint "zstd",
        /// Threads of pigz instead of gzip.
        pigz: uint "pigz",
        /// Notes with `{{cluster}}`, `{{guestname}}`, `{{node}}`, `{{vmid}}`;
        /// since release 7.2.
        notes_template: text "notes-template",
        /// Protect the files from pruning.
        protected: flag "protected",
        /// Delete old files by the rules for that.
        remove: flag "remove",
        /// The rules: `keep-last=3,keep-weekly=2`.
        prune_backups: value "prune-backups",
        /// The limit in KiB/s; 0 is none.
        bwlimit: uint "bwlimit",
        /// The priority of reading and writing, 0 to 8.
        ionice: uint "ionice",
        /// Minutes to wait for the global lock; 180 unless set.
        lockwait: uint "lockwait",
        /// Minutes to wait until a guest is stopped; 10 unless set.
        stopwait: uint "stopwait",
        /// Not these paths of containers.
        exclude_path: array "exclude-path",
        /// Where blocks go that the guest overwrites meanwhile; since 8.2.
        fleecing: value "fleecing",
        /// `max-workers` and others.
        performance: value "performance",
        /// Who gets mail.
        mailto: text "mailto",
        /// `auto`, `legacy-sendmail`, `notification-system`; since 8.1.
        notification_mode: text "notification-mode",
        /// Say nothing.
        quiet: flag "quiet",
    }
}

record! {
    /// What a backup does unless told otherwise. Nested settings are objects
    /// here, property strings elsewhere: see `extra`.
    BackupDefaults {
        /// The storage.
        storage: Option<String>,
        /// The folder.
        dumpdir: Option<String>,
        /// `snapshot`, `suspend` or `stop`.
        mode: Option<String>,
        /// `0`, `gzip`, `lzo` or `zstd`.
        compress: Option<String>,
        /// The rules for old files.
        #[serde(rename = "prune-backups")]
        prune_backups: Option<String>,
        /// The limit in KiB/s; 0 is none.
        bwlimit: Option<u64>,
    }
}

impl Node {
    /// Backs guests up. One task does all; its exit text is `job errors` when
    /// one of several guests failed, and the log says which. Some releases
    /// answer null, or `OK` when there was nothing to do.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn backup(&self, request: &BackupRequest) -> Result<Option<Upid>, Error> {
        let reply = self.0.sub("vzdump").post(request).await?;
        match reply.data::<Option<String>>()?.as_deref() {
            Some("OK") => Ok(None),
            _ => reply.task(),
        }
    }

    /// What a backup to this storage does unless told otherwise.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn backup_defaults(&self, storage: Option<&str>) -> Result<BackupDefaults, Error> {
        let params = Params::new().opt("storage", storage);
        self.0.sub("vzdump/defaults").get(params).await
    }

    /// The guest's configuration in a backup, as the file's text.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn backup_config(&self, volid: &str) -> Result<String, Error> {
        let params = Params::new().set("volume", volid);
        self.0.sub("vzdump/extractconfig").get(params).await
    }
}
