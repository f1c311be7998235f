//! Taking up workflows, carrying them forward, and following their handles.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use futures::stream::{FuturesUnordered, StreamExt};
use model::time::BoxFuture;
use model::{Clock, Sleep};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::advance::Run;
use crate::lease::Lease;
use crate::registry::Registry;
use crate::store::{EpochId, JournalStore, OpenHandle, StoreError, WorkflowRecord};
use crate::workflow::WorkflowId;

/// How far something outside is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum HandleState {
    /// Still going.
    Running {
        /// Percent done, where known.
        percent: Option<u8>,
    },
    /// Ended well.
    Ok,
    /// Ended badly.
    Failed {
        /// What it said.
        text: String,
    },
    /// Nobody knows it any more.
    Lost,
}

impl fmt::Display for HandleState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running { .. } => f.write_str("running"),
            Self::Ok => f.write_str("ended well"),
            Self::Failed { text } => write!(f, "failed ({text})"),
            Self::Lost => f.write_str("unknown to its host"),
        }
    }
}

/// Asks about handles.
#[async_trait]
pub trait Watch: Send + Sync + 'static {
    /// How far the handles of this group are, in their order, with one call
    /// however many there are.
    ///
    /// # Errors
    /// A text when the group cannot be asked now; it is asked again later.
    async fn poll(&self, group: &str, handles: &[Value]) -> Result<Vec<HandleState>, String>;
}

/// The sleeper of the tokio runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioSleep;

impl Sleep for TokioSleep {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// How an executor works.
#[derive(Clone, Copy, Debug)]
pub struct ExecutorSettings {
    /// How long an epoch lasts without renewal. Longer than the longest request
    /// plus the renewal interval.
    pub lease: Duration,
    /// How often it is renewed.
    pub renew_every: Duration,
    /// How many workflows are carried forward at once.
    pub most_running: usize,
    /// How long taking back may take before the workflow is stuck.
    pub unwind_deadline: Duration,
    /// The shortest and the longest pause between two polls of one group.
    pub poll_every: (Duration, Duration),
    /// How often the store is asked for work when nothing hints at any.
    pub idle: Duration,
}

impl Default for ExecutorSettings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(120),
            renew_every: Duration::from_secs(20),
            most_running: 256,
            unwind_deadline: Duration::from_secs(1800),
            poll_every: (Duration::from_millis(100), Duration::from_secs(2)),
            idle: Duration::from_secs(2),
        }
    }
}

/// What every run of a workflow shares.
pub(crate) struct Shared<S: JournalStore> {
    pub(crate) store: Arc<S>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: ExecutorSettings,
    pub(crate) lease: Lease,
}

impl<S: JournalStore> Shared<S> {
    pub(crate) fn epoch(&self) -> EpochId {
        self.lease.epoch()
    }

    /// Makes sure that a request that may take `timeout` can be sent.
    pub(crate) async fn ensure_lease(&self, timeout: Duration) -> Result<(), StoreError> {
        if self.lease.allows(self.clock.monotonic(), timeout) {
            return Ok(());
        }
        self.renew().await?;
        if self.lease.allows(self.clock.monotonic(), timeout) {
            return Ok(());
        }
        let (ttl, timeout) = (self.lease.ttl(), timeout);
        Err(StoreError::Unavailable(format!(
            "a lease of {ttl:?} leaves no time for a request of up to {timeout:?}"
        )))
    }

