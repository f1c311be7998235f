//! Storages as a node sees them, `/nodes/NODE/storage`, and as they are
//! configured, `/storage`.

mod config;
mod volume;

use futures::Stream;
use serde::Deserialize;

pub use config::{
    CreateStorageRequest, StorageConfig, StorageHandle, Storages, UpdateStorageRequest,
};
pub use volume::{ImportMetadata, PruneDecision, PruneRequest, VolumeHandle, VolumeInfo};

use crate::lenient::List;
use crate::property::DiskSize;
use crate::resource::{Resource, handle};
use crate::upid::opt_vmid;
use crate::upload::{Upload, UploadRequest};
use crate::{Error, Params, Upid, VmId, lenient};

/// `/nodes/NODE/storage/STORAGE`.
#[derive(Clone, Debug)]
pub struct NodeStorage(pub(crate) Resource);
handle!(NodeStorage);

/// A storage and its space.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct StorageEntry {
    /// Its name; absent when one storage was asked for.
    #[serde(deserialize_with = "lenient::string")]
    pub storage: String,
    /// `dir`, `lvmthin`, `zfspool`, `rbd`, …
    #[serde(rename = "type", deserialize_with = "lenient::string")]
    pub kind: String,
    /// What it may hold, a comma list; see [`holds`](Self::holds).
    #[serde(deserialize_with = "lenient::string")]
    pub content: String,
    /// Is it there?
    #[serde(deserialize_with = "lenient::bool")]
    pub active: bool,
    /// Is it switched on?
    #[serde(deserialize_with = "lenient::opt_bool")]
    pub enabled: Option<bool>,
    /// Is it the same on all nodes?
    #[serde(deserialize_with = "lenient::bool")]
    pub shared: bool,
    /// Bytes free.
    #[serde(deserialize_with = "lenient::opt_u64")]
    pub avail: Option<u64>,
    /// Bytes in use.
    #[serde(deserialize_with = "lenient::opt_u64")]
    pub used: Option<u64>,
    /// Bytes in all.
    #[serde(deserialize_with = "lenient::opt_u64")]
    pub total: Option<u64>,
}

impl StorageEntry {
    /// May it hold this: `images`, `rootdir`, `iso`, `vztmpl`, `import`,
    /// `backup`, `snippets`?
    pub fn holds(&self, content: &str) -> bool {
        self.content.split(',').any(|word| word.trim() == content)
    }
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Volume {
    /// `local:100/vm-100-disk-0.qcow2`.
    pub volid: String,
    /// `images`, `iso`, `backup`, …
    #[serde(default, deserialize_with = "lenient::string")]
    pub content: String,
    /// `qcow2`, `raw`, `iso`, …
    #[serde(default, deserialize_with = "lenient::string")]
    pub format: String,
    /// Size, bytes.
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    pub size: Option<u64>,
    /// Bytes in use.
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    pub used: Option<u64>,
    /// The guest it belongs to.
    #[serde(default, deserialize_with = "opt_vmid")]
    pub vmid: Option<VmId>,
    /// When it was made, in seconds since the epoch.
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    pub ctime: Option<u64>,
    /// The base volume of a linked clone.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub parent: Option<String>,
    /// Notes.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub notes: Option<String>,
    /// Is it protected from pruning?
    #[serde(default, deserialize_with = "lenient::bool")]
    pub protected: bool,
}

/// A download that the node makes by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DownloadRequest {
    /// `iso`, `vztmpl` or `import`.
    pub content: String,
    /// The name in the storage; its ending must fit the content.
    pub filename: String,
    /// Where from.
    pub url: String,
    /// The expected checksum.
    pub checksum: Option<String>,
    /// Its algorithm: `sha256`, `sha512`, …
    pub checksum_algorithm: Option<String>,
    /// `gz`, `lzo`, `zst`: unpack it.
    pub compression: Option<String>,
    /// Check the server's certificate; Proxmox's default is yes.
    pub verify_certificates: Option<bool>,
}

impl From<&DownloadRequest> for Params {
    fn from(request: &DownloadRequest) -> Self {
        Self::new()
            .set("content", &request.content)
            .set("filename", &request.filename)
            .set("url", &request.url)
            .opt("checksum", request.checksum.as_ref())
            .opt("checksum-algorithm", request.checksum_algorithm.as_ref())
            .opt("compression", request.compression.as_ref())
            .opt("verify-certificates", request.verify_certificates)
    }
}

impl NodeStorage {
    /// Its state and space.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn status(&self) -> Result<StorageEntry, Error> {
        self.0.sub("status").get(()).await
    }

    /// Its volumes: of one kind, of one guest.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn content(
        &self,
        content: Option<&str>,
        vmid: Option<VmId>,
    ) -> Result<Vec<Volume>, Error> {
        let params = Params::new().opt("content", content).opt("vmid", vmid);
        let List(volumes) = self.0.sub("content").get(params).await?;
        Ok(volumes)
    }

    /// Makes an empty disk and answers its volume id. The size is rounded up to
    /// a whole KiB.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request);
    /// [`Error::already_exists`].
    pub async fn allocate(
        &self,
        vmid: VmId,
        filename: &str,
        size: DiskSize,
        format: Option<&str>,
    ) -> Result<String, Error> {
        // In KiB, or in MiB with an `M`.
        let size = match size.bytes() {
            bytes if bytes.is_multiple_of(1 << 20) => format!("{}M", bytes >> 20),
            bytes => bytes.div_ceil(1 << 10).to_string(),
        };
        let params = Params::new()
            .set("vmid", vmid)
            .set("filename", filename)
            .set("size", size)
            .opt("format", format);
        self.0.sub("content").post(params).await?.data()
    }

    /// Deletes a volume; a task since release 6.2.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn delete(&self, volid: &str) -> Result<Option<Upid>, Error> {
        let volume = self.0.sub("content").join(volid);
        volume.delete(()).await?.task()
    }

    /// Uploads a file, streamed. The task moves it into place.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request). When `file` ends early,
    /// goes on for too long or fails, the upload is broken off.
    pub async fn upload<S, E>(&self, request: &UploadRequest, file: S) -> Result<Upid, Error>
    where
        S: Stream<Item = Result<bytes::Bytes, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        self.upload_from(Upload::from_stream(request.clone(), file)).await
    }

    /// Lets the node download a file. Needs `Sys.AccessNetwork` or
    /// `Sys.Modify`.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn download(&self, request: &DownloadRequest) -> Result<Upid, Error> {
        self.0.sub("download-url").post(request).await?.started()
    }
}
