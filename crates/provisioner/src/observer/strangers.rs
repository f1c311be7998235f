//! Guests that no row claims: one that appeared late is removed, and others with
//! our mark are written down for the report on orphans.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use engine::{NewWorkflow, WorkflowId};
use model::OperationId;
use provider::{Batch, GuestView, Orphan};
use store::{Change, RetiredId, Start};

use super::Observer;
use crate::workflows::{CollectInput, collect_kind, collection, guest_claim};

/// How long the removal of a late guest may take.
const COLLECT_DEADLINE: Duration = Duration::from_secs(3600);
/// How often it is read again whose guest an orphan is.
const READ_AGAIN: Duration = Duration::from_secs(60);

impl Observer {
    /// Guests that no row claims: those at an id that we have retired are
    /// removed if they carry the mark of the attempt that had it; those with
    /// our mark are written down.
    pub(super) async fn take_strangers(&self, batch: &Batch) -> Result<(), store::Error> {
        let Some(provider) = self.provider() else { return Ok(()) };
        // What has been written since the look began is claimed as well.
        self.core.read_model.catch_up(&self.core.store).await?;
        let rows = self.core.read_model.of_provider(&self.provider);
        let ours: HashSet<String> =
            rows.iter().filter_map(|row| provider.guest_key(&row.native)).collect();
        let retired =
            self.core.store.retired_ids(&format!("{}/{}/", provider.kind(), self.provider)).await?;
        let retired: HashMap<String, RetiredId> =
            retired.into_iter().map(|id| (id.value.to_string(), id)).collect();
        let mut known = self.core.store.orphans().await?;
        known.retain(|orphan| orphan.provider == self.provider);
        let mut changes = self.no_orphans_any_more(batch, &ours, &known);
        for guest in batch.guests.iter().filter(|guest| !ours.contains(&guest.key)) {
            let watched = retired.get(&guest.key);
            if watched.is_none() && !self.is_due(guest) {
                continue;
            }
            let orphan = match provider.inspect(&guest.key).await {
                Ok(orphan) => orphan,
                Err(error) => {
                    tracing::info!(guest = guest.key, %error, "cannot read whose guest it is");
                    continue;
                }
            };
            let of_us = orphan.filter(|orphan| orphan.mark.installation == self.core.installation);
            let Some(orphan) = of_us else {
                changes.extend(self.is_a_stranger(guest));
                continue;
            };
            // Its id is not the one that a row holds now (those were passed
            // over above), and it was retired under this very mark.
            if watched.is_some_and(|id| id.mark == orphan.mark) {
                self.collect(guest, orphan).await?;
            } else {
                changes.extend(self.is_an_orphan(guest, orphan, &known));
            }
        }
        match changes.is_empty() {
            true => Ok(()),
            false => self.core.store.commit(changes).await.map(drop),
        }
    }

    /// Whether it is to be read whose guest this is.
    fn is_due(&self, guest: &GuestView) -> bool {
        let memory = self.memory();
        let now = self.core.clock.monotonic();
        let due = memory.orphans.get(&guest.key).is_none_or(|at| *at <= now);
        guest.labelled && due && !memory.strangers.contains(&guest.key)
    }

    /// Orphans that a row claims now, or that a whole look does not show.
    fn no_orphans_any_more(
        &self,
        batch: &Batch,
        ours: &HashSet<String>,
        known: &[store::Orphan],
    ) -> Vec<Change> {
        let present: HashSet<&String> = batch.guests.iter().map(|guest| &guest.key).collect();
        let whole = batch.incomplete.is_none();
        let over = known.iter().filter(|orphan| {
            ours.contains(&orphan.guest) || (whole && !present.contains(&orphan.guest))
        });
        let over = over.map(|orphan| self.forget(orphan.guest.clone())).collect();
        let mut memory = self.memory();
        memory.orphans.retain(|key, _| present.contains(key) && !ours.contains(key));
        memory.strangers.retain(|key| present.contains(key));
        over
    }

    fn forget(&self, guest: String) -> Change {
        Change::RemoveOrphan { provider: self.provider.clone(), guest }
    }

    fn is_a_stranger(&self, guest: &GuestView) -> Option<Change> {
        let mut memory = self.memory();
        memory.strangers.insert(guest.key.clone());
        memory.orphans.remove(&guest.key).map(|_| self.forget(guest.key.clone()))
    }

    fn is_an_orphan(
        &self,
        guest: &GuestView,
        orphan: Orphan,
        known: &[store::Orphan],
    ) -> Option<Change> {
        let next = self.core.clock.monotonic() + READ_AGAIN;
        if self.memory().orphans.insert(guest.key.clone(), next).is_none() {
            let (guest, mark) = (&guest.key, &orphan.mark);
            tracing::warn!(guest, %mark, "an orphan: no row claims this guest");
        }
        let known = known.iter().find(|known| known.guest == guest.key);
        let found = store::Orphan {
            provider: self.provider.clone(),
            guest: guest.key.clone(),
            name: guest.name.clone(),
            host: guest.host.clone(),
            mark: orphan.mark,
            native: orphan.native,
            found_at: known.map_or(self.core.clock.now(), |known| known.found_at),
        };
        (known != Some(&found)).then(|| Change::PutOrphan(Box::new(found)))
    }

    async fn collect(&self, guest: &GuestView, orphan: Orphan) -> Result<(), store::Error> {
        tracing::warn!(guest = guest.key, mark = %orphan.mark, "a guest appeared late: removing it");
        let core = &self.core;
        let input = CollectInput {
            provider: self.provider.clone(),
            mark: orphan.mark,
            native: orphan.native,
        };
        let input = serde_json::to_value(&input)
            .map_err(|error| store::Error::Corrupt(error.to_string()))?;
        let id = OperationId::generate(&*core.clock, &*core.random);
        let workflow = NewWorkflow {
            id: WorkflowId::from(id),
            kind: collect_kind(),
            input,
            deadline: core.clock.now().plus(COLLECT_DEADLINE),
            claim: Some(guest_claim(&self.provider, &guest.key)),
            supersede: false,
        };
        let operation = collection(core, id, &orphan.mark, &guest.name, "house")
            .map_err(|error| store::Error::Corrupt(error.to_string()))?;
        let start = Start { workflow, operation: Some(operation), changes: Vec::new() };
        match core.store.start(start).await {
            // It is being removed already.
            Ok(_) | Err(store::Error::ClaimHeld { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
