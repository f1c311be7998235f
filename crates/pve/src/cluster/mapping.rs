//! Names for devices and folders that are alike on several nodes.

use super::Cluster;
use crate::requests::{record, request};
use crate::resource::{Resource, handle};
use crate::{Error, Params};

/// `/cluster/mapping/KIND/ID`.
#[derive(Clone, Debug)]
pub struct MappingHandle(Resource);
handle!(MappingHandle);

/// What is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MappingKind {
    /// PCI devices.
    Pci,
    /// USB devices.
    Usb,
    /// Folders, for `virtiofs`; since release 8.4.
    Dir,
}

impl MappingKind {
    fn name(self) -> &'static str {
        match self {
            Self::Pci => "pci",
            Self::Usb => "usb",
            Self::Dir => "dir",
        }
    }
}

record! {
    /// A mapping.
    Mapping {
        /// Its name.
        id: String,
        /// What it is on each node: property strings
        /// (`node=pve1,path=0000:01:00.0,id=10de:1db6`).
        map: Vec<String>,
        /// What it is.
        description: Option<String>,
        /// Can the device be divided? Of PCI devices.
        mdev: bool,
        /// What is wrong with it on the node that was asked about.
        checks: Vec<serde_json::Value>,
        /// Guards a change.
        digest: Option<String>,
    }
}

request! {
    /// A mapping to make (with `map`) or to change.
    MappingRequest {
        /// What it is on each node.
        map: array "map",
        /// What it is.
        description: text "description",
        /// The device can be divided; of PCI devices.
        mdev: flag "mdev",
        /// A machine with it can be moved while it runs; since release 9.
        live_migration_capable: flag "live-migration-capable",
        /// Settings to reset; for changes.
        delete: list "delete",
        /// Guards a change.
        digest: text "digest",
    }
}

impl Cluster {
    /// The mappings of a kind; with `check_node`, what is wrong with each
    /// there.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn mappings(
        &self,
        kind: MappingKind,
        check_node: Option<&str>,
    ) -> Result<Vec<Mapping>, Error> {
        let params = Params::new().opt("check-node", check_node);
        self.resource().sub("mapping").join(kind.name()).list(params).await
    }

    /// A mapping.
    pub fn mapping(&self, kind: MappingKind, id: &str) -> MappingHandle {
        MappingHandle(self.resource().sub("mapping").join(kind.name()).join(id))
    }
}

impl MappingHandle {
    /// The mapping.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request);
    /// [`Error::is_not_found`].
    pub async fn get(&self) -> Result<Mapping, Error> {
        self.0.get(()).await
    }

    /// Makes it.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn create(&self, request: &MappingRequest) -> Result<(), Error> {
        let params = Params::new().set("id", self.0.path.last()).and(request);
        self.0.parent().post(params).await.map(drop)
    }

    /// Changes it.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn update(&self, request: &MappingRequest) -> Result<(), Error> {
        self.0.put(request).await.map(drop)
    }

    /// Deletes it.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn delete(&self) -> Result<(), Error> {
        self.0.delete(()).await.map(drop)
    }
}
