//! The store as a whole: opening, writing, closing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::WorkflowId;
use model::time::BoxFuture;
use model::{AttemptId, Clock, InstallationId, InstanceId, Mark, OperationId, Random, Timestamp};
use tokio::sync::watch;

use crate::Error;
use crate::change::{Change, apply_all};
use crate::db::{Connection, FileLock, Sqlite, Synchronous, Tx, Writer, migrate, text};
use crate::flow::{self, CancelAnswer, Start};
use crate::rows::{IdReservation, ids};
use crate::seal::{Key, key_in};

/// How a store is opened.
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
    pub(crate) sqlite: Sqlite,
    pub(crate) writer: Writer,
    pub(crate) key: Arc<Key>,
    pub(crate) clock: Arc<dyn Clock>,
    installation: InstallationId,
}

impl Store {
    /// Opens the SQLite store in this file, which is made when it is absent;
    /// its folder must be there. Only one process at a time can open it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the folder is missing, somebody else has the
    /// file open, or it cannot be written; [`Error::Corrupt`] when it is not
    /// ours, is newer than this program, or belongs to another key.
    pub async fn open_sqlite(
        path: &Path,
        settings: Settings,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Arc<Self>, Error> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        if !folder.is_dir() {
            return Err(Error::Unavailable(format!(
                "{} is not a folder: make it before the data base {}",
                folder.display(),
                path.display()
            )));
        }
        let lock = FileLock::take(path).await?;
        let (sqlite, mut db) = Sqlite::open(path, settings.synchronous).await?;
        migrate(&mut db, clock.now()).await.map_err(|error| named(path, error))?;
        let key_file = settings.key_file.unwrap_or_else(|| folder.join("secret.key"));
        let installed = installation(&mut db).await?;
        if installed.is_some() && !key_file.exists() {
            return Err(Error::Unavailable(format!(
                "the key file {} is missing: the secrets in {} cannot be opened without it",
                key_file.display(),
                path.display()
            )));
        }
        let key = Arc::new(key_in(&key_file)?);
        let installation = match installed {
            Some((id, key_id)) if key_id == key.id() => id,
            Some((_, key_id)) => {
                return Err(Error::Corrupt(format!(
                    "{} is sealed with the key {key_id}, but {} is the key {}",
                    path.display(),
                    key_file.display(),
                    key.id()
                )));
            }
            None => install(&mut db, &key, &*clock, &*random).await?,
        };
        let writer = Writer::begin(db, lock, Arc::clone(&key), Arc::clone(&clock)).await?;
        Ok(Arc::new(Self { sqlite, writer, key, clock, installation }))
    }

    /// This installation, for as long as its data base lives.
    pub fn installation_id(&self) -> InstallationId {
        self.installation
    }

    /// Finishes what waits to be written, and lets go of the data base. Whoever
    /// writes afterwards gets [`Error::Unavailable`].
    pub async fn close(&self) {
        self.writer.close().await;
        self.sqlite.close().await;
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

fn named(path: &Path, error: Error) -> Error {
    match error {
        Error::Corrupt(text) => Error::Corrupt(format!("{}: {text}", path.display())),
        other => other,
    }
}

async fn installation(db: &mut Connection) -> Result<Option<(InstallationId, String)>, Error> {
    let row = db.fetch_one("SELECT id, key_id FROM installation", &[]).await?;
    row.map(|row| Ok((row.parsed("id")?, row.text("key_id")?))).transpose()
}

async fn install(
    db: &mut Connection,
    key: &Key,
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<InstallationId, Error> {
    let id = InstallationId::generate(clock, random);
    let insert = "INSERT INTO installation (one, id, key_id, created_at) VALUES (1, $1, $2, $3)";
    db.execute(insert, &[text(id), key.id().into(), clock.now().into()]).await?;
    Ok(id)
}
