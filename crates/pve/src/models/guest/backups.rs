//! Disk images, backups, and guests that come back from them.

use super::{Guest, GuestKind};
use crate::models::{Backup, Operation, Storage, Volume};
use crate::resource::Resource;
use crate::{Client, Error, Params, VmId};

/// How a guest is backed up. What is unset is as the node's defaults say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupOptions {
    /// Where the backup goes: a storage for `backup`.
    pub storage: Option<String>,
    /// `snapshot`, `suspend` or `stop`; Proxmox's default is `snapshot`.
    pub mode: Option<String>,
    /// `0`, `gzip`, `lzo` or `zstd`; Proxmox's default is `0`.
    pub compress: Option<String>,
    /// Notes, with `{{guestname}}`, `{{vmid}}`, `{{node}}`, `{{cluster}}`
    /// replaced.
    pub notes: Option<String>,
    /// Keep it from being deleted.
    pub protected: bool,
    /// Delete older backups that the storage's rule does not keep; Proxmox's
    /// default is yes.
    pub remove: Option<bool>,
    /// The limit in KiB/s.
    pub bwlimit: Option<u64>,
}

/// How a guest comes back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreOptions {
    /// Where its disks go; where they were otherwise.
    pub storage: Option<String>,
    /// New MAC addresses and UUID.
    pub unique: bool,
    /// The pool it goes into.
    pub pool: Option<String>,
    /// Start it when it is back.
    pub start: bool,
    /// Start it at once and read what is missing from the backup; virtual
    /// machines only.
    pub live: bool,
    /// The limit in KiB/s.
    pub bwlimit: Option<u64>,
}

impl From<&BackupOptions> for Params {
    fn from(options: &BackupOptions) -> Self {
        Self::new()
            .opt("storage", options.storage.as_ref())
            .opt("mode", options.mode.as_ref())
            .opt("compress", options.compress.as_ref())
            .opt("notes-template", options.notes.as_ref())
            .opt("protected", options.protected.then_some(true))
            .opt("remove", options.remove)
            .opt("bwlimit", options.bwlimit)
    }
}

impl<K: GuestKind> Guest<K> {
    /// Backs it up. The task ends with `job errors` when that failed.
    pub fn backup(&mut self, options: &BackupOptions) -> Operation<'_> {
        let params = Params::new().set("vmid", self.vmid).and(Params::from(options));
        let vzdump = Resource::new(&self.client, "nodes").join(&self.node).sub("vzdump");
        let begin = async move { vzdump.post(params).await?.task() };
        let client = self.client.clone();
        Operation::new(&client, begin, move || self.reload())
    }

    async fn content(&self, content: &str) -> Result<Vec<Volume>, Error> {
        let storages = Storage::list_by_content_type(&self.client, &self.node, content).await?;
        let mut volumes = Vec::new();
        for storage in storages.iter().filter(|storage| storage.entry().active) {
            volumes.extend(storage.volumes(Some(content), Some(self.vmid)).await?);
        }
        Ok(volumes)
    }

    /// Its backups on all active storages of its node, oldest first.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn backups(&self) -> Result<Vec<Backup>, Error> {
        let mut backups: Vec<Backup> =
            self.content("backup").await?.into_iter().filter_map(Backup::new).collect();
        backups.sort_by_key(|volume| (volume.created(), volume.volid().to_owned()));
        Ok(backups)
    }

    /// The volumes with its disks on all active storages of its node, those that
    /// its configuration does not name included.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn disk_images(&self) -> Result<Vec<Volume>, Error> {
        self.content(K::DISK_CONTENT).await
    }

    /// Replaces it by what is in a backup. Its present disks are deleted. It
    /// must be stopped.
    pub fn restore(&mut self, backup: &str, options: &RestoreOptions) -> Operation<'_> {
        let params = restoring::<K>(self.vmid, backup, options).set("force", true);
        let guests = Resource::new(&self.client, "nodes").join(&self.node).sub(K::WORD);
        let begin = async move { guests.post(params).await?.task() };
        let client = self.client.clone();
        Operation::new(&client, begin, move || self.reload())
    }

    /// Makes a new guest of what is in a backup.
    pub fn restore_as(
        client: &Client,
        node: &str,
        vmid: VmId,
        backup: &str,
        options: &RestoreOptions,
    ) -> Operation<'static, Self> {
        Self::made(client, node, vmid, restoring::<K>(vmid, backup, options))
    }
}

fn restoring<K: GuestKind>(vmid: VmId, backup: &str, options: &RestoreOptions) -> Params {
    let params = Params::new().set("vmid", vmid);
    let params = match K::WORD {
        "qemu" => params.set("archive", backup),
        _ => params.set("ostemplate", backup).set("restore", true),
    };
    params
        .opt("storage", options.storage.as_ref())
        .opt("unique", options.unique.then_some(true))
        .opt("pool", options.pool.as_ref())
        .opt("start", options.start.then_some(true))
        .opt("live-restore", options.live.then_some(true))
        .opt("bwlimit", options.bwlimit)
}
