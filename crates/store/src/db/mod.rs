//! The thin layer between the queries and the drivers.
//!
//! A query is a text with `$1` placeholders, understood by every data base of
//! the house, and a list of [`Value`]s. To add one, write it once, in what
//! SQLite and PostgreSQL have in common:
//!
//! - columns are `TEXT` or `BIGINT`; truth values are 0 and 1, and a comparison
//!   becomes one with `CASE WHEN … THEN 1 ELSE 0 END`
//! - `ON CONFLICT (…) DO UPDATE SET … = excluded.…`, `RETURNING`, `COALESCE`,
//!   `CASE`, `EXISTS`, partial indexes; no JSON functions, no dates
//! - no statement that may fail and be survived: in PostgreSQL the request is
//!   over then. Ask first, or `ON CONFLICT DO NOTHING`
//! - all writers take turns, those of other processes too, so that what a
//!   request has read stays true until it has committed
//!
//! What cannot be said in common goes into [`Texts`], once per data base. The
//! tests of this crate run over both (`docs/reference/test-suites.md`).

mod follow;
mod lock;
mod migrate;
mod postgres;
mod sqlite;
mod writer;

use std::str::FromStr;
use std::sync::Arc;

use model::{Clock, Timestamp};
use serde::de::DeserializeOwned;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgRow;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _};

use crate::Error;

pub(crate) use follow::follow;
pub(crate) use lock::FileLock;
pub(crate) use migrate::{KNOWN, SchemaLock, migrate, missing, present, refuse_old};
pub(crate) use postgres::{Postgres, meaning};
pub use postgres::{PostgresSettings, Schema, TimeSource};
pub(crate) use sqlite::Sqlite;
pub use sqlite::Synchronous;
pub(crate) use writer::{News, Target, Tx, Writer, last_sequence};

/// A parameter of a query. Each is typed even when it is NULL, because not
/// every data base guesses the type.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Int(Some(i64::from(value)))
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Int(Some(i64::from(value)))
    }
}

impl From<Timestamp> for Value {
    fn from(value: Timestamp) -> Self {
        Self::Int(Some(value.as_millis()))
    }
}

impl From<Option<Timestamp>> for Value {
    fn from(value: Option<Timestamp>) -> Self {
        Self::Int(value.map(Timestamp::as_millis))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Self {
        Self::Text(value)
    }
}

/// An id, or any other value whose text is what is stored.
pub(crate) fn text(value: impl ToString) -> Value {
    Value::Text(Some(value.to_string()))
}

/// A value as JSON.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> Result<Value, Error> {
    json_text(value).map(Value::from)
}

pub(crate) fn json_text<T: serde::Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value)
        .map_err(|error| Error::Constraint(format!("cannot be written as JSON: {error}")))
}

/// The word that stands for a value of an enum that serialises to a text.
pub(crate) fn word<T: serde::Serialize>(value: &T) -> Result<Value, Error> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => Ok(text.into()),
        _ => Err(Error::Constraint("expected a value that is one word".to_owned())),
    }
}

/// A number that the data base can hold.
pub(crate) fn int(value: u64) -> Result<Value, Error> {
    i64::try_from(value)
        .map(Value::from)
        .map_err(|_| Error::Constraint(format!("{value} is more than the data base can hold")))
}

/// Texts that data bases want said differently.
#[derive(Debug)]
pub(crate) struct Texts {
    /// Begins a transaction that will write.
    pub(crate) begin: &'static str,
    /// Takes up what is due: for the epoch $1, at $2, of the kinds in the JSON
    /// list $3, at most $4.
    pub(crate) claim: &'static str,
}

/// What is known when a turn to write has begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    /// The data base's time, where processes share one.
    pub(crate) now: Option<Timestamp>,
    /// The version of the schema, where it may have moved on.
    pub(crate) version: Option<usize>,
    /// The last number of the change sequence, where others give numbers.
    pub(crate) sequence: Option<i64>,
}

/// The readers of an open data base.
#[derive(Clone, Debug)]
pub(crate) enum DataBase {
    Sqlite(Sqlite),
    Postgres(Arc<Postgres>),
}

impl DataBase {
    /// Whether other processes write to it too.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// A connection for reading.
    pub(crate) async fn reader(&self) -> Result<Connection, Error> {
        match self {
            Self::Sqlite(sqlite) => sqlite.reader().await,
            Self::Postgres(postgres) => postgres.reader().await,
        }
    }

