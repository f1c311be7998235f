//! The one writer. Whoever waits to write is gathered into one commit.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::time::BoxFuture;
use model::{Clock, OperationId, Timestamp};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::lock::FileLock;
use super::migrate::KNOWN;
use super::postgres::{CHANNEL, Postgres, TimeSource};
use super::{Connection, Value};
use crate::Error;
use crate::feed::FeedKind;
use crate::flow::Settled;
use crate::seal::Key;

/// The most requests that share a commit.
const GATHERED: usize = 64;
/// The most requests that wait; more wait to be let in.
const QUEUE: usize = 1024;

/// An open write transaction, as one request sees it.
pub(crate) struct Tx {
    pub(crate) db: Connection,
    /// The time of this request.
    pub(crate) now: Timestamp,
    pub(crate) key: Arc<Key>,
    /// The operation whose workflow makes the changes of this request.
    pub(crate) origin: Option<OperationId>,
    /// Workflows that have ended or got stuck in this request and whose
    /// consequences have not been drawn yet.
    pub(crate) settled: Vec<Settled>,
    /// What a read model must look at again after this request.
    touched: BTreeSet<(FeedKind, String)>,
    /// Whether something may have become due.
    hint: bool,
    /// The last number of the change sequence that was given, once it is known.
    /// Where nobody else gives numbers it stays known between commits.
    sequence: Option<i64>,
    /// Whether numbers were given in this commit.
    numbered: bool,
    /// The installation, by whose name processes tell each other of commits.
    installation: String,
}

impl Tx {
    /// Says that something may have become due.
    pub(crate) fn hint(&mut self) {
        self.hint = true;
    }

    /// Says that a read model must look at this again.
    pub(crate) fn touch(&mut self, kind: FeedKind, id: impl ToString) {
        self.touched.insert((kind, id.to_string()));
    }

    /// The next number of the change sequence. Numbers of requests that were
    /// rolled back are not given again.
    pub(crate) async fn next_sequence(&mut self) -> Result<i64, Error> {
        let last = match self.sequence {
            Some(last) => last,
            None => last_sequence(&mut self.db).await?,
        };
        self.sequence = Some(last + 1);
        self.numbered = true;
        Ok(last + 1)
    }

    fn begin_request(&mut self, now: Timestamp) {
        self.now = now;
        self.origin = None;
        self.settled.clear();
        self.touched.clear();
    }

    /// Writes what was touched to the feed.
    async fn end_request(&mut self) -> Result<(), Error> {
        crate::flow::draw_consequences(self).await?;
        for (kind, id) in std::mem::take(&mut self.touched) {
            let sequence = self.next_sequence().await?;
            crate::feed::put(self, kind, id, sequence).await?;
        }
        Ok(())
    }

    async fn end_commit(&mut self) -> Result<(), Error> {
        if self.db.is_shared() && (self.numbered || self.hint) {
            let (sequence, hint) = (self.sequence.unwrap_or(0), i64::from(self.hint));
            let news = format!("{} {sequence} {hint}", self.installation);
            let tell = "SELECT 1 AS told FROM pg_notify($1, $2)";
            self.db.execute(tell, &[CHANNEL.into(), news.into()]).await?;
        }
        if let (Some(last), true) = (self.sequence, self.numbered) {
            let save = "INSERT INTO counters (name, value) VALUES ('change', $1)
                ON CONFLICT (name) DO UPDATE SET value = excluded.value";
            self.db.execute(save, &[Value::from(last)]).await?;
        }
        self.db.execute("COMMIT", &[]).await?;
        Ok(())
    }
}

/// The last number of the change sequence that was committed.
pub(crate) async fn last_sequence(db: &mut Connection) -> Result<i64, Error> {
    let row = db.fetch_one("SELECT value FROM counters WHERE name = 'change'", &[]).await?;
    row.map_or(Ok(0), |row| row.int("value"))
}

/// One request of somebody who waits for its answer.
trait Request: Send {
    /// Whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;
    /// Does the work. The answer is kept until the commit.
    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, Result<(), Error>>;
    /// Answers: with what came out of the work, or with why it was not kept.
    fn answer(self: Box<Self>, kept: Result<u64, Error>);
}

struct Typed<T, F> {
    work: Option<F>,
    done: Option<T>,
    answer: oneshot::Sender<Result<(T, u64), Error>>,
}

