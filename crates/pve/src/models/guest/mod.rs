//! Guests: virtual machines and containers.
//!
//! Both are the same model, [`Guest`], because nearly everything that can be
//! done with one can be done with the other; what only one of them can do
//! stands in `server` and `container`.

mod actions;
mod backups;
mod console;
mod devices;
mod entry;
mod lifecycle;
mod server;
mod snapshots;

use std::collections::BTreeMap;
use std::fmt;

use http::Method;
use serde::de::DeserializeOwned;

use super::attributes::Read;
use super::wait::Pauses;
use super::{Attributes, Operation, Polling};
use crate::error::Missing;
use crate::lenient::List;
use crate::lxc::{LxcConfig, LxcStatus};
use crate::qemu::{ConfigChange, PendingValue, QemuConfig, QemuStatus};
use crate::resource::Resource;
use crate::{Client, Error, Params, VmId};

pub use backups::{BackupOptions, RestoreOptions};
pub use console::{Console, ConsoleKind};
pub use devices::MoveOptions;
pub use entry::GuestEntry;
pub use lifecycle::{CloneOptions, DestroyOptions, LocalDisk, MigrateOptions, MigrationCheck};
pub use server::CloudInitDocument;

mod sealed {
    pub trait Sealed {}
}

/// Which kind of guest a [`Guest`] is: [`Qemu`] or [`Lxc`].
pub trait GuestKind: sealed::Sealed + fmt::Debug + Clone + Send + Sync + 'static {
    /// The word in paths and lists: `qemu`, `lxc`.
    const WORD: &'static str;
    /// Where the content of its disks lies in storages: `images`, `rootdir`.
    const DISK_CONTENT: &'static str;
    /// The option that holds its name.
    const NAME: &'static str;
    /// How a change of the configuration is sent: POST makes a task of it,
    /// which containers do not have.
    #[doc(hidden)]
    const UPDATE: Method;
    /// Its state.
    type Status: DeserializeOwned + Clone + fmt::Debug + Send + Sync + 'static;
    /// Its configuration.
    type Config: DeserializeOwned + Clone + fmt::Debug + Send + Sync + 'static;
    #[doc(hidden)]
    fn is_running(status: &Self::Status) -> bool;
    #[doc(hidden)]
    fn values(config: &Self::Config) -> &BTreeMap<String, String>;
}

/// A virtual machine.
#[derive(Clone, Debug)]
pub enum Qemu {}

/// A container.
#[derive(Clone, Debug)]
pub enum Lxc {}

impl sealed::Sealed for Qemu {}
impl sealed::Sealed for Lxc {}

impl GuestKind for Qemu {
    const WORD: &'static str = "qemu";
    const DISK_CONTENT: &'static str = "images";
    const NAME: &'static str = "name";
    const UPDATE: Method = Method::POST;
    type Status = QemuStatus;
    type Config = QemuConfig;

    fn is_running(status: &QemuStatus) -> bool {
        status.is_running()
    }

    fn values(config: &QemuConfig) -> &BTreeMap<String, String> {
        &config.values
    }
}

impl GuestKind for Lxc {
    const WORD: &'static str = "lxc";
    const DISK_CONTENT: &'static str = "rootdir";
    const NAME: &'static str = "hostname";
    const UPDATE: Method = Method::PUT;
    type Status = LxcStatus;
    type Config = LxcConfig;

    fn is_running(status: &LxcStatus) -> bool {
        status.is_running()
    }

    fn values(config: &LxcConfig) -> &BTreeMap<String, String> {
        &config.values
    }
}

/// A virtual machine.
pub type Server = Guest<Qemu>;

/// A container.
pub type Container = Guest<Lxc>;

/// A guest: a [`Server`] or a [`Container`].
#[derive(Clone)]
pub struct Guest<K: GuestKind> {
    client: Client,
    node: String,
    vmid: VmId,
    status: K::Status,
    attributes: Attributes,
    config: K::Config,
}

impl<K: GuestKind> fmt::Debug for Guest<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest")
            .field("kind", &K::WORD)
            .field("node", &self.node)
            .field("vmid", &self.vmid)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// `/nodes/NODE/qemu/VMID`, or `lxc`.
fn resource<K: GuestKind>(client: &Client, node: &str, vmid: VmId) -> Resource {
    Resource::new(client, "nodes").join(node).sub(K::WORD).join(vmid)
}

impl<K: GuestKind> Guest<K> {
    async fn load(client: &Client, node: &str, vmid: VmId) -> Result<Self, Error> {
        let resource = resource::<K>(client, node, vmid);
        let read: Read<K::Status> = resource.sub("status/current").get(()).await?;
        let config = resource.sub("config").get(()).await?;
        Ok(Self {
            client: client.clone(),
            node: node.to_owned(),
            vmid,
            status: read.typed,
            attributes: read.attributes,
            config,
        })
    }

