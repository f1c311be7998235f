use engine::StoreError;
use model::OperationId;
use sqlx::postgres::PgDatabaseError;

/// Why the store did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such row.
    #[error("there is no {what} {id}")]
    NotFound {
        /// The kind of thing.
        what: &'static str,
        /// What was looked for.
        id: String,
    },
    /// The row has changed meanwhile; this is its generation now.
    #[error("it has been changed meanwhile: its generation is {0}")]
    Conflict(u64),
    /// A rule of the data does not allow it.
    #[error("not allowed by the data: {0}")]
    Constraint(String),
    /// The caller's key for asking again was used already.
    #[error("the key was used already")]
    KeyUsed,
    /// The row has moved on from where the caller has seen it; this is its
    /// change sequence now.
    #[error("it has been changed meanwhile: its sequence is {0}")]
    Moved(u64),
    /// The project's quota does not allow it. Memory and disk are bytes.
    #[error("{what}: {used} used, {asked} asked for, at most {limit}")]
    Quota {
        /// `instances`, `cores`, `memory` or `disk`.
        what: &'static str,
        /// What is used without it.
        used: u64,
        /// What it asks for.
        asked: u64,
        /// The most.
        limit: u64,
    },
    /// Another operation is changing the resource, or is next to change it.
    #[error("operation {by} is changing it")]
    ClaimHeld {
        /// That operation.
        by: OperationId,
    },
    /// The data base is busy with somebody else's work.
    #[error("the data base is busy")]
    Busy,
    /// Another executor has taken over.
    #[error("another executor has taken over")]
    Fenced,
    /// The data base cannot be reached or cannot write.
    #[error("the data base is away: {0}")]
    Unavailable(String),
    /// What the data base holds makes no sense.
    #[error("the data base holds something that makes no sense: {0}")]
    Corrupt(String),
}

impl Error {
    pub(crate) fn not_found(what: &'static str, id: impl ToString) -> Self {
        Self::NotFound { what, id: id.to_string() }
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::Fenced => Self::Fenced,
            Error::Busy | Error::Unavailable(_) => Self::Unavailable(error.to_string()),
            Error::NotFound { .. }
            | Error::Conflict(_)
            | Error::KeyUsed
            | Error::Quota { .. }
            | Error::Moved(_)
            | Error::Constraint(_)
            | Error::ClaimHeld { .. }
            | Error::Corrupt(_) => Self::Corrupt(error.to_string()),
        }
    }
}

/// SQLite's primary result codes (https://sqlite.org/rescode.html).
const SQLITE_BUSY: i64 = 5;
const SQLITE_LOCKED: i64 = 6;
const SQLITE_CORRUPT: i64 = 11;
const SQLITE_CONSTRAINT: i64 = 19;
const SQLITE_MISMATCH: i64 = 20;
const SQLITE_NOTADB: i64 = 26;
const SQLITE_ERROR: i64 = 1;

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let sqlx::Error::Database(database) = &error else {
            return match error {
                sqlx::Error::ColumnNotFound(_)
                | sqlx::Error::ColumnDecode { .. }
                | sqlx::Error::Decode(_)
                | sqlx::Error::Encode(_)
                | sqlx::Error::RowNotFound => Self::Corrupt(error.to_string()),
                other => Self::Unavailable(other.to_string()),
            };
        };
        if let Some(error) = database.try_downcast_ref::<PgDatabaseError>() {
            return crate::db::meaning(error);
        }
        let message = database.message().to_owned();
        // Extended codes carry the primary one in their lowest byte.
        let code = database.code().and_then(|code| code.parse::<i64>().ok()).unwrap_or(-1) & 0xff;
        match code {
            SQLITE_BUSY | SQLITE_LOCKED => Self::Busy,
            SQLITE_CONSTRAINT => {
                // "UNIQUE constraint failed: images.provider, images.name"
                let name = message.split_once(": ").map_or(message.as_str(), |(_, name)| name);
                Self::Constraint(name.to_owned())
            }
            SQLITE_ERROR | SQLITE_CORRUPT | SQLITE_MISMATCH | SQLITE_NOTADB => {
                Self::Corrupt(message)
            }
            _ => Self::Unavailable(message),
        }
    }
}
