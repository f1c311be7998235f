//! Guests of ours: changes of state, moves, disappearances.

use std::collections::HashMap;

use model::{Fault, Instance, Observed, Ownership, Phase, Timestamp};
use provider::{Batch, Existence, GuestView};
use store::{Change, InstanceUpdate};

use super::Observer;

/// Only so many complete looks in a row that do not show a guest, and a direct
/// "does not exist", make its instance lost.
const LOOKS_UNTIL_LOST: i32 = 2;
/// How many looks later it is asked again for a guest that turned out to be there.
const ASK_AGAIN: i32 = 32;

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
                // Whoever has no label of ours may have taken its place.
                Some(guest) if is_doubtful(&instance, guest) => {
                    match self.missed(&instance, now).await {
                        Some(lost) => changes.push(lost),
                        None if instance.sequence <= before => {
                            changes.extend(seen(&instance, guest, now));
                        }
                        None => {}
                    }
                }
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
            Ok(Existence::Ours) => {
                self.memory().missing.insert(instance.id, LOOKS_UNTIL_LOST - ASK_AGAIN);
                return None;
            }
            Err(_) => return None,
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
}

/// Whether the guest that is shown may be another than ours.
fn is_doubtful(instance: &Instance, guest: &GuestView) -> bool {
    let labelled = guest.labelled || instance.ownership == Ownership::Observed;
    !labelled && instance.phase == Phase::Ready
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