impl<T, F> Request for Typed<T, F>
where
    T: Send + 'static,
    F: for<'a> FnOnce(&'a mut Tx) -> BoxFuture<'a, Result<T, Error>> + Send + 'static,
{
    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            if let Some(work) = self.work.take() {
                self.done = Some(work(tx).await?);
            }
            tx.end_request().await
        })
    }

    fn answer(self: Box<Self>, kept: Result<u64, Error>) {
        let lost = || Error::Unavailable("the writer lost the answer".to_owned());
        let Self { done, answer, .. } = *self;
        let kept = kept.and_then(|sequence| Ok((done.ok_or_else(lost)?, sequence)));
        // Whoever does not wait any more does not need it.
        let _ = answer.send(kept);
    }
}

/// The writer's task, as seen by those who have something to write.
pub(crate) struct Writer {
    queue: mpsc::Sender<Box<dyn Request>>,
    task: std::sync::Mutex<Option<JoinHandle<()>>>,
    closing: watch::Sender<bool>,
    committed: watch::Receiver<u64>,
    hint: Arc<Notify>,
}

/// What a writer writes to.
pub(crate) enum Target {
    /// This file, which nobody else writes to: the lock is let go of when the
    /// last request has been answered.
    Alone { _lock: FileLock },
    /// A data base that others write to as well, and that may be away for a
    /// while.
    Shared(Arc<Postgres>),
}

impl Writer {
    /// Begins to write with this connection.
    pub(crate) async fn begin(
        mut db: Connection,
        target: Target,
        installation: String,
        key: Arc<Key>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let last = u64::try_from(last_sequence(&mut db).await?).unwrap_or(0);
        let (queue, requests) = mpsc::channel(QUEUE);
        let (committed, committed_reader) = watch::channel(last);
        let committed = Arc::new(committed);
        let (closing, closed) = watch::channel(false);
        let hint = Arc::new(Notify::new());
        if let Target::Shared(postgres) = &target {
            let news = News { committed: Arc::clone(&committed), hint: Arc::clone(&hint) };
            let following =
                super::follow(Arc::clone(postgres), installation.clone(), news, closed.clone());
            tokio::spawn(following);
        }
        let tx = Tx {
            db,
            now: clock.now(),
            key,
            origin: None,
            settled: Vec::new(),
            touched: BTreeSet::new(),
            hint: false,
            sequence: Some(i64::try_from(last).unwrap_or(i64::MAX)),
            numbered: false,
            installation,
        };
        let news = News { committed, hint: Arc::clone(&hint) };
        let turns = Turns { tx, clock, news, target };
        let task = tokio::spawn(turns.run(requests, closed));
        let task = std::sync::Mutex::new(Some(task));
        Ok(Self { queue, task, closing, committed: committed_reader, hint })
    }

    /// Does this work in the next commit. Answers with what came out of it and
    /// the change sequence of that commit.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<(T, u64), Error>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut Tx) -> BoxFuture<'a, Result<T, Error>> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let request = Typed { work: Some(work), done: None, answer };
        let closed = || Error::Unavailable("the store is closed".to_owned());
        self.queue.send(Box::new(request)).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    pub(crate) fn hint(&self) -> Arc<Notify> {
        Arc::clone(&self.hint)
    }

    pub(crate) fn committed(&self) -> watch::Receiver<u64> {
        self.committed.clone()
    }

    /// Answers what waits, then lets go of the data base.
    pub(crate) async fn close(&self) {
        self.closing.send_replace(true);
        let task = self.task.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the writer ended badly");
        }
    }
}

/// Where everybody hears of what was committed.
#[derive(Clone)]
pub(crate) struct News {
    committed: Arc<watch::Sender<u64>>,
    hint: Arc<Notify>,
}

impl News {
    /// This was committed, here or by another process.
    pub(crate) fn reached(&self, sequence: u64) {
        self.committed.send_if_modified(|last| {
            let news = sequence > *last;
            *last = sequence.max(*last);
            news
        });
    }

    /// Something may have become due.
    pub(crate) fn hint(&self) {
        self.hint.notify_waiters();
    }
}

/// The writer's side.
struct Turns {
    tx: Tx,
    clock: Arc<dyn Clock>,
    news: News,
    target: Target,
}

