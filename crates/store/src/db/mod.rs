//! The thin layer between the queries and the drivers.
//!
//! A query is a text with `$1` placeholders, understood by every data base of
//! the house, and a list of [`Value`]s. A second data base is one more variant
//! of [`Connection`] and [`Row`]; what must be said differently to it goes into
//! [`Texts`].

mod lock;
mod migrate;
mod sqlite;
mod writer;

use std::str::FromStr;

use model::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::Error;

pub(crate) use lock::FileLock;
pub(crate) use migrate::migrate;
pub(crate) use sqlite::Sqlite;
pub use sqlite::Synchronous;
pub(crate) use writer::{Tx, Writer, last_sequence};

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

/// One connection to the data base.
pub(crate) enum Connection {
    Sqlite(SqliteConnection),
    SqlitePooled(PoolConnection<sqlx::Sqlite>),
}

impl Connection {
    fn sqlite(&mut self) -> &mut SqliteConnection {
        match self {
            Self::Sqlite(connection) => connection,
            Self::SqlitePooled(connection) => connection,
        }
    }

    pub(crate) fn texts(&self) -> &'static Texts {
        match self {
            Self::Sqlite(_) | Self::SqlitePooled(_) => &sqlite::TEXTS,
        }
    }

    /// Carries out a statement; how many rows it changed.
    pub(crate) async fn execute(
        &mut self,
        sql: &'static str,
        parameters: &[Value],
    ) -> Result<u64, Error> {
        let done = sqlite::query(sql, parameters).execute(self.sqlite()).await?;
        Ok(done.rows_affected())
    }

    /// All rows of a query, which bounds their number itself.
    pub(crate) async fn fetch_all(
        &mut self,
        sql: &'static str,
        parameters: &[Value],
    ) -> Result<Vec<Row>, Error> {
        let rows = sqlite::query(sql, parameters).fetch_all(self.sqlite()).await?;
        Ok(rows.into_iter().map(Row::Sqlite).collect())
    }

    /// The first row of a query.
    pub(crate) async fn fetch_one(
        &mut self,
        sql: &'static str,
        parameters: &[Value],
    ) -> Result<Option<Row>, Error> {
        let row = sqlite::query(sql, parameters).fetch_optional(self.sqlite()).await?;
        Ok(row.map(Row::Sqlite))
    }
}

/// A row, read by the names of its columns.
pub(crate) enum Row {
    Sqlite(SqliteRow),
}

impl Row {
    pub(crate) fn opt_int(&self, column: &str) -> Result<Option<i64>, Error> {
        match self {
            Self::Sqlite(row) => Ok(row.try_get_unchecked(column)?),
        }
    }

    pub(crate) fn opt_text(&self, column: &str) -> Result<Option<String>, Error> {
        match self {
            Self::Sqlite(row) => Ok(row.try_get_unchecked(column)?),
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
