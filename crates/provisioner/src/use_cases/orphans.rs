//! Guests with our mark that no row claims: the report, and their removal.

use std::time::Duration;

use engine::{NewWorkflow, WorkflowId};
use model::{
    Caller, Error, HostId, InstanceId, OperationId, PowerState, ProviderId, Role, Timestamp,
};
use store::Start;

use super::public;
use crate::house::House;
use crate::workflows::{CollectInput, collect_orphan_kind, collection, guest_claim};

/// How long a removal may take before it is stuck.
const COLLECT_DEADLINE: Duration = Duration::from_secs(3600);

/// A guest with our mark that no row claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrphanInfo {
    /// Where it is.
    pub provider: ProviderId,
    /// What its provider calls it.
    pub guest: String,
    /// Its name on the hypervisor.
    pub name: String,
    /// The host that carries it.
    pub host: HostId,
    /// Whether it is powered, as last seen.
    pub power: PowerState,
    /// The instance that its mark names.
    pub instance: InstanceId,
    /// Whether that instance is still there, with another guest: then this one
    /// is most likely a copy of that guest.
    pub copy: bool,
    /// When it was found first.
    pub found_at: Timestamp,
}

/// How old and how whole what is known of a provider's guests is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Which provider.
    pub provider: ProviderId,
    /// When all of it was last seen; `None`: not since this process began.
    pub complete_at: Option<Timestamp>,
    /// Why the last look did not show everything.
    pub incomplete: Option<String>,
}

/// The report on orphans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrphanReport {
    /// The orphans, by provider and guest.
    pub orphans: Vec<OrphanInfo>,
    /// How far the report can be trusted: each provider's last looks.
    pub looked: Vec<Looked>,
}

impl House {
    /// The guests with our mark that no row claims, as last seen.
    ///
    /// # Errors
    /// [`Error::Forbidden`] but for administrators; [`Error::Unavailable`] when
    /// the store does not answer.
    pub async fn orphans(&self, caller: &Caller) -> Result<OrphanReport, Error> {
        caller.require(Role::Admin)?;
        let core = &self.core;
        let found = core.store.orphans().await.map_err(public)?;
        let orphans = found.into_iter().map(|orphan| {
            let view = core.read_model.provider_view(&orphan.provider);
            OrphanInfo {
                power: view.guests.get(&orphan.guest).map_or(PowerState::Unknown, |g| g.power),
                instance: orphan.mark.instance,
                copy: core.read_model.instance(orphan.mark.instance).is_some(),
                provider: orphan.provider,
                guest: orphan.guest,
                name: orphan.name,
                host: orphan.host,
                found_at: orphan.found_at,
            }
        });
        let looked = core.providers().keys().map(|provider| {
            let view = core.read_model.provider_view(provider);
            let incomplete = match view.seen {
                true => view.incomplete.clone(),
                false => Some("it has not been looked at yet".to_owned()),
            };
            Looked { provider: provider.clone(), complete_at: view.complete_at, incomplete }
        });
        Ok(OrphanReport { orphans: orphans.collect(), looked: looked.collect() })
    }

    /// Accepts the removal of an orphan. Only the guest that was reported is
    /// removed: whose it is is read again immediately before.
    ///
    /// # Errors
    /// [`Error::NotFound`] when no such orphan is known; [`Error::Conflict`] when
    /// it belongs to an instance by now, or is being removed;
    /// [`Error::Forbidden`] but for administrators.
    pub async fn collect_orphan(
        &self,
        caller: &Caller,
        provider: &ProviderId,
        guest: &str,
    ) -> Result<OperationId, Error> {
        caller.require(Role::Admin)?;
        let core = &self.core;
        let shown: String = guest.chars().take(80).collect();
        let orphan = core.store.orphan(provider, guest).await.map_err(public)?;
        let orphan =
            orphan.ok_or_else(|| Error::not_found("orphan", format!("{provider}/{shown}")))?;
        self.unclaimed(provider, guest)?;
        let id = OperationId::generate(&*core.clock, &*core.random);
        let input =
            CollectInput { provider: provider.clone(), mark: orphan.mark, native: orphan.native };
        let workflow = NewWorkflow {
            id: WorkflowId::from(id),
            kind: collect_orphan_kind(),
            input: serde_json::to_value(&input).map_err(Error::internal)?,
            deadline: core.clock.now().plus(COLLECT_DEADLINE),
            claim: Some(guest_claim(provider, guest)),
            supersede: false,
        };
        let row = collection(core, id, &orphan.mark, &orphan.name, &caller.principal.name)
            .map_err(Error::internal)?;
        self.start(caller, Start { workflow, operation: Some(row), changes: Vec::new() }).await?;
        Ok(id)
    }

    /// Refuses a guest that belongs to an instance.
    pub(super) fn unclaimed(&self, provider: &ProviderId, guest: &str) -> Result<(), Error> {
        let Some(adapter) = self.core.providers().get(provider) else {
            return Err(Error::not_found("provider", provider));
        };
        let rows = self.core.read_model.of_provider(provider);
        let claims =
            rows.iter().find(|row| adapter.guest_key(&row.native).as_deref() == Some(guest));
        match claims {
            None => Ok(()),
            Some(row) => Err(Error::Conflict {
                message: format!("the guest belongs to the instance {}", row.id),
                operation: None,
            }),
        }
    }
}
