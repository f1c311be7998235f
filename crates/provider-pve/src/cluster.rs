//! One cluster: its client, its settings, and every call that is made to it.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use model::{Clock, HostId, InstallationId, Mark};
use provider::{Error, Handle};
use pve::cluster::{ClusterResource, ClusterStatus, ResourceFilter};
use pve::error::{Kind, Missing};
use pve::firewall::{FirewallOptions, Rule};
use pve::property::DiskSize;
use pve::qemu::{
    AgentInterface, CloneRequest, ConfigChange, DeleteRequest, MigrateRequest, Qemu, QemuConfig,
    ShutdownRequest, Snapshot,
};
use pve::tasks::{TaskEntry, TaskFilter, TaskStatus};
use pve::{Params, Upid, VmId};
use tokio::sync::Semaphore;

use crate::actions::clone::Clone as CloneAction;
use crate::actions::shutdown::Shutdown;
use crate::devices::DeviceCache;
use crate::errors;
use crate::groups::GroupCache;
use crate::guest::Guest;
use crate::images::TemplateCache;
use crate::permissions::PermissionCache;
use crate::settings::Settings;
use crate::tasks::Seen;

/// How many tasks of a host are listed at once. Proxmox keeps its lists short;
/// what is not on the list is asked for by its id.
const TASK_LIMIT: u32 = 1_000;

tokio::task_local! {
    /// Whether the action that is being carried out has sent an effect.
    static SENT: Arc<AtomicBool>;
}

/// One cluster.
pub(crate) struct Cluster {
    client: RwLock<pve::Client>,
    pub settings: Settings,
    pub clock: Arc<dyn Clock>,
    pub installation: InstallationId,
    pub templates: TemplateCache,
    pub groups: GroupCache,
    pub devices: DeviceCache,
    pub permissions: PermissionCache,
    requests: Semaphore,
    seen: Mutex<Seen>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("name", &self.settings.name).finish_non_exhaustive()
    }
}

/// A guest's power state, asked of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Power {
    /// Whether it runs (or is suspended).
    pub running: bool,
    /// The id of its QEMU process.
    pub pid: Option<u32>,
}

/// What a node says about a guest's configuration.
pub(crate) enum ConfigAnswer {
    /// Here it is.
    Found(Box<QemuConfig>),
    /// It has none of this vmid.
    Missing,
    /// The credentials may not see it, if there is one.
    Hidden,
}

impl Cluster {
    pub fn new(
        settings: Settings,
        client: pve::Client,
        clock: Arc<dyn Clock>,
        installation: InstallationId,
    ) -> Self {
        let requests = usize::try_from(settings.limits.requests).unwrap_or(usize::MAX);
        Self {
            client: RwLock::new(client),
            clock,
            installation,
            templates: TemplateCache::default(),
            groups: GroupCache::default(),
            devices: DeviceCache::default(),
            permissions: PermissionCache::default(),
            requests: Semaphore::new(requests.clamp(1, Semaphore::MAX_PERMITS)),
            seen: Mutex::default(),
            settings,
        }
    }

    /// The client as it is now.
    pub fn client(&self) -> pve::Client {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Goes on with another client; calls that are under way end with theirs.
    pub fn reconnect(&self, client: pve::Client) {
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = client;
        self.permissions.forget();
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call that only reads.
    pub async fn read<T>(
        &self,
        call: impl Future<Output = Result<T, pve::Error>>,
    ) -> Result<T, Error> {
        let answer = self.raw(call).await;
        answer.map_err(|error| errors::of_read(&error))
    }

    /// A call with the client's own error, when its turn has come.
    async fn raw<T>(
        &self,
        call: impl Future<Output = Result<T, pve::Error>>,
    ) -> Result<T, pve::Error> {
        // The semaphore is never closed, so that there is always a permit in
        // the end.
        let _permit = self.requests.acquire().await;
        call.await
    }

    /// Work that sends effects, for so long: whoever carries out an action has
    /// a lease to keep.
    ///
    /// # Errors
    /// Those of the work. When the time is over: [`Error::Ambiguous`] if an
    /// effect was sent, [`Error::Unavailable`] if none was.
    pub async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let sent = Arc::new(AtomicBool::new(false));
        let work = SENT.scope(Arc::clone(&sent), work);
        if let Ok(result) = tokio::time::timeout(limit, work).await {
            return result;
        }
        let text = format!("no answer within {} s", limit.as_secs());
        Err(match sent.load(Ordering::Relaxed) {
            true => Error::Ambiguous { text, settle: self.settings.timeouts.settle() },
            false => Error::Unavailable(text),
        })
    }

    /// A call that changes something.
    pub async fn write<T>(
        &self,
        call: impl Future<Output = Result<T, pve::Error>>,
    ) -> Result<T, Error> {
        let settle = self.settings.timeouts.settle();
        let answer = self
            .raw(async {
                // Outside of an action nobody asks.
                let _ = SENT.try_with(|sent| sent.store(true, Ordering::Relaxed));
                call.await
            })
            .await;
        answer.map_err(|error| errors::of_call(&error, settle))
    }

    /// A call that starts a task on this node.
    pub async fn task(
        &self,
        node: &HostId,
        call: impl Future<Output = Result<Upid, pve::Error>>,
    ) -> Result<Handle, Error> {
        let upid = self.write(call).await?;
        Ok(handle(node, &upid))
    }

    fn qemu(&self, guest: &Guest) -> Qemu {
        self.client().node(guest.node.as_str()).qemu(guest.vmid)
    }
}

pub(crate) fn handle(node: &HostId, upid: &Upid) -> Handle {
    Handle { host: node.clone(), reference: upid.to_string() }
}

/// Reads.
impl Cluster {
    /// Everything in the cluster, or all guests, that the credentials may see.
    pub async fn resources(
        &self,
        filter: Option<ResourceFilter>,
    ) -> Result<Vec<ClusterResource>, Error> {
        self.read(self.client().cluster().resources(filter)).await
    }

