//! Storages and their volumes.

use serde::Deserialize;

use super::attributes::Read;
use super::{Attributes, Operation};
use crate::lenient::{self, List};
use crate::property::DiskSize;
use crate::resource::Resource;
use crate::storage::{DownloadRequest, NodeStorage, StorageEntry};
use crate::{Client, Error, Params, UploadRequest, VmId};

/// A storage as a node sees it.
#[derive(Clone, Debug)]
pub struct Storage {
    client: Client,
    node: String,
    entry: StorageEntry,
    attributes: Attributes,
}

impl Storage {
    async fn list(client: &Client, node: &str, params: Params) -> Result<Vec<Self>, Error> {
        let storages = Resource::new(client, "nodes").join(node).sub("storage");
        let List(rows) = storages.get::<List<Read<StorageEntry>>>(params).await?;
        let model = |row: Read<StorageEntry>| Self {
            client: client.clone(),
            node: node.to_owned(),
            entry: row.typed,
            attributes: row.attributes,
        };
        Ok(rows.into_iter().map(model).collect())
    }

    /// The storages that a node can reach.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn all(client: &Client, node: &str) -> Result<Vec<Self>, Error> {
        Self::list(client, node, Params::new()).await
    }

    /// A storage by name; `None` when the node has none of it.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn get(client: &Client, node: &str, name: &str) -> Result<Option<Self>, Error> {
        // Asked for by name, a storage that is not there is an error that does
        // not say so in all releases.
        let storages = Self::all(client, node).await?;
        Ok(storages.into_iter().find(|storage| storage.name() == name))
    }

    /// The storages of a node that are switched on and may hold this: `images`,
    /// `rootdir`, `iso`, `vztmpl`, `import`, `backup`, `snippets`.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn list_by_content_type(
        client: &Client,
        node: &str,
        content: &str,
    ) -> Result<Vec<Self>, Error> {
        let params = Params::new().set("content", content).set("enabled", true);
        let storages = Self::list(client, node, params).await?;
        // Whole words: `image` is no content.
        Ok(storages.into_iter().filter(|storage| storage.entry.holds(content)).collect())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.entry.storage
    }

    /// The node that sees it so.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Its kind, what it may hold, and its space.
    pub fn entry(&self) -> &StorageEntry {
        &self.entry
    }

    /// Everything that the list says about it.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// Its calls.
    pub fn requests(&self) -> NodeStorage {
        self.client.node(&self.node).storage(self.name())
    }

    /// Reads it again.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn reload(&mut self) -> Result<(), Error> {
        match Self::get(&self.client, &self.node, self.name()).await? {
            Some(storage) => *self = storage,
            // Let the server say it.
            None => drop(self.requests().status().await?),
        }
        Ok(())
    }

    fn resource(&self, tail: &str) -> Resource {
        Resource::new(&self.client, "nodes")
            .join(&self.node)
            .sub("storage")
            .join(self.name())
            .sub(tail)
    }

    /// Its volumes: of one kind, of one guest.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn volumes(
        &self,
        content: Option<&str>,
        vmid: Option<VmId>,
    ) -> Result<Vec<Volume>, Error> {
        let params = Params::new().opt("content", content).opt("vmid", vmid);
        let List(rows) = self.resource("content").get::<List<Read<Entry>>>(params).await?;
        Ok(rows.into_iter().map(|row| Volume::new(&self.client, &self.node, row)).collect())
    }

    /// A volume by id (`local:iso/debian.iso`), with what the list says about
    /// it; `None` when it is not there.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn volume(&self, volid: &str) -> Result<Option<Volume>, Error> {
        let volumes = self.volumes(None, None).await?;
        Ok(volumes.into_iter().find(|volume| volume.volid() == volid))
    }

    /// Makes an empty disk and answers it.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::already_exists`].
    pub async fn allocate(
        &self,
        vmid: VmId,
        filename: &str,
        size: DiskSize,
        format: Option<&str>,
    ) -> Result<Volume, Error> {
        let volid = self.requests().allocate(vmid, filename, size, format).await?;
        let row = Entry { volid: volid.clone(), vmid: Some(vmid), ..Entry::default() };
        let blank = Volume::new(
            &self.client,
            &self.node,
            Read { typed: row, attributes: Attributes::default() },
        );
        Ok(self.volume(&volid).await?.unwrap_or(blank))
    }

    /// Uploads a file, streamed, and waits until it stands in its place.
    pub fn upload<S, E>(&self, request: &UploadRequest, file: S) -> Operation<'static>
    where
        S: futures::Stream<Item = Result<bytes::Bytes, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        let (storage, request) = (self.requests(), request.clone());
        let begin = async move { storage.upload(&request, file).await.map(Some) };
        Operation::new(&self.client, begin, || async { Ok(()) })
    }

    /// Lets the node download a file. Needs `Sys.AccessNetwork` or
    /// `Sys.Modify` on the node.
    pub fn download(&self, request: &DownloadRequest) -> Operation<'static> {
        let (storage, request) = (self.requests(), request.clone());
        let begin = async move { storage.download(&request).await.map(Some) };
        Operation::new(&self.client, begin, || async { Ok(()) })
    }

    /// Deletes backups that `keep` does not keep (`keep-last=2,keep-daily=7`;
    /// the storage's own rule when it is `None`), of all guests or one.
    pub fn prune(&self, keep: Option<&str>, vmid: Option<VmId>) -> Operation<'static> {
        let params = Params::new().opt("prune-backups", keep).opt("vmid", vmid);
        let resource = self.resource("prunebackups");
        let begin = async move { resource.delete(params).await?.task() };
        Operation::new(&self.client, begin, || async { Ok(()) })
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    #[serde(deserialize_with = "lenient::string")]
    volid: String,
    #[serde(deserialize_with = "lenient::string")]
    content: String,
    #[serde(deserialize_with = "lenient::string")]
    format: String,
    #[serde(deserialize_with = "lenient::opt_u64")]
    size: Option<u64>,
    #[serde(deserialize_with = "crate::upid::opt_vmid")]
    vmid: Option<VmId>,
    #[serde(deserialize_with = "lenient::opt_u64")]
    ctime: Option<u64>,
    #[serde(deserialize_with = "lenient::opt_string")]
    notes: Option<String>,
    #[serde(deserialize_with = "lenient::bool")]
    protected: bool,
}

