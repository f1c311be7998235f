//! SQLite: how it is opened and what is said differently to it.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::query::Query;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};

use super::{Connection, Texts, Value};
use crate::Error;

pub(super) const TEXTS: Texts = Texts {
    begin: "BEGIN IMMEDIATE",
    claim: "UPDATE workflows SET owner = $1 WHERE id IN (
            SELECT w.id FROM workflows w
            LEFT JOIN epochs e ON e.id = w.owner AND e.expires_at > $2
            WHERE w.wake_at <= $2 AND e.id IS NULL
                AND w.kind IN (SELECT value FROM json_each($3))
            ORDER BY w.wake_at, w.id LIMIT $4)
        RETURNING id, kind, input, created_at, deadline, cancel_requested, wait_result,
            sequence, parent, wake_at",
};

const READERS: u32 = 4;
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// More than there are query texts in this crate.
const STATEMENTS_CACHED: usize = 256;

/// Whether a commit waits until the disk has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// It does: what is answered survives a power cut.
    #[default]
    Full,
    /// It does not: what is answered survives a crash of the process only. For
    /// tests.
    Off,
}

/// Makes the file so that only its owner can read it; what SQLite puts beside
/// it gets the same rights.
fn private(path: &Path) -> Result<(), Error> {
    let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    made.map(drop).map_err(|error| Error::Unavailable(format!("{}: {error}", path.display())))
}

/// The readers of an open data base.
#[derive(Clone, Debug)]
pub(crate) struct Sqlite {
    readers: SqlitePool,
}

impl Sqlite {
    /// Opens a data base: its one writer, and readers that connect when they
    /// are needed first.
    pub(crate) async fn open(
        path: &Path,
        synchronous: Synchronous,
    ) -> Result<(Self, Connection), Error> {
        private(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(match synchronous {
                Synchronous::Full => SqliteSynchronous::Full,
                Synchronous::Off => SqliteSynchronous::Off,
            })
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(STATEMENTS_CACHED)
            .disable_statement_logging();
        let writer = options.connect().await.map_err(|error| at(path, error))?;
        let reader = options.create_if_missing(false).pragma("query_only", "ON");
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(reader);
        Ok((Self { readers }, Connection::Sqlite(writer)))
    }

    /// A connection for reading.
    pub(crate) async fn reader(&self) -> Result<Connection, Error> {
        Ok(Connection::SqlitePooled(self.readers.acquire().await?))
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
    }
}

fn at(path: &Path, error: sqlx::Error) -> Error {
    let at = |text: &str| format!("{}: {text}", path.display());
    match Error::from(error) {
        Error::Unavailable(text) => Error::Unavailable(at(&text)),
        Error::Corrupt(text) => Error::Corrupt(at(&text)),
        other => other,
    }
}

pub(super) fn query<'q>(
    sql: impl sqlx::SqlSafeStr,
    parameters: &[Value],
) -> Query<'q, sqlx::Sqlite, SqliteArguments> {
    let mut query = sqlx::query(sql);
    for parameter in parameters {
        query = match parameter {
            Value::Int(value) => query.bind(*value),
            Value::Text(value) => query.bind(value.clone()),
        };
    }
    query
}