    /// The cluster and its nodes. Needs Sys.Audit on `/`.
    pub async fn status(&self) -> Result<ClusterStatus, Error> {
        self.read(self.client().cluster().status()).await
    }

    /// Refuses to go on unless the cluster is quorate.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it is not.
    pub async fn require_quorum(&self) -> Result<(), Error> {
        match self.status().await?.is_quorate() {
            true => Ok(()),
            false => Err(Error::Unavailable("the cluster is not quorate".to_owned())),
        }
    }

    /// Whether no guest of any kind in the whole cluster has this vmid.
    /// Unlike the lists, this is not filtered by what the credentials may see.
    pub async fn is_free(&self, vmid: VmId) -> Result<bool, Error> {
        self.read(self.client().cluster().is_free(vmid)).await
    }

    /// A guest's configuration, as this node has it.
    pub async fn config(&self, node: &HostId, vmid: VmId) -> Result<ConfigAnswer, Error> {
        let qemu = self.client().node(node.as_str()).qemu(vmid);
        match self.raw(qemu.config()).await {
            Ok(config) => Ok(ConfigAnswer::Found(Box::new(config))),
            Err(error) if error.is_guest_missing(vmid) => Ok(ConfigAnswer::Missing),
            Err(error) if error.is_forbidden() => Ok(ConfigAnswer::Hidden),
            Err(error) => Err(errors::of_read(&error)),
        }
    }

    /// Whether a guest runs.
    pub async fn power(&self, guest: &Guest) -> Result<Power, Error> {
        let status = self.read(self.qemu(guest).status()).await?;
        Ok(Power { running: status.is_running(), pid: status.pid })
    }

    /// Tasks of a node.
    pub async fn tasks(
        &self,
        node: &HostId,
        mut filter: TaskFilter,
    ) -> Result<Vec<TaskEntry>, Error> {
        filter.limit = Some(TASK_LIMIT);
        let node = self.client().node(node.as_str());
        Ok(self.read(node.tasks(&filter)).await?.tasks)
    }

    /// One task; `None` when its node does not know it.
    pub async fn task_status(&self, upid: &Upid) -> Result<Option<TaskStatus>, Error> {
        match self.raw(self.client().task(upid).status()).await {
            Ok(status) => Ok(Some(status)),
            Err(error) if error.missing() == Some(&Missing::Task) => Ok(None),
            Err(error) => Err(errors::of_read(&error)),
        }
    }

    /// The guest's own firewall rules.
    pub async fn rules(&self, guest: &Guest) -> Result<Vec<Rule>, Error> {
        self.read(self.qemu(guest).firewall().rules().list()).await
    }

    /// The guest's firewall options.
    pub async fn firewall_options(&self, guest: &Guest) -> Result<FirewallOptions, Error> {
        self.read(self.qemu(guest).firewall().options()).await
    }

    /// The options whose change waits for the guest's next start.
    pub async fn pending(&self, guest: &Guest) -> Result<Vec<String>, Error> {
        let values = self.read(self.qemu(guest).pending()).await?;
        Ok(values.into_iter().filter(|value| value.is_pending()).map(|value| value.key).collect())
    }

    /// The guest's snapshots.
    pub async fn snapshots(&self, guest: &Guest) -> Result<Vec<Snapshot>, Error> {
        let mut all = self.read(self.qemu(guest).snapshots()).await?;
        all.retain(|snapshot| !snapshot.is_current());
        Ok(all)
    }

    /// What the guest agent says about the guest's interfaces; `None` while it
    /// does not answer.
    pub async fn interfaces(&self, guest: &Guest) -> Result<Option<Vec<AgentInterface>>, Error> {
        match self.raw(self.qemu(guest).agent().network_interfaces()).await {
            Ok(interfaces) => Ok(Some(interfaces)),
            Err(error) if is_silent_agent(&error) => Ok(None),
            Err(error) => Err(errors::of_read(&error)),
        }
    }
}

/// Effects.
impl Cluster {
    /// Clones a template, marked as ours. The task is the source's node's.
    pub async fn clone_guest(&self, clone: &CloneAction, mark: &Mark) -> Result<Handle, Error> {
        let node = &clone.source_node;
        let mut request = CloneRequest::new(clone.vmid);
        request.name = Some(clone.name.clone());
        request.description = Some(mark.to_string());
        request.full = Some(clone.full);
        request.storage.clone_from(&clone.storage);
        request.pool.clone_from(&clone.pool);
        request.target = (clone.node != *node).then(|| clone.node.to_string());
        let source = self.client().node(node.as_str()).qemu(clone.source);
        self.task(node, source.clone_to(&request)).await
    }

