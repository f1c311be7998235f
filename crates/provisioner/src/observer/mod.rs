//! Looking at a provider: bulk lists every few seconds, addresses from the
//! guests, and what the difference to the rows means.
//!
//! Nothing is deleted from the store because it was not seen.

mod addresses;
mod guests;
mod images;
mod seeds;
mod strangers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{InstanceId, ProviderId, Sleep};
use provider::{Batch, Provider};
use tokio_util::sync::CancellationToken;

use crate::house::Core;
use crate::read_model::ProviderView;
use addresses::Asked;

/// How often a provider is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// How long a process that does not look any more keeps others from writing down
/// what they see.
const HELD_FOR: Duration = Duration::from_secs(15);
/// How often it is checked whose addresses are due.
const ADDRESSES_EVERY: Duration = Duration::from_millis(500);

/// What an observer remembers between two looks.
#[derive(Default)]
struct Memory {
    /// How many complete batches in a row did not show an instance as it should
    /// be; below zero once its guest turned out to be there.
    missing: BTreeMap<InstanceId, i32>,
    /// When each guest's addresses are asked for next.
    asked: BTreeMap<InstanceId, Asked>,
    /// When each guest with our mark that no row claims is read again, by key.
    orphans: BTreeMap<String, Duration>,
    /// Guests whose mark has been read and that are nobody's concern.
    strangers: BTreeSet<String>,
}

/// Looks at one provider.
pub struct Observer {
    core: Arc<Core>,
    provider: ProviderId,
    memory: Mutex<Memory>,
}

impl Observer {
    /// An observer of this provider.
    pub fn new(core: Arc<Core>, provider: ProviderId) -> Self {
        Self { core, provider, memory: Mutex::default() }
    }

    /// Looks until `stop`.
    pub async fn run(&self, sleep: Arc<dyn Sleep>, stop: CancellationToken) {
        let looks = async {
            while !stop.is_cancelled() {
                self.look().await;
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = sleep.sleep(LOOK_EVERY) => {}
                }
            }
        };
        let addresses = async {
            while !stop.is_cancelled() {
                self.ask_addresses().await;
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = sleep.sleep(ADDRESSES_EVERY) => {}
                }
            }
        };
        tokio::join!(looks, addresses);
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn provider(&self) -> Option<&Arc<dyn Provider>> {
        self.core.providers().get(&self.provider)
    }

    /// Whether it is this process that writes down what is seen, and asks guests.
    /// The others look for themselves alone: to know where there is room.
    async fn is_mine(&self) -> bool {
        let name = format!("observer/{}", self.provider);
        self.core.store.hold(&name, HELD_FOR).await.unwrap_or_else(|error| {
            tracing::debug!(provider = %self.provider, %error, "who observes is not known");
            false
        })
    }

    /// Looks once. What cannot be seen now is seen later.
    pub async fn look(&self) {
        let Some(provider) = self.provider() else { return };
        let before = self.core.read_model.sequence();
        let batch = match provider.observe().await {
            Ok(batch) => batch,
            Err(error) => {
                tracing::warn!(provider = %self.provider, %error, "cannot look at the provider");
                self.set_unseen(&error.to_string());
                return;
            }
        };
        if let Err(error) = self.take(&batch, before).await {
            tracing::warn!(provider = %self.provider, %error, "cannot write down what was seen");
        }
    }

    /// The last view stays; only the reason why it is old is noted.
    fn set_unseen(&self, reason: &str) {
        let view = self.core.read_model.provider_view(&self.provider);
        let view = ProviderView { incomplete: Some(reason.to_owned()), ..(*view).clone() };
        self.core.read_model.set_provider_view(&self.provider, view);
    }

    async fn take(&self, batch: &Batch, before: u64) -> Result<(), store::Error> {
        let guests = batch.guests.iter().map(|guest| (guest.key.clone(), guest.clone()));
        let last = self.core.read_model.provider_view(&self.provider);
        let now = Some(self.core.clock.now());
        let view = ProviderView {
            seen: true,
            complete_at: if batch.incomplete.is_none() { now } else { last.complete_at },
            incomplete: batch.incomplete.clone(),
            hosts: batch.hosts.clone(),
            guests: guests.collect(),
            security_groups: batch.security_groups.clone().or(last.security_groups.clone()),
        };
        self.core.read_model.set_provider_view(&self.provider, view);
        if !self.is_mine().await {
            return Ok(());
        }
        self.take_images(batch).await;
        self.take_guests(batch, before).await?;
        self.take_strangers(batch).await?;
        self.core.read_model.catch_up(&self.core.store).await
    }
}
