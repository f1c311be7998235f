//! A journal that stops at a given line, as if the process had been killed
//! right before or right after writing it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use engine::{
    Appended, Commit, EpochId, HandleState, JournalStore, Kind, OpenHandle, StoreError, WorkflowId,
    WorkflowRecord,
};
use model::Timestamp;
use model::time::BoxFuture;
use store::{Change, Store};
use tokio::sync::Notify;

/// Where the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before the line is written.
    Before,
    /// After it is written, before anybody hears of it.
    After,
}

/// Something that happens right after an append, before anybody hears of it.
pub type Interruption = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

/// A store whose user dies at one of its appends. Once dead it answers nothing
/// any more: its executor is fenced in every way.
pub struct CrashStore {
    inner: Arc<Store>,
    appends: AtomicU64,
    crash: Mutex<Option<(u64, Moment)>>,
    dead: AtomicBool,
    interruptions: Mutex<Vec<(u64, Interruption)>>,
}

impl CrashStore {
    /// A store that dies at append number `at` (from 1), or never.
    pub fn new(inner: Arc<Store>, crash: Option<(u64, Moment)>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            appends: AtomicU64::new(0),
            crash: Mutex::new(crash),
            dead: AtomicBool::new(false),
            interruptions: Mutex::default(),
        })
    }

    /// Lets something happen right after append number `at`.
    pub fn interrupt(&self, at: u64, interruption: Interruption) {
        let mut list = self.interruptions.lock().unwrap_or_else(PoisonError::into_inner);
        list.push((at, interruption));
    }

    fn interruption(&self, number: u64) -> Option<Interruption> {
        let mut list = self.interruptions.lock().unwrap_or_else(PoisonError::into_inner);
        let index = list.iter().position(|(at, _)| *at == number)?;
        Some(list.swap_remove(index).1)
    }

    /// How many appends were asked for.
    pub fn appends(&self) -> u64 {
        self.appends.load(Ordering::SeqCst)
    }

    /// Whether the process is dead.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    fn alive(&self) -> Result<(), StoreError> {
        if self.is_dead() { Err(StoreError::Fenced) } else { Ok(()) }
    }
}

#[async_trait]
impl JournalStore for CrashStore {
    type Change = Change;

    async fn begin_epoch(&self, ttl: Duration) -> Result<EpochId, StoreError> {
        self.inner.begin_epoch(ttl).await
    }

    async fn renew_epoch(&self, epoch: EpochId, ttl: Duration) -> Result<(), StoreError> {
        self.alive()?;
        self.inner.renew_epoch(epoch, ttl).await
    }

    async fn claim(
        &self,
        epoch: EpochId,
        kinds: &[Kind],
        most: usize,
    ) -> Result<Vec<WorkflowRecord>, StoreError> {
        self.alive()?;
        self.inner.claim(epoch, kinds, most).await
    }

    async fn release(&self, epoch: EpochId, id: WorkflowId) -> Result<(), StoreError> {
        self.alive()?;
        self.inner.release(epoch, id).await
    }

    async fn append(
        &self,
        epoch: EpochId,
        id: WorkflowId,
        after: u64,
        commit: Commit<Change>,
    ) -> Result<Appended, StoreError> {
        self.alive()?;
        let number = self.appends.fetch_add(1, Ordering::SeqCst) + 1;
        let crash = *self.crash.lock().unwrap_or_else(PoisonError::into_inner);
        match crash.filter(|(at, _)| *at == number).map(|(_, moment)| moment) {
            None => {
                let appended = self.inner.append(epoch, id, after, commit).await?;
                if let Some(interruption) = self.interruption(number) {
                    interruption().await;
                }
                Ok(appended)
            }
            Some(moment) => {
                if moment == Moment::After {
                    self.inner.append(epoch, id, after, commit).await?;
                }
                self.dead.store(true, Ordering::SeqCst);
                Err(StoreError::Fenced)
            }
        }
    }

    async fn open_handles(&self) -> Result<Vec<OpenHandle>, StoreError> {
        self.alive()?;
        self.inner.open_handles().await
    }

    async fn resolve(&self, ended: Vec<(OpenHandle, HandleState)>) -> Result<(), StoreError> {
        self.alive()?;
        self.inner.resolve(ended).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.alive()?;
        self.inner.next_due().await
    }

    fn hint(&self) -> Arc<Notify> {
        self.inner.hint()
    }
}
