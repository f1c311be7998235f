//! The house: what the use cases, the workflows and the observer share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::StepError;
use model::{
    Clock, HostId, InstallationId, Instance, InstanceId, Mark, ProviderId, Random, SeedAccess,
    Timestamp,
};
use provider::{Facts, Provider, SeedMedium};
use secrecy::{ExposeSecret, SecretString};
use store::Store;
use tokio_util::sync::CancellationToken;

use crate::guest::{SeedDocuments, render_medium};
use crate::placement::{Placing, Preference};
use crate::read_model::ReadModel;
use crate::use_cases::audit::Refusals;
use crate::use_cases::figures::Calls;
use crate::use_cases::tokens::VerifiedTokens;

/// What an administrator has set.
#[derive(Clone, Debug)]
pub struct HouseSettings {
    /// Where guests reach the metadata door, for example
    /// `http://10.0.2.2:8008/`; ends with a slash. `None`: guests get no seed,
    /// unless their provider attaches it as a medium.
    pub metadata_url: Option<String>,
    /// How long before an instance expires people are warned.
    pub expiry_warning: Duration,
    /// How hosts are compared.
    pub preference: Preference,
}

impl Default for HouseSettings {
    fn default() -> Self {
        Self {
            metadata_url: None,
            expiry_warning: Duration::from_secs(24 * 3600),
            preference: Preference::default(),
        }
    }
}

/// What workflows and the observer share. Doors see a [`House`] instead.
pub struct Core {
    /// The store.
    pub store: Arc<Store>,
    /// What reads are served from.
    pub read_model: Arc<ReadModel>,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where chance comes from.
    pub random: Arc<dyn Random>,
    /// This installation.
    pub installation: InstallationId,
    /// What an administrator has set.
    pub settings: HouseSettings,
    providers: BTreeMap<ProviderId, Arc<dyn Provider>>,
    pub(crate) placing: Placing,
    pub(crate) calls: Calls,
}

/// Why a house could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store did not answer.
    #[error("the store cannot be read")]
    Store(#[from] store::Error),
}

impl Core {
    /// A core over these parts, with its read model filled.
    ///
    /// # Errors
    /// [`StartError`] when the store cannot be read.
    pub async fn open(
        store: Arc<Store>,
        providers: BTreeMap<ProviderId, Arc<dyn Provider>>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        settings: HouseSettings,
    ) -> Result<Arc<Self>, StartError> {
        let read_model = Arc::new(ReadModel::load(&store).await?);
        let installation = store.installation_id();
        let placing = Placing::default();
        Ok(Arc::new(Self {
            store,
            read_model,
            clock,
            random,
            installation,
            settings,
            providers,
            placing,
            calls: Calls::default(),
        }))
    }

    /// A provider by its name.
    pub(crate) fn provider(&self, id: &ProviderId) -> Result<&Arc<dyn Provider>, StepError> {
        self.providers.get(id).ok_or_else(|| StepError::Stuck {
            reason: format!("the provider {id} is not configured any more"),
            left: vec![format!("configure the provider {id} again, and resume")],
        })
    }

    /// All providers.
    pub fn providers(&self) -> &BTreeMap<ProviderId, Arc<dyn Provider>> {
        &self.providers
    }

    /// How guests of this provider get at their seeds, if they get any.
    pub(crate) fn seed_access(&self, provider: &ProviderId) -> SeedAccess {
        match self.providers.get(provider).map(|provider| provider.seed_access()) {
            Some(SeedAccess::Medium) => SeedAccess::Medium,
            _ if self.settings.metadata_url.is_some() => SeedAccess::Http,
            _ => SeedAccess::None,
        }
    }

    /// The medium with an instance's seed, for the action that puts it on a
    /// storage.
    pub(crate) async fn seed_medium(
        &self,
        instance: InstanceId,
    ) -> Result<Option<SeedMedium>, store::Error> {
        let Some(seed) = self.store.seed(instance).await? else { return Ok(None) };
        let documents = self.store.secret(seed.documents).await?;
        let documents: SeedDocuments = serde_json::from_str(documents.expose_secret())
            .map_err(|_| store::Error::Corrupt("the documents of a seed".to_owned()))?;
        Ok(render_medium(&documents).map(|bytes| SeedMedium(bytes.into())))
    }

    /// What planning knows about an instance: rows and the last look, no call.
    pub(crate) fn facts(&self, instance: &Instance, host: Option<&HostId>, mark: Mark) -> Facts {
        let seen_on = instance.observed.as_ref().map(|observed| &observed.host);
        let host = host.or(seen_on);
        let view = self.read_model.provider_view(&instance.provider);
        let key = self
            .providers
            .get(&instance.provider)
            .and_then(|provider| provider.guest_key(&instance.native));
        Facts {
            image: instance
                .spec
                .image
                .and_then(|id| self.read_model.image(id))
                .map(|image| (*image).clone()),
            host: host.and_then(|id| view.hosts.iter().find(|view| &view.id == id).cloned()),
            native: instance.native.clone(),
            guest: key.and_then(|key| view.guests.get(&key).cloned()),
            mark: Some(mark),
        }
    }

    /// The address of an instance's seed, for the action that tells the guest.
    pub(crate) async fn seed_url(
        &self,
        instance: InstanceId,
    ) -> Result<Option<SecretString>, store::Error> {
        let Some(base) = &self.settings.metadata_url else { return Ok(None) };
        let Some(seed) = self.store.seed(instance).await? else { return Ok(None) };
        let token = self.store.secret(seed.token).await?;
        Ok(Some(SecretString::from(format!("{base}{}/", token.expose_secret()))))
    }
}

/// What the doors see: the use cases.
pub struct House {
    pub(crate) core: Arc<Core>,
    pub(crate) verified: VerifiedTokens,
    pub(crate) refusals: Refusals,
    closing: CancellationToken,
}

impl House {
    /// The use cases over this core.
    pub fn new(core: Arc<Core>) -> Arc<Self> {
        Arc::new(Self {
            core,
            verified: VerifiedTokens::default(),
            refusals: Refusals::default(),
            closing: CancellationToken::new(),
        })
    }

    /// Asks everything that answers without an end to end.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Cancelled once the house is to close.
    pub fn closing(&self) -> CancellationToken {
        self.closing.clone()
    }

    /// The change sequence that reads reflect.
    pub fn sequence(&self) -> u64 {
        self.core.read_model.sequence()
    }

    /// What expires before this time expires soon: people are warned.
    pub fn expiring_before(&self) -> Timestamp {
        self.core.clock.now().plus(self.core.settings.expiry_warning)
    }

    /// Waits until reads reflect this change sequence.
    pub async fn wait_for_sequence(&self, sequence: u64) {
        self.core.read_model.wait_for(sequence).await;
    }
}