    /// A guest of this node; `None` when the node has none with this id and of
    /// this kind. It may be on another node: see [`find`](Self::find).
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn get(client: &Client, node: &str, vmid: VmId) -> Result<Option<Self>, Error> {
        match Self::load(client, node, vmid).await {
            Ok(guest) => Ok(Some(guest)),
            Err(error) if error.is_guest_missing(vmid) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A guest, wherever in the cluster it is; `None` when the cluster shows
    /// none with this id and of this kind. One that the caller may not see is
    /// not shown.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn find(client: &Client, vmid: VmId) -> Result<Option<Self>, Error> {
        let guests = Self::all(client).await?;
        match guests.into_iter().find(|guest| guest.vmid() == vmid) {
            Some(guest) => guest.load().await,
            None => Ok(None),
        }
    }

    /// An id that is free now, for a virtual machine or a container. It is not
    /// reserved.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn next_id(client: &Client) -> Result<VmId, Error> {
        client.cluster().next_id().await
    }

    /// Could a guest be made with this id now: is it a guest id, and free?
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn is_valid_id(client: &Client, id: u32) -> Result<bool, Error> {
        match VmId::new(id) {
            Some(vmid) => client.cluster().is_free(vmid).await,
            None => Ok(false),
        }
    }

    /// Makes a guest with this configuration: `name`, `memory`, `net0`, `scsi0`
    /// and so on; a container needs `ostemplate` and `rootfs`.
    ///
    /// Somebody else may take the id in the meantime, which shows in the answer
    /// or only in the task: [`Error::already_exists`] either way.
    pub fn create(
        client: &Client,
        node: &str,
        vmid: VmId,
        config: impl Into<Params>,
    ) -> Operation<'static, Self> {
        let params = Params::new().set("vmid", vmid).and(config);
        Self::made(client, node, vmid, params)
    }

    /// A guest of this id comes out of `POST /nodes/NODE/qemu` or `lxc`.
    fn made(client: &Client, node: &str, vmid: VmId, params: Params) -> Operation<'static, Self> {
        let guests = Resource::new(client, "nodes").join(node).sub(K::WORD);
        let begin = async move { guests.post(params).await?.task() };
        let (own, node) = (client.clone(), node.to_owned());
        Operation::new(client, begin, move || async move { Self::load(&own, &node, vmid).await })
    }

    /// Its id.
    pub fn vmid(&self) -> VmId {
        self.vmid
    }

    /// The node it is on, as last read.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Its name: a DNS name.
    pub fn name(&self) -> Option<&str> {
        self.option(K::NAME)
    }

    /// Its state, as last read.
    pub fn status(&self) -> &K::Status {
        &self.status
    }

    /// Everything that its state says, as last read.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// Its configuration, as last read. Changes that wait for the next start
    /// are in it: see [`pending`](Self::pending).
    pub fn config(&self) -> &K::Config {
        &self.config
    }

    /// An option of its configuration, as it stands there.
    pub fn option(&self, name: &str) -> Option<&str> {
        K::values(&self.config).get(name).map(String::as_str)
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn resource(&self) -> Resource {
        resource::<K>(&self.client, &self.node, self.vmid)
    }

    /// Reads state and configuration again. A guest that is not on its node any
    /// more is looked for in the cluster: it may have been moved.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_guest_missing`].
    pub async fn reload(&mut self) -> Result<(), Error> {
        match Self::load(&self.client, &self.node, self.vmid).await {
            Ok(guest) => *self = guest,
            Err(error) if error.is_guest_missing(self.vmid) => {
                *self = Self::find(&self.client, self.vmid).await?.ok_or(error)?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Is the guest there? `false` once it was destroyed.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn exists(&self) -> Result<bool, Error> {
        match self.resource().sub("status/current").get::<Attributes>(()).await {
            Ok(_) => Ok(true),
            Err(error) if error.missing() == Some(&Missing::Guest(self.vmid)) => {
                Ok(Self::find(&self.client, self.vmid).await?.is_some())
            }
            Err(error) => Err(error),
        }
    }

    /// Reads it again and again until `so` is true of it.
    ///
    /// # Errors
    /// As [`reload`](Self::reload), where calls that fail for reasons that may
    /// pass by themselves are repeated; [`Error::TimedOut`].
    pub async fn wait_for(
        &mut self,
        policy: &Polling,
        mut so: impl FnMut(&Self) -> bool,
    ) -> Result<(), Error> {
        let client = self.client.clone();
        let mut pauses = Pauses::new(&client, policy);
        let what = format!("guest {}", self.vmid);
        loop {
            match self.reload().await {
                Ok(()) if so(self) => return Ok(()),
                Ok(()) => {}
                Err(error) if error.is_retryable_read() => {
                    tracing::debug!(%error, "guest {} cannot be read now", self.vmid);
                }
                Err(error) => return Err(error),
            }
            pauses.next(&what).await?;
        }
    }

    /// Changes its configuration, in a task for a virtual machine. A disk that
    /// `change` deletes is detached and becomes `unusedN`.
    pub fn update(&mut self, change: &ConfigChange) -> Operation<'_> {
        self.operation(K::UPDATE, "config", change)
    }

    /// Every option with what waits for the next start. Containers: since
    /// release 6.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn pending(&self) -> Result<Vec<PendingValue>, Error> {
        let List(rows) = self.resource().sub("pending").get(()).await?;
        Ok(rows)
    }

    /// A call below this guest, after which it is read again.
    fn operation(
        &mut self,
        method: Method,
        tail: &str,
        params: impl Into<Params>,
    ) -> Operation<'_> {
        let (resource, params) = (self.resource().sub(tail), params.into());
        let client = self.client.clone();
        let begin = async move { resource.send(method, params).await?.task() };
        Operation::new(&client, begin, move || self.reload())
    }
}
