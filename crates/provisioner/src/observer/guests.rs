//! Guests: changes of state, moves, disappearances, and guests that nobody
//! claims.

use engine::{NewWorkflow, WorkflowId};
use model::{
    Fault, Instance, Observed, Operation, OperationId, OperationKind, OperationState, Phase,
    ProjectId, Timestamp,
};
use provider::{Batch, Existence, GuestView, Orphan};
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use store::{Change, InstanceUpdate, RetiredId, Start};

use super::Observer;
use crate::workflows::{CollectInput, collect_kind, guest_claim};

/// Only so many complete looks in a row that do not show a guest, and a direct
/// "does not exist", make its instance lost.
const LOOKS_UNTIL_LOST: u32 = 2;
/// How long the removal of a late guest may take.
const COLLECT_DEADLINE: Duration = Duration::from_secs(3600);

impl Observer {
    /// What the batch says of our instances. Rows that changed since the look
    /// began (`before`) know better than the batch.
    pub(super) async fn take_guests(&self, batch: &Batch, before: u64) -> Result<(), store::Error> {
        let Some(provider) = self.provider() else { return Ok(()) };
        let now = self.core.clock.now();
        let shown: HashMap<&String, &GuestView> =
            batch.guests.iter().map(|guest| (&guest.key, guest)).collect();
        let mut changes = Vec::new();
        for instance in self.core.read_model.of_provider(&self.provider) {
            let settled = matches!(instance.phase, Phase::Ready | Phase::Lost);
            let Some(key) = provider.guest_key(&instance.native).filter(|_| settled) else {
                continue;
            };
            match shown.get(&key).copied() {
                Some(guest) => {
                    self.memory().missing.remove(&instance.id);
                    if instance.phase == Phase::Lost {
                        changes.extend(self.found(&instance).await);
                    }
                    if instance.sequence <= before {
                        changes.extend(seen(&instance, guest, now));
                    }
                }
                None if batch.incomplete.is_none() && instance.phase == Phase::Ready => {
                    changes.extend(self.missed(&instance, now).await);
                }
                None => {}
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        self.core.store.commit(changes).await.map(drop)
    }

    async fn missed(&self, instance: &Instance, now: Timestamp) -> Option<Change> {
        let times = {
            let mut memory = self.memory();
            let times = memory.missing.entry(instance.id).or_default();
            *times += 1;
            *times
        };
        if times < LOOKS_UNTIL_LOST || instance.operation.is_some() {
            return None;
        }
        let mark = self.mark(instance);
        let message = match self.provider()?.exists(&instance.native, &mark).await {
            Ok(Existence::Gone) => "its guest does not exist any more",
            Ok(Existence::Foreign) => "another guest stands in its place",
            Ok(Existence::Ours) | Err(_) => return None,
        };
        tracing::warn!(instance = %instance.id, message, "lost");
        let fault = Fault { message: message.to_owned(), at: now, operation: None, stuck: false };
        let update = InstanceUpdate {
            phase: Some(Phase::Lost),
            fault: Some(Some(fault)),
            if_sequence: Some(instance.sequence),
            ..InstanceUpdate::default()
        };
        Some(Change::UpdateInstance { id: instance.id, update: Box::new(update) })
    }

    /// A lost instance whose guest is seen again, if it is the same guest.
    async fn found(&self, instance: &Instance) -> Option<Change> {
        let mark = self.mark(instance);
        match self.provider()?.exists(&instance.native, &mark).await {
            Ok(Existence::Ours) => {}
            _ => return None,
        }
        tracing::info!(instance = %instance.id, "found again");
        let update = InstanceUpdate {
            phase: Some(Phase::Ready),
            fault: Some(None),
            if_sequence: Some(instance.sequence),
            ..InstanceUpdate::default()
        };
        Some(Change::UpdateInstance { id: instance.id, update: Box::new(update) })
    }

    fn mark(&self, instance: &Instance) -> model::Mark {
        model::Mark {
            installation: self.core.installation,
            instance: instance.id,
            attempt: instance.attempt,
        }
    }

    /// Guests that no row claims: those at an id that we have retired are
    /// removed if they carry the mark of the attempt that had it; those with
    /// our label are reported.
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
        let present: HashSet<&String> = batch.guests.iter().map(|guest| &guest.key).collect();
        self.memory().orphans.retain(|key, _| present.contains(key));
        self.memory().strangers.retain(|key| present.contains(key));
        for guest in batch.guests.iter().filter(|guest| !ours.contains(&guest.key)) {
            let watched = retired.get(&guest.key);
            let stranger = self.memory().strangers.contains(&guest.key);
            if watched.is_none() && (stranger || !guest.labelled) {
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
                self.memory().strangers.insert(guest.key.clone());
                continue;
            };
            let mark = orphan.mark.to_string();
            // Its id is not the one that a row holds now (those were passed
            // over above), and it was retired under this very mark.
            if watched.is_some_and(|id| id.mark == orphan.mark) {
                self.collect(guest, orphan).await?;
            } else {
                tracing::warn!(guest = guest.key, mark, "an orphan: no row claims this guest");
                self.memory().orphans.insert(guest.key.clone(), format!("{} {mark}", guest.key));
            }
        }
        Ok(())
    }

    /// Where operations are listed whose instance is gone.
    fn house_project(&self) -> Result<ProjectId, store::Error> {
        "default".parse().map_err(|error| store::Error::Corrupt(format!("{error}")))
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
        let row = core.read_model.instance(orphan.mark.instance);
        let operation = Operation {
            id,
            kind: OperationKind::Collect,
            instance: orphan.mark.instance,
            instance_name: guest.name.clone(),
            project: match &row {
                Some(row) => row.project.clone(),
                None => self.house_project()?,
            },
            state: OperationState::Running,
            reason: None,
            left: Vec::new(),
            cancel_requested: false,
            asked_by: "house".to_owned(),
            created_at: core.clock.now(),
            ended_at: None,
            steps: Vec::new(),
        };
        let start = Start { workflow, operation: Some(operation), changes: Vec::new() };
        match core.store.start(start).await {
            // It is being removed already.
            Ok(_) | Err(store::Error::ClaimHeld { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Whether a guest has been started since the last look: then what waited for
/// that has come about.
fn starts(last: &Observed, guest: &GuestView) -> bool {
    guest.power == model::PowerState::Running && last.power == model::PowerState::Stopped
}

/// Only changes are written: counters and times stay in memory.
fn seen(instance: &Instance, guest: &GuestView, now: Timestamp) -> Option<Change> {
    let last = instance.observed.as_ref();
    let same = last.is_some_and(|last| last.power == guest.power && last.host == guest.host);
    if same || guest.power == model::PowerState::Unknown {
        return None;
    }
    let kept = last.filter(|_| guest.power == model::PowerState::Running);
    let observed = Observed {
        power: guest.power,
        host: guest.host.clone(),
        addresses: kept.map(|last| last.addresses.clone()).unwrap_or_default(),
        at: now,
        pending: last
            .filter(|last| !starts(last, guest))
            .map_or_else(Vec::new, |last| last.pending.clone()),
    };
    let update = InstanceUpdate {
        observed: Some(Some(observed)),
        if_sequence: Some(instance.sequence),
        ..InstanceUpdate::default()
    };
    Some(Change::UpdateInstance { id: instance.id, update: Box::new(update) })
}
