//! PostgreSQL: how it is reached and what is said differently to it.

use std::str::FromStr as _;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::ConnectOptions as _;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{
    PgArguments, PgConnectOptions, PgConnection, PgDatabaseError, PgListener, PgPool, PgPoolOptions,
};
use sqlx::query::Query;
use tokio::time::timeout;

use super::{Connection, Texts, Value};
use crate::Error;

pub(super) const TEXTS: Texts = Texts {
    // All writers of all processes take turns: each sees everything that was
    // committed before its turn, and numbers of the change sequence are given
    // in the order of commits (docs/decisions/0006).
    begin: "BEGIN ISOLATION LEVEL READ COMMITTED;
        SELECT pg_advisory_xact_lock(1768844907, hashtext(current_schema()))",
    // A row that somebody else holds, an administrator's session say, is left
    // for later.
    claim: "UPDATE workflows SET owner = $1 WHERE id IN (
            SELECT w.id FROM workflows w
            LEFT JOIN epochs e ON e.id = w.owner AND e.expires_at > $2
            WHERE w.wake_at <= $2 AND e.id IS NULL
                AND w.kind IN (SELECT json_array_elements_text($3::json))
            ORDER BY w.wake_at, w.id LIMIT $4 FOR UPDATE OF w SKIP LOCKED)
        RETURNING id, kind, input, created_at, deadline, cancel_requested, wait_result,
            sequence, parent, wake_at",
};

/// Held while the schema is looked at and changed.
pub(super) const LOCK_SCHEMA: &str =
    "SELECT pg_advisory_lock(1768844908, hashtext(current_schema()))";
pub(super) const UNLOCK_SCHEMA: &str =
    "SELECT pg_advisory_unlock(1768844908, hashtext(current_schema()))";

/// What every turn of the writer begins with, once it has the lock.
pub(super) const TURN: &str =
    "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS now,
        (SELECT MAX(version) FROM schema_versions) AS version,
        COALESCE((SELECT value FROM counters WHERE name = 'change'), 0) AS sequence";

/// The data base's time.
pub(super) const NOW: &str =
    "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS now";

/// On which processes tell each other that something has changed.
pub(crate) const CHANNEL: &str = "innkeeper";

/// More than there are query texts in this crate.
const STATEMENTS_CACHED: usize = 256;

/// How long changing the schema may take.
const SCHEMA_PATIENCE: Duration = Duration::from_secs(3600);

/// Whose clock decides what is due and which leases have run out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeSource {
    /// The data base's: the same for all processes that use it.
    #[default]
    DataBase,
    /// The clock that the store was opened with. For tests that move it.
    Process,
}

/// What opening does about the schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schema {
    /// Sets up an empty data base; refuses one that is older than this program.
    #[default]
    Expect,
    /// Brings an older one up to date first.
    Migrate,
}