    /// The time that decides what is due.
    pub(crate) async fn now(
        &self,
        db: &mut Connection,
        clock: &dyn Clock,
    ) -> Result<Timestamp, Error> {
        match self {
            Self::Postgres(postgres) if postgres.settings().time == TimeSource::DataBase => {
                let row = db.fetch_one(postgres::NOW, &[]).await?;
                row.ok_or_else(|| corrupt("now", "no answer"))?.time("now")
            }
            _ => Ok(clock.now()),
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(sqlite) => sqlite.close().await,
            Self::Postgres(postgres) => postgres.close().await,
        }
    }
}

/// One connection to the data base.
pub(crate) enum Connection {
    Sqlite(SqliteConnection),
    SqlitePooled(PoolConnection<sqlx::Sqlite>),
    Postgres(postgres::Link),
}

/// A connection by its kind.
enum Wire<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut postgres::Link),
}

impl Connection {
    fn wire(&mut self) -> Wire<'_> {
        match self {
            Self::Sqlite(connection) => Wire::Sqlite(connection),
            Self::SqlitePooled(connection) => Wire::Sqlite(connection),
            Self::Postgres(link) => Wire::Postgres(link),
        }
    }

    pub(crate) fn texts(&self) -> &'static Texts {
        match self {
            Self::Sqlite(_) | Self::SqlitePooled(_) => &sqlite::TEXTS,
            Self::Postgres(_) => &postgres::TEXTS,
        }
    }

    /// Whether other processes write to this data base too.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Whether it is of no use any more.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self, Self::Postgres(link) if link.is_lost())
    }

    /// Makes sure that nothing is done with it any more; what is not committed
    /// is rolled back by the server.
    pub(crate) fn give_up(&mut self) {
        if let Self::Postgres(link) = self {
            link.give_up();
        }
    }

    /// Begins a transaction that will write, when it is this writer's turn.
    pub(crate) async fn begin(&mut self) -> Result<Begun, Error> {
        self.run(self.texts().begin).await?;
        if !self.is_shared() {
            return Ok(Begun { now: None, version: None, sequence: None });
        }
        let row = self.fetch_one(postgres::TURN, &[]).await?;
        let row = row.ok_or_else(|| corrupt("now", "no answer"))?;
        let version = row.opt_int("version")?.unwrap_or(0);
        Ok(Begun {
            now: Some(row.time("now")?),
            version: usize::try_from(version).ok(),
            sequence: Some(row.int("sequence")?),
        })
    }

    /// Carries out statements that have no parameters and no answer.
    pub(crate) async fn run(&mut self, sql: &'static str) -> Result<(), Error> {
        self.run_text(sql.to_owned()).await
    }

    /// As [`Connection::run`]. The text is one of this crate's.
    async fn run_text(&mut self, sql: String) -> Result<(), Error> {
        let statements = sqlx::raw_sql(AssertSqlSafe(sql));
        match self.wire() {
            Wire::Sqlite(connection) => {
                statements.execute(connection).await?;
            }
            Wire::Postgres(link) => {
                link.with(async |connection| statements.execute(connection).await.map(drop))
                    .await?;
            }
        }
        Ok(())
    }

    /// Carries out a statement; how many rows it changed.
    pub(crate) async fn execute(
        &mut self,
        sql: &'static str,
        parameters: &[Value],
    ) -> Result<u64, Error> {
        match self.wire() {
            Wire::Sqlite(connection) => {
                let done = sqlite::query(sql, parameters).execute(connection).await?;
                Ok(done.rows_affected())
            }
            Wire::Postgres(link) => {
                let query = postgres::query(sql, parameters);
                let done = link.with(async |connection| query.execute(connection).await).await?;
                Ok(done.rows_affected())
            }
        }
    }

    /// All rows of a query, which bounds their number itself.
    pub(crate) async fn fetch_all(
        &mut self,
        sql: &'static str,
        parameters: &[Value],
    ) -> Result<Vec<Row>, Error> {
        match self.wire() {
            Wire::Sqlite(connection) => {
                let rows = sqlite::query(sql, parameters).fetch_all(connection).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Wire::Postgres(link) => {
                let query = postgres::query(sql, parameters);
                let rows = link.with(async |connection| query.fetch_all(connection).await).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// As [`Connection::fetch_all`], with a text that was put together from the
    /// names of tables and columns of this crate, and is not kept prepared.
    pub(crate) async fn fetch_all_text(
        &mut self,
        sql: String,
        parameters: &[Value],
    ) -> Result<Vec<Row>, Error> {
        match self.wire() {
            Wire::Sqlite(connection) => {
                let query = sqlite::query(AssertSqlSafe(sql), parameters).persistent(false);
                let rows = query.fetch_all(connection).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Wire::Postgres(link) => {
                let query = postgres::query(AssertSqlSafe(sql), parameters).persistent(false);
                let rows = link.with(async |connection| query.fetch_all(connection).await).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// The first row of a query.
    pub(crate) async fn fetch_one(
        &mut self,
        sql: &'static str,
        parameters: &[Value],
    ) -> Result<Option<Row>, Error> {
        match self.wire() {
            Wire::Sqlite(connection) => {
                let row = sqlite::query(sql, parameters).fetch_optional(connection).await?;
                Ok(row.map(Row::Sqlite))
            }
            Wire::Postgres(link) => {
                let query = postgres::query(sql, parameters);
                let row =
                    link.with(async |connection| query.fetch_optional(connection).await).await?;
                Ok(row.map(Row::Postgres))
            }
        }
    }

    /// Ends the patience that changing the schema needed.
    pub(crate) async fn hurry(&mut self, postgres: &Postgres) -> Result<(), Error> {
        self.run("RESET statement_timeout; RESET lock_timeout").await?;
        if let Self::Postgres(link) = self {
            link.set_patience(postgres.settings().patience());
        }
        Ok(())
    }

    /// Says goodbye.
    pub(crate) async fn close(self) -> Result<(), Error> {
        match self {
            Self::Sqlite(connection) => Ok(sqlx::Connection::close(connection).await?),
            Self::SqlitePooled(_) => Ok(()),
            Self::Postgres(link) => link.close().await,
        }
    }
}

/// A row, read by the names of its columns.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    pub(crate) fn opt_int(&self, column: &str) -> Result<Option<i64>, Error> {
        match self {
            Self::Sqlite(row) => Ok(row.try_get_unchecked(column)?),
            Self::Postgres(row) => Ok(row.try_get_unchecked(column)?),
        }
    }

    pub(crate) fn opt_text(&self, column: &str) -> Result<Option<String>, Error> {
        match self {
            Self::Sqlite(row) => Ok(row.try_get_unchecked(column)?),
            Self::Postgres(row) => Ok(row.try_get_unchecked(column)?),
        }
    }

    pub(crate) fn int(&self, column: &str) -> Result<i64, Error> {
        self.opt_int(column)?.ok_or_else(|| corrupt(column, "is NULL"))
    }

    pub(crate) fn text(&self, column: &str) -> Result<String, Error> {
        self.opt_text(column)?.ok_or_else(|| corrupt(column, "is NULL"))
    }

    pub(crate) fn uint(&self, column: &str) -> Result<u64, Error> {
        let value = self.int(column)?;
        u64::try_from(value).map_err(|_| corrupt(column, "is negative"))
    }

    pub(crate) fn small(&self, column: &str) -> Result<u32, Error> {
        let value = self.int(column)?;
        u32::try_from(value).map_err(|_| corrupt(column, "is out of range"))
    }

    pub(crate) fn truth(&self, column: &str) -> Result<bool, Error> {
        Ok(self.int(column)? != 0)
    }

    pub(crate) fn time(&self, column: &str) -> Result<Timestamp, Error> {
        self.int(column).map(Timestamp::from_millis)
    }

    pub(crate) fn opt_time(&self, column: &str) -> Result<Option<Timestamp>, Error> {
        Ok(self.opt_int(column)?.map(Timestamp::from_millis))
    }

    /// A value that is stored as its text, such as an id.
    pub(crate) fn parsed<T: FromStr>(&self, column: &str) -> Result<T, Error>
    where
        T::Err: std::fmt::Display,
    {
        self.text(column)?.parse().map_err(|error| corrupt(column, error))
    }

    pub(crate) fn opt_parsed<T: FromStr>(&self, column: &str) -> Result<Option<T>, Error>
    where
        T::Err: std::fmt::Display,
    {
        let text = self.opt_text(column)?;
        text.map(|text| text.parse().map_err(|error| corrupt(column, error))).transpose()
    }

    pub(crate) fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, Error> {
        serde_json::from_str(&self.text(column)?).map_err(|error| corrupt(column, error))
    }

    pub(crate) fn opt_json<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>, Error> {
        let text = self.opt_text(column)?;
        text.map(|text| serde_json::from_str(&text).map_err(|error| corrupt(column, error)))
            .transpose()
    }

    /// A value of an enum that serialises to one word.
    pub(crate) fn word<T: DeserializeOwned>(&self, column: &str) -> Result<T, Error> {
        let text = serde_json::Value::String(self.text(column)?);
        serde_json::from_value(text).map_err(|error| corrupt(column, error))
    }
}

fn corrupt(column: &str, why: impl std::fmt::Display) -> Error {
    Error::Corrupt(format!("{column}: {why}"))
}