    async fn renew(&self) -> Result<(), StoreError> {
        if self.lease.is_lost() {
            return Err(StoreError::Fenced);
        }
        let asked_at = self.clock.monotonic();
        match self.store.renew_epoch(self.epoch(), self.lease.ttl()).await {
            Ok(()) => {
                self.lease.renew(asked_at);
                Ok(())
            }
            Err(error) => {
                if matches!(error, StoreError::Fenced) {
                    self.lease.lose();
                }
                Err(error)
            }
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct GroupPoll {
    polled_at: Option<Duration>,
}

/// Takes up workflows and carries them forward.
pub struct Executor<S: JournalStore> {
    shared: Arc<Shared<S>>,
    registry: Arc<Registry<S::Change>>,
    watch: Arc<dyn Watch>,
    sleep: Arc<dyn Sleep>,
    groups: Mutex<BTreeMap<String, GroupPoll>>,
    percents: Arc<Mutex<BTreeMap<WorkflowId, u8>>>,
    /// Workflows whose journal could not be written: they are given back when
    /// the store answers again.
    dropped: Arc<Mutex<Vec<WorkflowId>>>,
}

impl<S: JournalStore> Executor<S> {
    /// Begins an epoch.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn begin(
        store: Arc<S>,
        registry: Arc<Registry<S::Change>>,
        watch: Arc<dyn Watch>,
        clock: Arc<dyn Clock>,
        sleep: Arc<dyn Sleep>,
        settings: ExecutorSettings,
    ) -> Result<Self, StoreError> {
        let asked_at = clock.monotonic();
        let epoch = store.begin_epoch(settings.lease).await?;
        let lease = Lease::begun(epoch, settings.lease, asked_at);
        let shared = Arc::new(Shared { store, clock, settings, lease });
        Ok(Self {
            shared,
            registry,
            watch,
            sleep,
            groups: Mutex::default(),
            percents: Arc::default(),
            dropped: Arc::default(),
        })
    }

    /// The progress that the provider last reported for a workflow's handle.
    pub fn percents(&self) -> Arc<Mutex<BTreeMap<WorkflowId, u8>>> {
        Arc::clone(&self.percents)
    }

    /// Carries workflows forward and follows their handles until `stop`, then
    /// lets those in hand come to their next rest.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when another executor has taken over.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), StoreError> {
        let polling = stop.child_token();
        let (worked, ()) = tokio::join!(
            async {
                let worked = self.work(&stop).await;
                polling.cancel();
                worked
            },
            self.follow(&polling),
        );
        worked
    }

    async fn work(&self, stop: &CancellationToken) -> Result<(), StoreError> {
        let mut running = JoinSet::new();
        let hint = self.shared.store.hint();
        let mut outcome = Ok(());
        while !stop.is_cancelled() && outcome.is_ok() {
            let hinted = hint.notified();
            tokio::pin!(hinted);
            hinted.as_mut().enable();
            let full = self.take_up(&mut running).await;
            let pause = if full { self.shared.settings.idle } else { self.pause().await };
            tokio::select! {
                () = stop.cancelled() => {}
                () = &mut hinted, if !full => {}
                Some(_) = running.join_next(), if full => {}
                () = self.sleep.sleep(pause) => {}
            }
            while running.try_join_next().is_some() {}
            outcome = self.keep_lease().await;
        }
        while running.join_next().await.is_some() {
            if let Err(error) = self.keep_lease().await {
                tracing::warn!(%error, "lost the lease while stopping");
            }
        }
        outcome
    }

    /// Polls every group whose time has come. A group that does not answer
    /// holds up nobody else.
    async fn follow(&self, stop: &CancellationToken) {
        let mut polls = FuturesUnordered::new();
        let mut asking = BTreeSet::new();
        let hint = self.shared.store.hint();
        while !stop.is_cancelled() {
            let hinted = hint.notified();
            tokio::pin!(hinted);
            hinted.as_mut().enable();
            let due = self.due_groups(&asking).await;
            for (group, handles) in due {
                asking.insert(group.clone());
                polls.push(async {
                    let name = group.clone();
                    (name, self.poll_group(group, handles).await)
                });
            }
            let settings = &self.shared.settings;
            let idle = lock(&self.groups).is_empty();
            let pause = if idle { settings.idle } else { settings.poll_every.0 };
            tokio::select! {
                () = stop.cancelled() => {}
                () = &mut hinted, if idle => {}
                Some((group, ended)) = polls.next(), if !polls.is_empty() => {
                    asking.remove(&group);
                    self.write_ended(ended).await;
                }
                () = self.sleep.sleep(pause) => {}
            }
        }
    }

    /// Takes up what is due. Whether there may be more than there is room for.
    async fn take_up(&self, running: &mut JoinSet<()>) -> bool {
        let room = self.shared.settings.most_running.saturating_sub(running.len());
        if room == 0 {
            return true;
        }
        for record in self.claim(room).await {
            let (shared, registry) = (Arc::clone(&self.shared), Arc::clone(&self.registry));
            let (dropped, percents) = (Arc::clone(&self.dropped), Arc::clone(&self.percents));
            running.spawn(async move {
                lock(&percents).remove(&record.id);
                carry(&shared, &registry, record, &dropped).await;
            });
        }
        running.len() >= self.shared.settings.most_running
    }

    /// Carries everything that is due now forward, one workflow after the
    /// other, until nothing is due; then polls every handle once. Whether
    /// anything was done. For tests, which advance the clock themselves.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not answer.
    pub async fn drive(&self) -> Result<bool, StoreError> {
        let mut busy = false;
        self.keep_lease().await?;
        loop {
            let claimed = self.claim_or_fail(1).await?;
            if claimed.is_empty() {
                break;
            }
            busy = true;
            for record in claimed {
                carry(&self.shared, &self.registry, record, &self.dropped).await;
                if self.shared.lease.is_lost() {
                    return Err(StoreError::Fenced);
                }
            }
        }
        lock(&self.groups).clear();
        Ok(self.poll_all().await || busy)
    }

    /// Renews the lease when it is time.
    async fn keep_lease(&self) -> Result<(), StoreError> {
        let settings = &self.shared.settings;
        let left = self.shared.lease.left(self.shared.clock.monotonic());
        if left > settings.lease.saturating_sub(settings.renew_every) {
            return Ok(());
        }
        match self.shared.renew().await {
            Err(StoreError::Fenced) => Err(StoreError::Fenced),
            Err(error) => {
                tracing::warn!(%error, "cannot renew the lease; trying again");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn claim(&self, most: usize) -> Vec<WorkflowRecord> {
        self.claim_or_fail(most).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot take up workflows; trying again");
            Vec::new()
        })
    }

    async fn claim_or_fail(&self, most: usize) -> Result<Vec<WorkflowRecord>, StoreError> {
        let (store, epoch) = (&self.shared.store, self.shared.epoch());
        let dropped = std::mem::take(&mut *lock(&self.dropped));
        for (index, id) in dropped.iter().enumerate() {
            if let Err(error) = store.release(epoch, *id).await {
                lock(&self.dropped).extend_from_slice(&dropped[index..]);
                return Err(error);
            }
        }
        store.claim(epoch, &self.registry.kinds(), most).await
    }

    /// Polls every group once. Whether a handle has ended.
    async fn poll_all(&self) -> bool {
        let mut ended = Vec::new();
        for (group, handles) in self.due_groups(&BTreeSet::new()).await {
            ended.extend(self.poll_group(group, handles).await);
        }
        self.write_ended(ended).await
    }

    async fn write_ended(&self, ended: Vec<(OpenHandle, HandleState)>) -> bool {
        if ended.is_empty() {
            return false;
        }
        match self.shared.store.resolve(ended).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "cannot write down what has ended; trying again");
                false
            }
        }
    }

    /// The groups whose time has come, except those that are being asked.
    async fn due_groups(&self, asking: &BTreeSet<String>) -> BTreeMap<String, Vec<OpenHandle>> {
        let mut groups: BTreeMap<String, Vec<OpenHandle>> = BTreeMap::new();
        match self.shared.store.open_handles().await {
            Ok(open) => {
                for handle in open {
                    groups.entry(handle.group.clone()).or_default().push(handle);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read the open handles; trying again");
                return groups;
            }
        }
        lock(&self.groups).retain(|group, _| groups.contains_key(group));
        let now = self.shared.clock.monotonic();
        groups.retain(|group, handles| {
            !asking.contains(group) && self.poll_is_due(group, handles, now)
        });
        groups
    }

    /// A young handle is asked about often, an old one rarely: the pause is a
    /// tenth of the age of the youngest.
    fn poll_is_due(&self, group: &str, handles: &[OpenHandle], now: Duration) -> bool {
        let (least, most) = self.shared.settings.poll_every;
        let wall = self.shared.clock.now();
        let youngest = handles.iter().map(|handle| wall.since(handle.since)).min();
        let pause = (youngest.unwrap_or_default() / 10).clamp(least, most);
        let mut groups = lock(&self.groups);
        let state = groups.entry(group.to_owned()).or_default();
        let due = state.polled_at.is_none_or(|at| now.saturating_sub(at) >= pause);
        if due {
            state.polled_at = Some(now);
        }
        due
    }

    async fn poll_group(
        &self,
        group: String,
        handles: Vec<OpenHandle>,
    ) -> Vec<(OpenHandle, HandleState)> {
        let asked: Vec<Value> = handles.iter().map(|open| open.handle.clone()).collect();
        let states = match self.watch.poll(&group, &asked).await {
            Ok(states) if states.len() == asked.len() => states,
            Ok(states) => {
                let (asked, got) = (asked.len(), states.len());
                tracing::error!(group, asked, got, "a poll answered for another number of handles");
                return Vec::new();
            }
            Err(error) => {
                tracing::info!(group, error, "cannot poll; trying again");
                return Vec::new();
            }
        };
        let mut ended = Vec::new();
        for (open, state) in handles.into_iter().zip(states) {
            match state {
                HandleState::Running { percent } => {
                    if let Some(percent) = percent {
                        lock(&self.percents).insert(open.workflow, percent);
                    }
                }
                state => ended.push((open, state)),
            }
        }
        ended
    }

    /// How long there will be nothing to do unless somebody hints.
    async fn pause(&self) -> Duration {
        let settings = &self.shared.settings;
        match self.shared.store.next_due().await {
            Ok(Some(at)) => at.since(self.shared.clock.now()).min(settings.idle),
            Ok(None) | Err(_) => settings.idle,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Carries one workflow forward until it rests. What cannot be written down is
/// dropped: whoever takes it up next reads back what has happened.
async fn carry<S: JournalStore>(
    shared: &Shared<S>,
    registry: &Registry<S::Change>,
    record: WorkflowRecord,
    dropped: &Mutex<Vec<WorkflowId>>,
) {
    let id = record.id;
    let Some(workflow) = registry.get(&record.kind) else {
        tracing::error!(workflow = %id, kind = %record.kind, "claimed a workflow of unknown kind");
        lock(dropped).push(id);
        return;
    };
    let run = Run::new(shared, Arc::clone(workflow), record).run();
    let Ok(ran) = AssertUnwindSafe(run).catch_unwind().await else {
        tracing::error!(workflow = %id, "a step panicked; it will be taken up again");
        lock(dropped).push(id);
        return;
    };
    match ran {
        Ok(()) => {}
        Err(StoreError::Fenced) => {
            tracing::warn!(workflow = %id, "another executor has taken over");
        }
        Err(error) => {
            tracing::warn!(workflow = %id, %error, "put aside; it will be taken up again");
            lock(dropped).push(id);
        }
    }
}