    /// Changes the configuration, if it is still the one that was read.
    pub async fn configure(&self, guest: &Guest, mut change: ConfigChange) -> Result<(), Error> {
        if let Some(digest) = &guest.config.digest {
            change = change.digest(digest);
        }
        self.write(self.qemu(guest).configure(&change)).await
    }

    /// Grows a disk to this size. A release may do it at once or as a task.
    pub async fn resize(
        &self,
        guest: &Guest,
        disk: &str,
        size: DiskSize,
    ) -> Result<Option<Handle>, Error> {
        let qemu = self.qemu(guest);
        let digest = guest.config.digest.as_deref();
        let upid = self.write(qemu.resize(disk, size, digest)).await?;
        Ok(upid.map(|upid| handle(&guest.node, &upid)))
    }

    /// Powers a guest on.
    pub async fn start(&self, guest: &Guest) -> Result<Handle, Error> {
        self.task(&guest.node, self.qemu(guest).start()).await
    }

    /// Powers a guest off, hard.
    pub async fn stop(&self, guest: &Guest) -> Result<Handle, Error> {
        self.task(&guest.node, self.qemu(guest).stop()).await
    }

    /// Asks a guest to shut down.
    pub async fn shutdown(&self, guest: &Guest, how: &Shutdown) -> Result<Handle, Error> {
        let request = ShutdownRequest { timeout_s: Some(how.timeout_s), force_stop: how.force };
        let qemu = self.qemu(guest);
        self.task(&guest.node, qemu.shutdown(request)).await
    }

    /// Asks a guest to restart.
    pub async fn reboot(&self, guest: &Guest, timeout_s: u32) -> Result<Handle, Error> {
        let qemu = self.qemu(guest);
        self.task(&guest.node, qemu.reboot(Some(timeout_s))).await
    }

    /// Takes a snapshot.
    pub async fn take_snapshot(
        &self,
        guest: &Guest,
        name: &str,
        description: &str,
        memory: bool,
    ) -> Result<Handle, Error> {
        let qemu = self.qemu(guest);
        self.task(&guest.node, qemu.create_snapshot(name, Some(description), memory)).await
    }

    /// Deletes a snapshot.
    pub async fn drop_snapshot(&self, guest: &Guest, name: &str) -> Result<Handle, Error> {
        let snapshot = self.qemu(guest).snapshot(name);
        self.task(&guest.node, snapshot.delete(false)).await
    }

    /// Goes back to a snapshot.
    pub async fn roll_back(&self, guest: &Guest, name: &str) -> Result<Handle, Error> {
        let snapshot = self.qemu(guest).snapshot(name);
        self.task(&guest.node, snapshot.rollback(false)).await
    }

    /// Moves a guest to another node, while it runs or not.
    pub async fn migrate(
        &self,
        guest: &Guest,
        target: &HostId,
        online: bool,
    ) -> Result<Handle, Error> {
        let request =
            MigrateRequest { target: target.to_string(), online, ..MigrateRequest::default() };
        let qemu = self.qemu(guest);
        self.task(&guest.node, qemu.migrate(&request)).await
    }

    /// Removes a guest with its disks and what refers to it; `None` when
    /// Proxmox refuses because it runs.
    pub async fn delete(&self, guest: &Guest) -> Result<Option<Handle>, Error> {
        let request =
            DeleteRequest { purge: true, destroy_unreferenced_disks: Some(true), skiplock: false };
        let qemu = self.qemu(guest);
        match self.task(&guest.node, qemu.delete(request)).await {
            Ok(handle) => Ok(Some(handle)),
            Err(Error::Rejected { text, .. }) if text.contains("is running - destroy failed") => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Adds a firewall rule in front of all others.
    pub async fn add_rule(
        &self,
        guest: &Guest,
        rule: &Rule,
        digest: Option<&str>,
    ) -> Result<(), Error> {
        let rules = self.qemu(guest).firewall().rules();
        self.write(rules.create(rule, None, digest)).await
    }

    /// Removes the firewall rule at a position.
    pub async fn remove_rule(
        &self,
        guest: &Guest,
        position: u32,
        digest: Option<&str>,
    ) -> Result<(), Error> {
        let rules = self.qemu(guest).firewall().rules();
        self.write(rules.delete(position, digest)).await
    }

    /// Switches the guest's firewall on.
    pub async fn enable_firewall(&self, guest: &Guest) -> Result<(), Error> {
        let firewall = self.qemu(guest).firewall();
        let params = Params::new().set("enable", true);
        self.write(firewall.set_options(params)).await
    }
}

fn is_silent_agent(error: &pve::Error) -> bool {
    matches!(
        error.kind(),
        Some(Kind::AgentNotRunning | Kind::AgentNotConfigured | Kind::NotRunning | Kind::Agent)
    )
}
