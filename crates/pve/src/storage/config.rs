//! The storages of the data centre: `/storage`.

use crate::lenient::Words;
use crate::requests::{record, request};
use crate::resource::{Resource, handle};
use crate::{Client, Error, Params};

/// `/storage`.
#[derive(Clone, Debug)]
pub struct Storages(Resource);

/// `/storage/STORAGE`.
#[derive(Clone, Debug)]
pub struct StorageHandle(Resource);
handle!(Storages, StorageHandle);

record! {
    /// A storage's configuration. What only some types have is in `extra`, by
    /// its name in the API.
    StorageConfig {
        /// Its name.
        storage: String,
        /// `dir`, `lvmthin`, `nfs`, `rbd`, `zfspool`, …
        #[serde(rename = "type")]
        kind: String,
        /// What it may hold. The order changes from answer to answer.
        content: Words,
        /// The nodes that have it; none are all.
        nodes: Words,
        /// The folder, of types that have one.
        path: Option<String>,
        /// Is it switched off?
        disable: bool,
        /// Is it the same on all nodes?
        shared: bool,
        /// Which old backups are kept: a property string.
        #[serde(rename = "prune-backups")]
        prune_backups: Option<String>,
        /// The server of a network storage.
        server: Option<String>,
        /// What the server exports.
        export: Option<String>,
        /// The LVM volume group.
        vgname: Option<String>,
        /// The LVM thin pool.
        thinpool: Option<String>,
        /// The pool of ZFS or Ceph.
        pool: Option<String>,
        /// Guards a change; of the file with all storages.
        digest: Option<String>,
    }
}

request! {
    /// A new storage.
    ///
    /// ```
    /// use pve::storage::CreateStorageRequest;
    /// let request = CreateStorageRequest::new("fast", "dir")
    ///     .path("/mnt/fast")
    ///     .content(["images", "rootdir"]);
    /// # let _ = request;
    /// ```
    CreateStorageRequest(storage: &str = "storage", kind: &str = "type") {
        /// What it may hold: `images`, `rootdir`, `vztmpl`, `iso`, `backup`,
        /// `snippets`, `import`.
        content: list "content",
        /// The nodes that have it; all unless set.
        nodes: list "nodes",
        /// The folder.
        path: text "path",
        /// Make the folder when it is not there.
        create_base_path: flag "create-base-path",
        /// Is the folder a mount point, which must be mounted?
        is_mountpoint: text "is_mountpoint",
        /// Is it the same on all nodes?
        shared: flag "shared",
        /// Which old backups are kept: `keep-last=3`.
        prune_backups: value "prune-backups",
        /// Switched off.
        disable: flag "disable",
        /// The format of new disks.
        format: text "format",
        /// `off`, `metadata`, `falloc`, `full`.
        preallocation: text "preallocation",
        /// The server of a network storage.
        server: text "server",
        /// What an NFS server exports.
        export: text "export",
        /// What a CIFS server shares.
        share: text "share",
        /// Mount options.
        options: text "options",
        /// The user at the server.
        username: text "username",
        /// The user's password or a token's secret.
        password: secret "password",
        /// SHA-256 of the server's certificate.
        fingerprint: text "fingerprint",
        /// The LVM volume group.
        vgname: text "vgname",
        /// The LVM thin pool.
        thinpool: text "thinpool",
        /// The pool of ZFS or Ceph.
        pool: text "pool",
        /// Thin volumes on ZFS.
        sparse: flag "sparse",
        /// The data store of a backup server.
        datastore: text "datastore",
        /// The name space in it.
        namespace: text "namespace",
        /// Limits: `clone=1000,default=500`, in KiB/s.
        bwlimit: value "bwlimit",
    }
}

request! {
    /// A change of a storage. Its type cannot change.
    UpdateStorageRequest {
        /// What it may hold.
        content: list "content",
        /// The nodes that have it.
        nodes: list "nodes",
        /// Is it the same on all nodes?
        shared: flag "shared",
        /// Which old backups are kept.
        prune_backups: value "prune-backups",
        /// Switched off.
        disable: flag "disable",
        /// The server of a network storage.
        server: text "server",
        /// Mount options.
        options: text "options",
        /// The user at the server.
        username: text "username",
        /// The user's password.
        password: secret "password",
        /// Limits in KiB/s.
        bwlimit: value "bwlimit",
        /// Settings to reset.
        delete: list "delete",
        /// Guards the change.
        digest: text "digest",
    }
}

impl Client {
    /// The storages of the data centre, as they are configured.
    pub fn storages(&self) -> Storages {
        Storages(Resource::new(self, "storage"))
    }

    /// A storage of the data centre, as it is configured.
    pub fn storage(&self, name: &str) -> StorageHandle {
        StorageHandle(Resource::new(self, "storage").join(name))
    }
}

impl Storages {
    /// All storages, or those of one type.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn list(&self, kind: Option<&str>) -> Result<Vec<StorageConfig>, Error> {
        self.0.list(Params::new().opt("type", kind)).await
    }

    /// Makes a storage.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::already_exists`].
    pub async fn create(&self, request: &CreateStorageRequest) -> Result<(), Error> {
        self.0.post(request).await.map(drop)
    }
}

impl StorageHandle {
    /// How it is configured.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_not_found`].
    pub async fn get(&self) -> Result<StorageConfig, Error> {
        self.0.get(()).await
    }

    /// Changes it.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_digest_mismatch`].
    pub async fn update(&self, request: &UpdateStorageRequest) -> Result<(), Error> {
        self.0.put(request).await.map(drop)
    }

    /// Forgets it. What lies on it stays, and disks of guests on it do not
    /// prevent this: those guests fail from then on.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn delete(&self) -> Result<(), Error> {
        self.0.delete(()).await.map(drop)
    }
}
