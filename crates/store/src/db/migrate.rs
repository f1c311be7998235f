//! Bringing a data base to the schema that this version knows.

use model::Timestamp;
use sqlx::AssertSqlSafe;

use super::{Connection, Value};
use crate::Error;

/// The migrations of SQLite, in order; the first makes version 1. A released
/// one never changes.
const SQLITE: &[&str] = &[include_str!("../../migrations/sqlite/0001_core.sql")];

const CREATE_VERSIONS: &str = "CREATE TABLE IF NOT EXISTS schema_versions (
    version BIGINT PRIMARY KEY,
    applied_at BIGINT NOT NULL
)";

/// Applies what is missing, each migration in its own transaction.
///
/// # Errors
/// [`Error::Corrupt`] when the data base is newer than this version.
pub(crate) async fn migrate(connection: &mut Connection, now: Timestamp) -> Result<(), Error> {
    let known = SQLITE.len();
    let present = version(connection).await?;
    if present > known {
        return Err(Error::Corrupt(format!(
            "its schema has version {present}, this program knows versions up to {known}: \
             use the program that wrote it, or a newer one"
        )));
    }
    for (index, migration) in SQLITE.iter().enumerate().skip(present) {
        connection.execute(connection.texts().begin, &[]).await?;
        let applied = apply(connection, index, migration, now).await;
        let end = if applied.is_ok() { "COMMIT" } else { "ROLLBACK" };
        connection.execute(end, &[]).await?;
        applied?;
    }
    Ok(())
}

async fn version(connection: &mut Connection) -> Result<usize, Error> {
    let there = connection
        .fetch_one("SELECT 1 AS one FROM sqlite_master WHERE name = 'schema_versions'", &[])
        .await?;
    if there.is_none() {
        return Ok(0);
    }
    let row = connection
        .fetch_one("SELECT COALESCE(MAX(version), 0) AS version FROM schema_versions", &[])
        .await?;
    let version = row.map_or(Ok(0), |row| row.uint("version"))?;
    usize::try_from(version).map_err(|_| Error::Corrupt("schema version".to_owned()))
}

async fn apply(
    connection: &mut Connection,
    index: usize,
    migration: &'static str,
    now: Timestamp,
) -> Result<(), Error> {
    connection.execute(CREATE_VERSIONS, &[]).await?;
    sqlx::raw_sql(AssertSqlSafe(migration)).execute(connection.sqlite()).await?;
    let version = i64::try_from(index + 1).unwrap_or(i64::MAX);
    connection
        .execute(
            "INSERT INTO schema_versions (version, applied_at) VALUES ($1, $2)",
            &[Value::from(version), now.into()],
        )
        .await?;
    Ok(())
}