impl Turns {
    async fn run(
        mut self,
        mut requests: mpsc::Receiver<Box<dyn Request>>,
        mut closed: watch::Receiver<bool>,
    ) {
        let mut batch = Vec::with_capacity(GATHERED);
        loop {
            let closing = async {
                // An error says that the store was dropped, and with it the
                // queue's other end.
                while !*closed.borrow_and_update() && closed.changed().await.is_ok() {}
            };
            tokio::select! {
                biased;
                received = requests.recv_many(&mut batch, GATHERED) => {
                    if received == 0 {
                        break;
                    }
                }
                () = closing => {
                    // What is in the queue is still answered; nothing comes in.
                    requests.close();
                    if requests.recv_many(&mut batch, GATHERED).await == 0 {
                        break;
                    }
                }
            }
            batch.retain(|request| !request.is_abandoned());
            if !batch.is_empty() {
                self.turn(&mut batch).await;
            }
        }
        if let Err(error) = self.tx.db.close().await {
            tracing::warn!(%error, "closing the data base");
        }
    }

    /// Carries out these requests in one commit and answers them.
    async fn turn(&mut self, batch: &mut Vec<Box<dyn Request>>) {
        self.tx.numbered = false;
        self.tx.hint = false;
        let mut results = Vec::with_capacity(batch.len());
        let committed = match self.carry_out(batch, &mut results).await {
            Ok(()) => self.tx.end_commit().await,
            Err(error) => Err(error),
        };
        if let Err(error) = committed {
            self.undo(error, batch).await;
            return;
        }
        let sequence = match self.tx.sequence {
            Some(last) => u64::try_from(last).unwrap_or(0),
            None => *self.news.committed.borrow(),
        };
        self.news.reached(sequence);
        for (request, result) in batch.drain(..).zip(results) {
            request.answer(result.map(|()| sequence));
        }
        if self.tx.hint {
            self.news.hint();
        }
    }

    /// Nothing of this turn is kept. (Or all of it, when the connection was lost
    /// while the commit was on its way: whoever asked looks again.)
    async fn undo(&mut self, error: Error, batch: &mut Vec<Box<dyn Request>>) {
        if self.tx.db.is_shared() {
            tracing::warn!(%error, "a commit failed");
            self.tx.db.give_up();
        } else {
            tracing::error!(%error, "a commit failed");
            if let Err(error) = self.tx.db.execute("ROLLBACK", &[]).await {
                // SQLite has rolled back by itself after some errors.
                tracing::debug!(%error, "nothing to roll back");
            }
        }
        self.tx.sequence = None;
        let error = match error {
            Error::Busy => Error::Busy,
            other => Error::Unavailable(other.to_string()),
        };
        for request in batch.drain(..) {
            request.answer(Err(error.clone()));
        }
    }

    /// Begins a transaction; answers the time that its requests happen at, if
    /// that is not this process's.
    async fn begin(&mut self) -> Result<Option<Timestamp>, Error> {
        let begun = self.tx.db.begin().await?;
        if let Some(version) = begun.version.filter(|version| *version != KNOWN) {
            return Err(Error::Unavailable(format!(
                "its schema was changed to version {version}, this program knows version {KNOWN}"
            )));
        }
        self.tx.sequence = begun.sequence.or(self.tx.sequence);
        Ok(match &self.target {
            Target::Shared(postgres) if postgres.settings().time == TimeSource::DataBase => {
                begun.now
            }
            _ => None,
        })
    }

    /// Each request in its own savepoint: one that fails leaves no trace and
    /// harms no other. A request that is alone has the whole transaction.
    async fn carry_out(
        &mut self,
        batch: &mut [Box<dyn Request>],
        results: &mut Vec<Result<(), Error>>,
    ) -> Result<(), Error> {
        if let (true, Target::Shared(postgres)) = (self.tx.db.is_lost(), &self.target) {
            self.tx.db = postgres.connect().await?;
        }
        let mut now = self.begin().await?;
        let alone = batch.len() == 1;
        for request in batch {
            self.tx.begin_request(now.unwrap_or_else(|| self.clock.now()));
            if !alone {
                self.tx.db.execute("SAVEPOINT request", &[]).await?;
            }
            let result = request.run(&mut self.tx).await;
            match (alone, result.is_err()) {
                (true, false) => {}
                (true, true) => {
                    self.tx.db.execute("ROLLBACK", &[]).await?;
                    now = self.begin().await?;
                }
                (false, failed) => {
                    if failed {
                        self.tx.db.execute("ROLLBACK TO SAVEPOINT request", &[]).await?;
                    }
                    self.tx.db.execute("RELEASE SAVEPOINT request", &[]).await?;
                }
            }
            results.push(result);
        }
        Ok(())
    }
}
