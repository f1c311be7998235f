//! What the engine needs of a store.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::Timestamp;
use serde_json::Value;
use tokio::sync::Notify;

use crate::executor::HandleState;
use crate::journal::{Entry, Spawn, Wait, WaitResult};
use crate::workflow::{Kind, Limit, WorkflowId};

/// An executor's life. All its leases end with it; every append is checked
/// against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EpochId(pub i64);

/// Why the store did not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another executor has taken over: write nothing, send nothing.
    #[error("another executor has taken over")]
    Fenced,
    /// The store is away or busy: try again.
    #[error("the store is away: {0}")]
    Unavailable(String),
    /// Something that was read makes no sense.
    #[error("the store holds something that makes no sense: {0}")]
    Corrupt(String),
}

/// A workflow to begin.
#[derive(Clone, Debug, PartialEq)]
pub struct NewWorkflow {
    /// Its id.
    pub id: WorkflowId,
    /// What it is.
    pub kind: Kind,
    /// Its input.
    pub input: Value,
    /// When it must have ended.
    pub deadline: Timestamp,
    /// The resource that it changes; at most one workflow changes it at a time.
    pub claim: Option<String>,
    /// Whether it takes the claim over from whoever has it: the holder is
    /// cancelled and this one begins when the holder has ended or is stuck.
    pub supersede: bool,
}

/// A journal line with its number and time.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Its number within the workflow, from 1.
    pub sequence: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What it says.
    pub entry: Entry,
}

/// A workflow as it is in the store.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkflowRecord {
    /// Its id.
    pub id: WorkflowId,
    /// What it is.
    pub kind: Kind,
    /// Its input.
    pub input: Value,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it must have ended.
    pub deadline: Timestamp,
    /// Whether a cancel was asked for.
    pub cancel_requested: bool,
    /// What ended its wait, if something did.
    pub wait_result: Option<WaitResult>,
    /// Its journal.
    pub entries: Vec<Recorded>,
}

/// What becomes of a workflow with an append.
#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    /// The executor goes on with it.
    Running,
    /// It is to be taken up at this time.
    RunAt(Timestamp),
    /// It waits; it is taken up when the wait ends, at `until` at the latest.
    Waiting {
        /// For what.
        wait: Wait,
        /// The latest time.
        until: Timestamp,
    },
    /// It is stuck: keeps its claim and waits for somebody.
    Stuck,
    /// It has ended: its claim is free.
    Ended,
}

/// Everything that one append commits, in one transaction.
#[derive(Debug)]
pub struct Commit<C> {
    /// The journal lines.
    pub entries: Vec<Entry>,
    /// The changes of the step.
    pub changes: Vec<C>,
    /// What becomes of the workflow.
    pub status: Status,
    /// Limits to take; without room nothing is committed.
    pub acquire: Vec<Limit>,
    /// Whether the limits that this workflow holds are given back.
    pub release: bool,
    /// Children to begin.
    pub spawn: Option<Spawn>,
    /// Whether a cancel is still possible after this.
    pub cancellable: bool,
    /// Whether a cancel that was asked for meanwhile stops this append.
    pub unless_cancelled: bool,
}

/// What an append came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// Written.
    Written {
        /// Whether a cancel has been asked for.
        cancel_requested: bool,
    },
    /// Not written: a limit has no room. The workflow is taken up again when it
    /// has.
    LimitReached,
    /// Not written: a cancel was asked for.
    Cancelled,
}

/// A handle that some workflow waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenHandle {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The group to ask with.
    pub group: String,
    /// The handle.
    pub handle: Value,
    /// Since when.
    pub since: Timestamp,
}

/// The store as the engine needs it. Every method is one transaction.
#[async_trait]
pub trait JournalStore: Send + Sync + 'static {
    /// A change that a step commits.
    type Change: Send + 'static;

    /// Begins an epoch that lasts `ttl` unless it is renewed.
    async fn begin_epoch(&self, ttl: Duration) -> Result<EpochId, StoreError>;

    /// Prolongs an epoch to `ttl` from now.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when it has ended.
    async fn renew_epoch(&self, epoch: EpochId, ttl: Duration) -> Result<(), StoreError>;

    /// Takes up at most `most` workflows of these kinds that are due and that
    /// no living epoch holds.
    async fn claim(
        &self,
        epoch: EpochId,
        kinds: &[Kind],
        most: usize,
    ) -> Result<Vec<WorkflowRecord>, StoreError>;

    /// Gives back a workflow without a change, for whoever takes it up next.
    async fn release(&self, epoch: EpochId, id: WorkflowId) -> Result<(), StoreError>;

    /// Appends to a workflow's journal after line `after`, with everything that
    /// belongs to it.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when the epoch does not hold the workflow, or the
    /// journal has moved on.
    async fn append(
        &self,
        epoch: EpochId,
        id: WorkflowId,
        after: u64,
        commit: Commit<Self::Change>,
    ) -> Result<Appended, StoreError>;

    /// All handles that workflows wait for.
    async fn open_handles(&self) -> Result<Vec<OpenHandle>, StoreError>;

    /// Ends waits for handles. A workflow that does not wait for that handle
    /// any more is left alone.
    async fn resolve(&self, ended: Vec<(OpenHandle, HandleState)>) -> Result<(), StoreError>;

    /// The earliest time at which a workflow is due; `None` when none will be
    /// by the passing of time.
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Notified when something may have become due. A hint: it may be lost.
    fn hint(&self) -> Arc<Notify>;
}
