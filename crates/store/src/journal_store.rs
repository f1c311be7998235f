//! The store as the engine sees it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use engine::{
    Appended, Commit, EpochId, HandleState, JournalStore, Kind, OpenHandle, StoreError, WorkflowId,
    WorkflowRecord,
};
use model::Timestamp;
use tokio::sync::Notify;

use crate::change::Change;
use crate::flow;
use crate::store::Store;

/// How long a process that does not ask any more keeps others from following
/// handles. However many processes there are, one asks the hypervisors.
const WATCH: Duration = Duration::from_secs(6);

#[async_trait]
impl JournalStore for Store {
    type Change = Change;

    async fn begin_epoch(&self, ttl: Duration) -> Result<EpochId, StoreError> {
        Ok(self.write(move |tx| Box::pin(flow::begin_epoch(tx, ttl))).await?)
    }

    async fn renew_epoch(&self, epoch: EpochId, ttl: Duration) -> Result<(), StoreError> {
        Ok(self.write(move |tx| Box::pin(flow::renew_epoch(tx, epoch, ttl))).await?)
    }

    async fn claim(
        &self,
        epoch: EpochId,
        kinds: &[Kind],
        most: usize,
    ) -> Result<Vec<WorkflowRecord>, StoreError> {
        if self.data_base.is_shared() {
            // Who only looks does not take a turn from those who write.
            let mut db = self.reader().await?;
            let now = self.data_base.now(&mut db, &*self.clock).await?;
            if flow::next_due(&mut db, now).await?.is_none_or(|at| at > now) {
                return Ok(Vec::new());
            }
        }
        let kinds = kinds.to_vec();
        let claimed = self
            .write(move |tx| Box::pin(async move { flow::claim(tx, epoch, &kinds, most).await }));
        Ok(claimed.await?)
    }

    async fn release(&self, epoch: EpochId, id: WorkflowId) -> Result<(), StoreError> {
        Ok(self.write(move |tx| Box::pin(flow::release(tx, epoch, id))).await?)
    }

    async fn append(
        &self,
        epoch: EpochId,
        id: WorkflowId,
        after: u64,
        commit: Commit<Change>,
    ) -> Result<Appended, StoreError> {
        Ok(self.write(move |tx| Box::pin(flow::append(tx, epoch, id, after, commit))).await?)
    }

    async fn open_handles(&self) -> Result<Vec<OpenHandle>, StoreError> {
        if !self.hold("handles", WATCH).await? {
            return Ok(Vec::new());
        }
        Ok(flow::open_handles(&mut self.reader().await?).await?)
    }

    async fn resolve(&self, ended: Vec<(OpenHandle, HandleState)>) -> Result<(), StoreError> {
        let resolved =
            self.write(move |tx| Box::pin(async move { flow::resolve(tx, &ended).await }));
        Ok(resolved.await?)
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let mut db = self.reader().await?;
        let now = self.data_base.now(&mut db, &*self.clock).await?;
        Ok(flow::next_due(&mut db, now).await?)
    }

    fn hint(&self) -> Arc<Notify> {
        self.writer.hint()
    }
}