/// How a PostgreSQL store is opened.
#[derive(Clone, Debug)]
pub struct PostgresSettings {
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…`. A host that
    /// begins with a slash (as `?host=/run/postgresql`) is a folder with its
    /// socket.
    pub url: SecretString,
    /// The file with the key that secrets are sealed with: 64 hexadecimal
    /// digits. It is never made here: all replicas need the same.
    pub key_file: std::path::PathBuf,
    /// How many connections there are for reading. One more is for writing, and
    /// one for listening.
    pub readers: u32,
    /// How long connecting may take, and waiting for one of the readers.
    pub connect_timeout: Duration,
    /// How long one statement may take. The server ends it after that; when the
    /// server is not heard of for half as long again, the connection is given
    /// up.
    pub statement_timeout: Duration,
    /// How long a writer may leave its turn unfinished before the server ends
    /// its session: a process that was stopped in the middle of a commit holds
    /// up the others no longer than this.
    pub turn_timeout: Duration,
    /// Whose clock counts.
    pub time: TimeSource,
    /// What opening does about the schema.
    pub schema: Schema,
}

impl PostgresSettings {
    /// The usual settings for this data base and this key.
    pub fn new(url: SecretString, key_file: std::path::PathBuf) -> Self {
        Self {
            url,
            key_file,
            readers: 8,
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            turn_timeout: Duration::from_secs(3),
            time: TimeSource::default(),
            schema: Schema::default(),
        }
    }

    /// How long to wait for the server, which should have ended the statement.
    pub(super) fn patience(&self) -> Duration {
        self.statement_timeout + self.statement_timeout / 2
    }
}

/// The connections to a data base.
#[derive(Clone, Debug)]
pub(crate) struct Postgres {
    options: PgConnectOptions,
    settings: PostgresSettings,
    readers: PgPool,
}

fn millis(time: Duration) -> String {
    time.as_millis().to_string()
}

impl Postgres {
    /// Readers that connect when they are needed first.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the URL is none.
    pub(crate) fn new(settings: PostgresSettings) -> Result<Self, Error> {
        // What the parser says could repeat the password.
        let options = PgConnectOptions::from_str(settings.url.expose_secret()).map_err(|_| {
            Error::Unavailable(
                "the data base's URL: expected postgres://USER:PASSWORD@HOST:PORT/DATABASE".into(),
            )
        })?;
        let statement_timeout = millis(settings.statement_timeout);
        let options = options
            .application_name("innkeeper")
            .statement_cache_capacity(STATEMENTS_CACHED)
            .options([
                ("statement_timeout", statement_timeout.as_str()),
                ("lock_timeout", statement_timeout.as_str()),
                ("idle_in_transaction_session_timeout", &millis(settings.turn_timeout)),
                ("client_min_messages", "warning"),
            ])
            .disable_statement_logging();
        let readers = PgPoolOptions::new()
            .max_connections(settings.readers.max(1))
            .acquire_timeout(settings.connect_timeout)
            .connect_lazy_with(options.clone());
        Ok(Self { options, settings, readers })
    }

    pub(crate) fn settings(&self) -> &PostgresSettings {
        &self.settings
    }

    /// A connection for writing.
    pub(crate) async fn connect(&self) -> Result<Connection, Error> {
        let connecting = timeout(self.settings.connect_timeout, self.options.connect());
        let connection = connecting.await.map_err(|_| self.silent("does not answer"))?;
        let connection = connection.map_err(|error| self.away(error))?;
        Ok(Connection::Postgres(Link::new(Either::Own(connection), self.settings.patience())))
    }

    /// A connection for changing the schema, which may take long.
    pub(crate) async fn connect_patiently(&self) -> Result<Connection, Error> {
        let mut connection = self.connect().await?;
        connection.run("SET statement_timeout = 0; SET lock_timeout = '60s'").await?;
        if let Connection::Postgres(link) = &mut connection {
            link.set_patience(SCHEMA_PATIENCE);
        }
        Ok(connection)
    }

    /// A connection for reading.
    pub(crate) async fn reader(&self) -> Result<Connection, Error> {
        let connection = self.readers.acquire().await.map_err(|error| self.away(error))?;
        let link = Link::new(Either::Pooled(connection), self.settings.patience());
        Ok(Connection::Postgres(link))
    }

    /// Hears what other processes say.
    pub(crate) async fn listener(&self) -> Result<PgListener, Error> {
        let listening = async {
            let pool = PgPoolOptions::new()
                .max_connections(1)
                .acquire_timeout(self.settings.connect_timeout)
                .connect_lazy_with(self.options.clone());
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.listen(CHANNEL).await?;
            Ok::<_, sqlx::Error>(listener)
        };
        match timeout(self.settings.patience(), listening).await {
            Ok(listener) => listener.map_err(|error| self.away(error)),
            Err(_) => Err(self.silent("does not answer")),
        }
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
    }

    fn silent(&self, what: &str) -> Error {
        let host = self.options.get_host();
        Error::Unavailable(format!("PostgreSQL at {host}:{} {what}", self.options.get_port()))
    }

    fn away(&self, error: sqlx::Error) -> Error {
        match Error::from(error) {
            Error::Unavailable(text) => self.silent(&format!("is away: {text}")),
            other => other,
        }
    }
}

enum Either {
    Own(PgConnection),
    Pooled(PoolConnection<sqlx::Postgres>),
    /// Given up.
    Lost,
}

/// One connection that is given up when the server is not heard of any more.
pub(crate) struct Link {
    connection: Either,
    patience: Duration,
}

fn lost() -> Error {
    Error::Unavailable("the connection to PostgreSQL was lost".to_owned())
}

impl Link {
    fn new(connection: Either, patience: Duration) -> Self {
        Self { connection, patience }
    }

    pub(super) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    pub(super) fn is_lost(&self) -> bool {
        matches!(self.connection, Either::Lost)
    }

    pub(super) fn give_up(&mut self) {
        // A pooled one is closed when it is dropped, for nobody to get it.
        if let Either::Pooled(connection) = &mut self.connection {
            connection.close_on_drop();
        }
        self.connection = Either::Lost;
    }

    /// Lets this be done with the connection, in time.
    pub(super) async fn with<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error> + Send,
    ) -> Result<T, Error> {
        let connection = match &mut self.connection {
            Either::Own(connection) => connection,
            Either::Pooled(connection) => &mut **connection,
            Either::Lost => return Err(lost()),
        };
        match timeout(self.patience, work(connection)).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                if !matches!(error, sqlx::Error::Database(_)) && is_of_connection(&error) {
                    self.give_up();
                }
                Err(error.into())
            }
            Err(_) => {
                self.give_up();
                Err(lost())
            }
        }
    }

    pub(super) async fn close(self) -> Result<(), Error> {
        match self.connection {
            Either::Own(connection) => {
                timeout(self.patience, sqlx::Connection::close(connection))
                    .await
                    .map_err(|_| lost())??;
            }
            Either::Pooled(_) | Either::Lost => {}
        }
        Ok(())
    }
}

fn is_of_connection(error: &sqlx::Error) -> bool {
    matches!(
        error,
        sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed
    )
}

pub(super) fn query<'q>(
    sql: impl sqlx::SqlSafeStr,
    parameters: &[Value],
) -> Query<'q, sqlx::Postgres, PgArguments> {
    let mut query = sqlx::query(sql);
    for parameter in parameters {
        query = match parameter {
            Value::Int(value) => query.bind(*value),
            Value::Text(value) => query.bind(value.clone()),
        };
    }
    query
}

/// What an error of the server means, by its SQLSTATE
/// (https://www.postgresql.org/docs/current/errcodes-appendix.html).
pub(crate) fn meaning(error: &PgDatabaseError) -> Error {
    let message = error.message().to_owned();
    match (error.code(), error.code().get(..2).unwrap_or_default()) {
        // serialization_failure, deadlock_detected, lock_not_available, and
        // query_canceled: by statement_timeout.
        ("40001" | "40P01" | "55P03" | "57014", _) => Error::Busy,
        // not_null, foreign_key, unique, check and exclusion violations.
        (_, "23") => Error::Constraint(constraint(error)),
        // Data exceptions: a NUL in a text, a number out of range.
        (_, "22") => Error::Constraint(message),
        // Syntax error or access rule: insufficient_privilege is the latter.
        ("42501", _) => Error::Unavailable(message),
        (_, "42" | "0A" | "XX") => Error::Corrupt(message),
        _ => Error::Unavailable(message),
    }
}

/// What SQLite calls a constraint: its table and columns.
fn constraint(error: &PgDatabaseError) -> String {
    // "Key (provider, name)=(lab, debian) already exists."
    let columns = error
        .detail()
        .and_then(|detail| detail.strip_prefix("Key ("))
        .and_then(|detail| detail.split_once(")=("))
        .map(|(columns, _)| columns);
    match (error.table(), columns) {
        (Some(table), Some(columns)) => columns
            .split(", ")
            .map(|column| format!("{table}.{column}"))
            .collect::<Vec<_>>()
            .join(", "),
        _ => error.message().to_owned(),
    }
}
