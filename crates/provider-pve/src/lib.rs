//! Proxmox VE as a provider: intents become plans of actions, and each action
//! becomes a few calls to a cluster's API.
//!
//! The words of Proxmox (vmid, UPID, node, bridge) stay in here; the house
//! speaks of hosts and of opaque references.
//!
//! | intent | actions (reversible in italics) |
//! |---|---|
//! | create | *seed* (the medium), *clone*, *configure*, *grow*, *firewall*, *edit*, *start* |
//! | start, stop, shutdown | one of the same name |
//! | reboot | *note* (the QEMU process), reboot |
//! | destroy | stop, destroy, unseed |
//! | drop-seed | eject, unseed |
//! | resize | *resize*, grow |
//! | edit | edit |
//! | snapshot | *snapshot* |
//! | rollback | *note-generation*, rollback |
//! | discard | discard |
//! | migrate | migrate |
//! | adopt | *mark* |
//! | release | unmark |
#![warn(missing_docs)]

mod actions;
mod addresses;
mod cluster;
mod destinations;
mod devices;
mod doctor;
mod errors;
mod groups;
mod guest;
mod images;
mod media;
mod native;
mod observe;
mod ownership;
mod permissions;
mod plan;
mod settings;
mod tasks;

use std::sync::Arc;

use async_trait::async_trait;
use model::{Address, Clock, HostId, InstallationId, Intent, Mark, SeedAccess};
use provider::{
    Action, ActionContext, Applied, Batch, Destinations, Error, Existence, Facts, GuestDetails,
    Handle, HandleState, IdRequest, Orphan, Plan, Probe, Provider, ReservedId, Undone,
};
use serde_json::Value;

pub use doctor::{Finding, Level, diagnose};
pub use settings::{
    CloneMode, DEFAULT_VMID_RANGE, Limits, Settings, SettingsError, Templates, Timeouts,
};

use crate::cluster::Cluster;
use crate::native::GuestRef;

/// A Proxmox VE cluster.
#[derive(Debug)]
pub struct ProxmoxProvider {
    cluster: Cluster,
}

impl ProxmoxProvider {
    /// The cluster behind this client. Sends nothing yet.
    ///
    /// # Errors
    /// The first setting that cannot be.
    pub fn new(
        settings: Settings,
        client: pve::Client,
        clock: Arc<dyn Clock>,
        installation: InstallationId,
    ) -> Result<Self, SettingsError> {
        settings.check()?;
        Ok(Self { cluster: Cluster::new(settings, client, clock, installation) })
    }

    /// Goes on with another client of the same cluster: another token, other
    /// certificates. Calls that are under way end with the one that they have.
    pub fn reconnect(&self, client: pve::Client) {
        self.cluster.reconnect(client);
    }

    /// Refuses to act for another installation: its guests are not ours.
    fn check(&self, mark: &Mark) -> Result<(), Error> {
        if mark.installation == self.cluster.installation {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "the mark {mark} is not of this installation ({})",
            self.cluster.installation
        )))
    }
}

#[async_trait]
impl Provider for ProxmoxProvider {
    fn kind(&self) -> &'static str {
        plan::KIND
    }

    fn seed_access(&self) -> SeedAccess {
        match self.cluster.settings.seed_storage {
            Some(_) => SeedAccess::Medium,
            None => SeedAccess::Http,
        }
    }

    fn has_seed_medium(&self, native: &Value) -> bool {
        GuestRef::read(native).is_ok_and(|guest| guest.seed.is_some())
    }

    fn ids_needed(&self, intent: &Intent, facts: &Facts) -> Result<Vec<IdRequest>, Error> {
        Ok(self.cluster.settings.ids_needed(intent, facts))
    }

    fn plan(&self, intent: &Intent, facts: &Facts, ids: &[ReservedId]) -> Result<Plan, Error> {
        self.cluster.settings.plan(intent, facts, ids)
    }

    async fn apply(&self, action: &Action, context: &ActionContext) -> Result<Applied, Error> {
        self.check(&context.mark)?;
        let work = actions::load(action)?;
        let applied = work.apply(&self.cluster, context);
        self.cluster.within(action.request_timeout, applied).await
    }

    async fn probe(&self, action: &Action, context: &ActionContext) -> Result<Probe, Error> {
        self.check(&context.mark)?;
        actions::load(action)?.probe(&self.cluster, context).await
    }

    async fn undo(&self, action: &Action, context: &ActionContext) -> Result<Undone, Error> {
        self.check(&context.mark)?;
        let work = actions::load(action)?;
        let undone = work.undo(&self.cluster, context);
        self.cluster.within(action.request_timeout, undone).await
    }

    fn failure(&self, action: &Action, text: &str) -> Error {
        match actions::load(action) {
            Ok(action) => action.failure(text),
            Err(error) => error,
        }
    }

    async fn poll(&self, host: &HostId, handles: &[Handle]) -> Result<Vec<HandleState>, Error> {
        self.cluster.poll(host, handles).await
    }

    async fn observe(&self) -> Result<Batch, Error> {
        self.cluster.observe().await
    }

    fn guest_key(&self, native: &Value) -> Option<String> {
        GuestRef::read(native).ok().map(|guest| guest.vmid.to_string())
    }

    async fn addresses(&self, native: &Value) -> Result<Option<Vec<Address>>, Error> {
        self.cluster.addresses(&GuestRef::read(native)?).await
    }

    async fn exists(&self, native: &Value, mark: &Mark) -> Result<Existence, Error> {
        self.cluster.existence(&GuestRef::read(native)?, *mark).await
    }

    async fn destinations(&self, native: &Value, mark: &Mark) -> Result<Destinations, Error> {
        self.check(mark)?;
        self.cluster.destinations(&GuestRef::read(native)?, *mark).await
    }

    async fn inspect(&self, key: &str) -> Result<Option<Orphan>, Error> {
        match key.parse() {
            Ok(vmid) => self.cluster.inspect(vmid).await,
            Err(_) => Err(Error::invalid(format!("expected a vmid, got {key:?}"))),
        }
    }

    async fn describe(&self, key: &str) -> Result<Option<GuestDetails>, Error> {
        match key.parse() {
            Ok(vmid) => self.cluster.describe(vmid).await,
            Err(_) => Err(Error::invalid(format!("expected a vmid, got {key:?}"))),
        }
    }
}
