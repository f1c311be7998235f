//! Clones, templates, disks, migration and the end of a machine.

use serde::Deserialize;

use super::Qemu;
use crate::{Error, Params, Upid, VmId, lenient};

/// A clone of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloneRequest {
    /// The new machine's id.
    pub newid: VmId,
    /// Its name, a DNS name.
    pub name: Option<String>,
    /// Its notes. What the source has is copied otherwise.
    pub description: Option<String>,
    /// The node it is for, if it is another one: needs shared storage.
    pub target: Option<String>,
    /// A copy of all disks instead of linked ones. Unset means: linked for a
    /// template, a copy otherwise.
    pub full: Option<bool>,
    /// Where the copies go; refused for linked clones.
    pub storage: Option<String>,
    /// The copies' format; refused for linked clones.
    pub format: Option<String>,
    /// The pool it goes into.
    pub pool: Option<String>,
    /// The state that is cloned.
    pub snapname: Option<String>,
    /// The limit in KiB/s.
    pub bwlimit: Option<u64>,
}

impl CloneRequest {
    /// A clone with this id, the rest as Proxmox would do it.
    pub fn new(newid: VmId) -> Self {
        Self {
            newid,
            name: None,
            description: None,
            target: None,
            full: None,
            storage: None,
            format: None,
            pool: None,
            snapname: None,
            bwlimit: None,
        }
    }
}

impl From<&CloneRequest> for Params {
    fn from(request: &CloneRequest) -> Self {
        Self::new()
            .set("newid", request.newid)
            .opt("name", request.name.as_ref())
            .opt("description", request.description.as_ref())
            .opt("target", request.target.as_ref())
            .opt("full", request.full)
            .opt("storage", request.storage.as_ref())
            .opt("format", request.format.as_ref())
            .opt("pool", request.pool.as_ref())
            .opt("snapname", request.snapname.as_ref())
            .opt("bwlimit", request.bwlimit)
    }
}

/// A move of a disk to another storage or format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MoveDiskRequest {
    /// The disk, `scsi0`.
    pub disk: String,
    /// Where it goes.
    pub storage: Option<String>,
    /// The new format.
    pub format: Option<String>,
    /// Delete the old one; it becomes `unusedN` otherwise.
    pub delete: bool,
    /// Guards the change.
    pub digest: Option<String>,
    /// The limit in KiB/s.
    pub bwlimit: Option<u64>,
}

impl From<&MoveDiskRequest> for Params {
    fn from(request: &MoveDiskRequest) -> Self {
        Self::new()
            .set("disk", &request.disk)
            .opt("storage", request.storage.as_ref())
            .opt("format", request.format.as_ref())
            .opt("delete", request.delete.then_some(true))
            .opt("digest", request.digest.as_ref())
            .opt("bwlimit", request.bwlimit)
    }
}

/// A move of a machine to another node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MigrateRequest {
    /// The node.
    pub target: String,
    /// While it runs.
    pub online: bool,
    /// Disks on local storage, too.
    pub with_local_disks: bool,
    /// Where those disks go.
    pub targetstorage: Option<String>,
    /// The limit in KiB/s.
    pub bwlimit: Option<u64>,
}

impl From<&MigrateRequest> for Params {
    fn from(request: &MigrateRequest) -> Self {
        Self::new()
            .set("target", &request.target)
            .opt("online", request.online.then_some(true))
            .opt("with-local-disks", request.with_local_disks.then_some(true))
            .opt("targetstorage", request.targetstorage.as_ref())
            .opt("bwlimit", request.bwlimit)
    }
}

/// The end of a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeleteRequest {
    /// Take it out of backup jobs, replication and high availability, too.
    pub purge: bool,
    /// Delete volumes that carry its id but are not in its configuration, on
    /// all storages. Unset means no since release 7.
    pub destroy_unreferenced_disks: Option<bool>,
    /// Despite a lock; only `root@pam` with a ticket may.
    pub skiplock: bool,
}

impl From<DeleteRequest> for Params {
    fn from(request: DeleteRequest) -> Self {
        Self::new()
            .opt("purge", request.purge.then_some(true))
            .opt("destroy-unreferenced-disks", request.destroy_unreferenced_disks)
            .opt("skiplock", request.skiplock.then_some(true))
    }
}

/// What a machine's storage can do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[non_exhaustive]
pub struct Feature {
    /// Can it be done?
    #[serde(deserialize_with = "lenient::bool")]
    pub has_feature: bool,
    /// On which nodes.
    #[serde(deserialize_with = "lenient::strings")]
    pub nodes: Vec<String>,
}

impl Qemu {
    /// Can all its disks do this: `snapshot`, `clone` (linked), `copy`?
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn feature(&self, feature: &str) -> Result<Feature, Error> {
        let params = Params::new().set("feature", feature);
        self.0.sub("feature").get(params).await
    }

    /// Clones it. The task's id names **this** machine, not the new one. The
    /// new id may be taken by somebody else in the meantime, which shows in
    /// the answer or only in the task ([`Error::already_exists`],
    /// [`Kind::AlreadyExists`](crate::error::Kind::AlreadyExists)).
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request); [`Error::Busy`].
    pub async fn clone_to(&self, request: &CloneRequest) -> Result<Upid, Error> {
        self.0.sub("clone").post(request).await?.started()
    }

    /// Makes it a template, for ever. A task since release 8.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request); refused while it runs
    /// or has snapshots.
    pub async fn make_template(&self) -> Result<Option<Upid>, Error> {
        self.0.sub("template").post(()).await?.task()
    }

    /// Grows a disk to `size` (`32G`), or by `+4G`. A task since release 8;
    /// asking for the present size succeeds, less is refused in the task.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn resize(
        &self,
        disk: &str,
        size: impl crate::ParamValue,
        digest: Option<&str>,
    ) -> Result<Option<Upid>, Error> {
        let params = Params::new().set("disk", disk).set("size", size).opt("digest", digest);
        self.0.sub("resize").put(params).await?.task()
    }

    /// Moves a disk to another storage.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request); [`Error::Busy`].
    pub async fn move_disk(&self, request: &MoveDiskRequest) -> Result<Upid, Error> {
        self.0.sub("move_disk").post(request).await?.started()
    }

    /// Detaches disks; `force` destroys their volumes.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request); [`Error::Busy`].
    pub async fn unlink(&self, disks: &[&str], force: bool) -> Result<(), Error> {
        let params =
            Params::new().set("idlist", disks.join(",")).opt("force", force.then_some(true));
        self.0.sub("unlink").put(params).await.map(drop)
    }

    /// What stands against moving it, as Proxmox gives it: `running`,
    /// `local_disks`, `local_resources`, `allowed_nodes` (of a stopped machine),
    /// `not_allowed_nodes` with what is missing there.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn migration_conditions(&self) -> Result<serde_json::Value, Error> {
        self.0.sub("migrate").get(()).await
    }

    /// Moves it to another node.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn migrate(&self, request: &MigrateRequest) -> Result<Upid, Error> {
        self.0.sub("migrate").post(request).await?.started()
    }

    /// Destroys it with the volumes of its configuration. It must be stopped.
    /// A template with linked clones fails in the task
    /// ([`Kind::InUse`](crate::error::Kind::InUse)).
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request);
    /// [`Error::is_guest_missing`].
    pub async fn delete(&self, request: DeleteRequest) -> Result<Upid, Error> {
        self.0.delete(request).await?.started()
    }
}
