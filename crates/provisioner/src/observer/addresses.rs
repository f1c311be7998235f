//! Addresses, asked of the guests: at once after a start, then with growing
//! pauses, then rarely, and never more than a few at a time.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use model::{Address, Instance, InstanceId, Phase, PowerState};
use store::{Change, InstanceUpdate};

use super::Observer;

/// How many guests are asked at once.
const AT_ONCE: usize = 8;
/// How many guests are asked in one round.
const ROUND: usize = 64;
/// How long one guest is waited for, by real time: nothing else depends on it.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause after the first unanswered question; it grows by half each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause while a guest has not answered.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The pause once a guest has answered with an address.
const KNOWN_PAUSE: Duration = Duration::from_secs(300);

/// When a guest is asked next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    next: Duration,
    pause: Duration,
}

impl Observer {
    /// Asks the guests that are due.
    pub async fn ask_addresses(&self) {
        if !self.is_mine().await {
            return;
        }
        let now = self.core.clock.monotonic();
        let running = |instance: &Arc<Instance>| {
            instance.phase == Phase::Ready
                && instance.observed.as_ref().is_some_and(|seen| seen.power == PowerState::Running)
        };
        let instances = self.core.read_model.of_provider(&self.provider);
        let due: Vec<Arc<Instance>> = {
            let mut memory = self.memory();
            let alive: HashSet<_> =
                instances.iter().filter(|row| running(row)).map(|row| row.id).collect();
            memory.asked.retain(|id, _| alive.contains(id));
            let due =
                |row: &&Arc<Instance>| memory.asked.get(&row.id).is_none_or(|a| a.next <= now);
            let due = instances.iter().filter(|row| running(row)).filter(due);
            let mut due: Vec<Arc<Instance>> = due.cloned().collect();
            // Who was never asked comes first, and a round has an end.
            due.sort_by_key(|row| memory.asked.contains_key(&row.id));
            due.truncate(ROUND);
            due
        };
        // Each answer is written down as it comes: a guest that does not answer
        // holds up nobody else's.
        stream::iter(due).for_each_concurrent(AT_ONCE, |row| self.ask_and_write(row)).await;
    }

    async fn ask_and_write(&self, row: Arc<Instance>) {
        let Some(addresses) = self.ask(&row).await else { return };
        if let Some(change) = difference(&row, addresses) {
            self.write_addresses(row.id, change).await;
        }
        self.has_booted(&row).await;
    }

    async fn write_addresses(&self, id: InstanceId, change: Change) {
        let written = self.core.store.commit(vec![change]).await;
        if let Err(error) = written {
            tracing::warn!(%error, "cannot write down addresses; asking again later");
            self.memory().asked.remove(&id);
        }
        if let Err(error) = self.core.read_model.catch_up(&self.core.store).await {
            tracing::warn!(%error, "the read model cannot follow");
        }
    }

    /// What the guest tells, if it tells an address.
    async fn ask(&self, instance: &Instance) -> Option<Vec<Address>> {
        let asked = self.provider()?.addresses(&instance.native);
        let answer = match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => answer.filter(|addresses| !addresses.is_empty()),
            Err(_) => None,
            Ok(Err(error)) => {
                tracing::debug!(instance = %instance.id, %error, "cannot ask for addresses");
                None
            }
        };
        let now = self.core.clock.monotonic();
        let mut memory = self.memory();
        let last = memory.asked.get(&instance.id).map(|asked| asked.pause);
        let pause = match (&answer, last) {
            (Some(_), _) => KNOWN_PAUSE,
            (None, Some(last)) => (last * 3 / 2).clamp(FIRST_PAUSE, LONGEST_PAUSE),
            (None, None) => FIRST_PAUSE,
        };
        memory.asked.insert(instance.id, Asked { next: now + pause, pause });
        drop(memory);
        answer
    }
}

/// What to write down of what a guest has told.
fn difference(instance: &Instance, addresses: Vec<Address>) -> Option<Change> {
    let seen = instance.observed.as_ref()?;
    if seen.addresses == addresses {
        return None;
    }
    let update = InstanceUpdate {
        addresses: Some(addresses),
        if_sequence: Some(instance.sequence),
        ..InstanceUpdate::default()
    };
    Some(Change::UpdateInstance { id: instance.id, update: Box::new(update) })
}
