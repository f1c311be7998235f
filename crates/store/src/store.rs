//! The store as a whole: writing, closing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use engine::WorkflowId;
use model::time::BoxFuture;
use model::{AttemptId, Clock, InstallationId, InstanceId, Mark, OperationId, Timestamp};
use tokio::sync::watch;

use crate::Error;
use crate::change::{Change, apply_all};
use crate::db::{Connection, DataBase, Synchronous, Tx, Writer};
use crate::flow::{self, CancelAnswer, Start};
use crate::rows::{IdReservation, ids, leases};
use crate::seal::Key;

/// How a SQLite store is opened.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Whether a commit waits until the disk has it.
    pub synchronous: Synchronous,
    /// The file with the key that secrets are sealed with; `secret.key` beside
    /// the data base when `None`. It is made when it is absent.
    pub key_file: Option<PathBuf>,
}

/// An open store.
pub struct Store {
    pub(crate) data_base: DataBase,
    pub(crate) writer: Writer,
    pub(crate) key: Arc<Key>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) installation: InstallationId,
    /// This process, among those that use the data base.
    pub(crate) process: String,
}

impl Store {
    /// This installation, for as long as its data base lives.
    pub fn installation_id(&self) -> InstallationId {
        self.installation
    }

    /// Finishes what waits to be written, and lets go of the data base. Whoever
    /// writes afterwards gets [`Error::Unavailable`].
    pub async fn close(&self) {
        if self.data_base.is_shared() {
            let process = self.process.clone();
            let release =
                self.write(move |tx| Box::pin(async move { leases::release(tx, &process).await }));
            if let Err(error) = release.await {
                tracing::debug!(%error, "leases are left to run out");
            }
        }
        self.writer.close().await;
        self.data_base.close().await;
    }

    /// Whether this process does for all what has this name, for at least half
    /// of `ttl` from now. It takes it up when nobody else does. Where only one
    /// process can use the data base it always does.
    ///
    /// # Errors
    /// When the data base does not answer; then it does not.
    pub async fn hold(&self, name: &str, ttl: Duration) -> Result<bool, Error> {
        if !self.data_base.is_shared() {
            return Ok(true);
        }
        let mut db = self.reader().await?;
        let now = self.data_base.now(&mut db, &*self.clock).await?;
        match leases::look(&mut db, now, name, &self.process, ttl).await? {
            leases::Standing::Fresh => return Ok(true),
            leases::Standing::Taken => return Ok(false),
            leases::Standing::Free => drop(db),
        }
        let (name, process) = (name.to_owned(), self.process.clone());
        self.write(move |tx| Box::pin(async move { leases::take(tx, &name, &process, ttl).await }))
            .await
    }

    /// A connection for reading.
    pub(crate) async fn reader(&self) -> Result<Connection, Error> {
        self.data_base.reader().await
    }

    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut Tx) -> BoxFuture<'a, Result<T, Error>> + Send + 'static,
    {
        self.writer.write(work).await.map(|(done, _)| done)
    }

    /// Commits changes that belong to no workflow. Answers with the change
    /// sequence of the commit.
    ///
    /// # Errors
    /// As [`Error`] says; nothing is changed then.
    pub async fn commit(&self, changes: Vec<Change>) -> Result<u64, Error> {
        let done = self.writer.write(move |tx| Box::pin(apply_all(tx, changes))).await;
        done.map(|((), sequence)| sequence)
    }

    /// Begins a workflow, with its operation and changes, in one transaction.
    /// Answers with the change sequence of the commit.
    ///
    /// One that supersedes is queued when its claim is held: the holder is
    /// asked to cancel, and the new one begins when the holder has ended or is
    /// stuck. Of several that supersede, the first is kept.
    ///
    /// # Errors
    /// [`Error::ClaimHeld`] when another operation has the claim (and this one
    /// does not supersede it), or is about to take it over.
    pub async fn start(&self, start: Start) -> Result<u64, Error> {
        let done = self.writer.write(move |tx| Box::pin(flow::start(tx, start))).await;
        done.map(|((), sequence)| sequence)
    }

    /// Asks a workflow to cancel, its children first.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub async fn request_cancel(&self, id: OperationId) -> Result<CancelAnswer, Error> {
        let id = WorkflowId::from(id);
        self.write(move |tx| Box::pin(flow::cancel(tx, id))).await
    }

    /// Lets a stuck workflow go on until this deadline, and commits changes with
    /// it. `false`, and no change, when it is not stuck.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub async fn resume(
        &self,
        id: OperationId,
        deadline: Timestamp,
        changes: Vec<Change>,
    ) -> Result<bool, Error> {
        let id = WorkflowId::from(id);
        self.write(move |tx| {
            Box::pin(async move {
                let resumed = flow::resume(tx, id, deadline).await?;
                if resumed {
                    tx.origin = Some(id.as_operation());
                    apply_all(tx, changes).await?;
                }
                Ok(resumed)
            })
        })
        .await
    }

    /// Gives up a stuck workflow, and commits changes with it; its claim is
    /// free. `false`, and no change, when it is not stuck.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub async fn abandon(&self, id: OperationId, changes: Vec<Change>) -> Result<bool, Error> {
        let id = WorkflowId::from(id);
        self.write(move |tx| {
            Box::pin(async move {
                let abandoned = flow::abandon(tx, id).await?;
                if abandoned {
                    tx.origin = Some(id.as_operation());
                    apply_all(tx, changes).await?;
                }
                Ok(abandoned)
            })
        })
        .await
    }

    /// Ends a workflow's wait for the signal `name`. `false` when it does not
    /// wait for that at this moment: the signal is not kept.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such workflow.
    pub async fn signal(
        &self,
        id: WorkflowId,
        name: String,
        payload: serde_json::Value,
    ) -> Result<bool, Error> {
        self.write(move |tx| Box::pin(async move { flow::signal(tx, id, &name, payload).await }))
            .await
    }

    /// Reserves one id per request, in order. The same call for the same
    /// attempt gives the same ids.
    ///
    /// # Errors
    /// [`Error::Constraint`] when no id of a range is free; none is reserved.
    pub async fn reserve_ids(
        &self,
        owner: InstanceId,
        attempt: AttemptId,
        mark: &Mark,
        requests: &[IdReservation],
    ) -> Result<Vec<u64>, Error> {
        let (mark, requests) = (*mark, requests.to_vec());
        self.write(move |tx| {
            Box::pin(async move { ids::reserve(tx, owner, attempt, &mark, &requests).await })
        })
        .await
    }

    /// Retires one reserved id: nobody gets it before its time is over.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn retire_id(&self, pool: String, value: u64) -> Result<(), Error> {
        self.write(move |tx| Box::pin(async move { ids::retire_one(tx, &pool, value).await })).await
    }

    /// The change sequence of the last commit, now and whenever it moves on.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.writer.committed()
    }
}