/// A volume of a storage: a disk, an image, a template, a backup.
#[derive(Clone, Debug)]
pub struct Volume {
    client: Client,
    node: String,
    entry: Entry,
    attributes: Attributes,
}

/// What a volume's own call says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct VolumeDetails {
    /// The path on the node.
    #[serde(deserialize_with = "lenient::string")]
    pub path: String,
    /// Bytes.
    #[serde(deserialize_with = "lenient::opt_u64")]
    pub size: Option<u64>,
    /// Bytes in use.
    #[serde(deserialize_with = "lenient::opt_u64")]
    pub used: Option<u64>,
    /// `qcow2`, `raw`, `iso`, …
    #[serde(deserialize_with = "lenient::string")]
    pub format: String,
}

impl Volume {
    fn new(client: &Client, node: &str, row: Read<Entry>) -> Self {
        let Read { typed, attributes } = row;
        Self { client: client.clone(), node: node.to_owned(), entry: typed, attributes }
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The node by which it is reached.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Its id: `local:iso/debian.iso`.
    pub fn volid(&self) -> &str {
        &self.entry.volid
    }

    /// The storage that it lies on.
    pub fn storage(&self) -> &str {
        self.entry.volid.split(':').next().unwrap_or_default()
    }

    /// `images`, `rootdir`, `iso`, `vztmpl`, `backup`, …
    pub fn content(&self) -> &str {
        &self.entry.content
    }

    /// `qcow2`, `raw`, `iso`, …
    pub fn format(&self) -> &str {
        &self.entry.format
    }

    /// Bytes.
    pub fn size(&self) -> Option<u64> {
        self.entry.size
    }

    /// The guest it belongs to.
    pub fn vmid(&self) -> Option<VmId> {
        self.entry.vmid
    }

    /// When it was made, in seconds since the epoch.
    pub fn created(&self) -> Option<u64> {
        self.entry.ctime
    }

    /// Notes of a backup.
    pub fn notes(&self) -> Option<&str> {
        self.entry.notes.as_deref()
    }

    /// Is a backup kept from being deleted?
    pub fn is_protected(&self) -> bool {
        self.entry.protected
    }

    /// Is it a backup?
    pub fn is_backup(&self) -> bool {
        self.content() == "backup"
    }

    /// Everything that the list says about it.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    fn resource(&self) -> Resource {
        let storage = Resource::new(&self.client, "nodes").join(&self.node).sub("storage");
        storage.join(self.storage()).sub("content").join(self.volid())
    }

    /// Its path, size and format.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn details(&self) -> Result<VolumeDetails, Error> {
        self.resource().get(()).await
    }

    /// Changes a backup's notes.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn set_notes(&mut self, notes: &str) -> Result<(), Error> {
        self.resource().put(Params::new().set("notes", notes)).await?;
        self.entry.notes = Some(notes.to_owned());
        Ok(())
    }

    /// Keeps a backup from being deleted, or does not any more.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn set_protected(&mut self, protected: bool) -> Result<(), Error> {
        self.resource().put(Params::new().set("protected", protected)).await?;
        self.entry.protected = protected;
        Ok(())
    }

    /// Deletes it. A task since release 6.2.
    pub fn destroy(&self) -> Operation<'static> {
        let resource = self.resource();
        let begin = async move { resource.delete(()).await?.task() };
        Operation::new(&self.client, begin, || async { Ok(()) })
    }
}
