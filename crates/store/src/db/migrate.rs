//! Bringing a data base to the schema that this version knows.

use model::Timestamp;

use super::{Connection, Value, postgres};
use crate::Error;

/// The migrations, in order; the first makes version 1. A released one never
/// changes.
///
/// To add one, add a file and a line here. It is one text for all data bases,
/// in the SQL that they have in common (see the module `db`); its types are
/// `TEXT` and `BIGINT`, in capitals.
const MIGRATIONS: &[(&str, &str)] = &[
    ("core", include_str!("../../migrations/0001_core.sql")),
    ("leases", include_str!("../../migrations/0002_leases.sql")),
    ("life", include_str!("../../migrations/0003_life.sql")),
    ("orphans", include_str!("../../migrations/0004_orphans.sql")),
    ("keys", include_str!("../../migrations/0005_keys.sql")),
    ("events", include_str!("../../migrations/0006_events.sql")),
    ("projects", include_str!("../../migrations/0007_projects.sql")),
    ("ownership", include_str!("../../migrations/0008_ownership.sql")),
    ("webhooks", include_str!("../../migrations/0009_webhooks.sql")),
    ("devices", include_str!("../../migrations/0010_devices.sql")),
];

const CREATE_VERSIONS: &str = "CREATE TABLE IF NOT EXISTS schema_versions (
    version BIGINT PRIMARY KEY,
    applied_at BIGINT NOT NULL
)";

/// The version of the schema that this program knows.
pub(crate) const KNOWN: usize = MIGRATIONS.len();

/// Applies what is missing, each migration in its own transaction. On a data
/// base that others use this is done under a [`SchemaLock`].
///
/// # Errors
/// [`Error::Corrupt`] when the data base is newer than this version.
pub(crate) async fn migrate(connection: &mut Connection, now: Timestamp) -> Result<(), Error> {
    for (index, (_, migration)) in MIGRATIONS.iter().enumerate().skip(present(connection).await?) {
        connection.run(connection.texts().begin).await?;
        let applied = apply(connection, index, migration, now).await;
        connection.run(if applied.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        applied?;
    }
    Ok(())
}

/// Refuses a data base that has a schema, and an older one than this version's.
///
/// # Errors
/// [`Error::Corrupt`] when it is older or newer.
pub(crate) async fn refuse_old(connection: &mut Connection) -> Result<(), Error> {
    match present(connection).await? {
        0 | KNOWN => Ok(()),
        present => Err(Error::Corrupt(format!(
            "its schema has version {present}, this program needs version {KNOWN}: stop all \
             replicas and run `innkeeper migrate`"
        ))),
    }
}

/// The versions that are missing, with their names.
pub(crate) async fn missing(connection: &mut Connection) -> Result<Vec<String>, Error> {
    let present = present(connection).await?;
    let missing = MIGRATIONS.iter().enumerate().skip(present);
    Ok(missing.map(|(index, (name, _))| format!("{} {name}", index + 1)).collect())
}

/// The version that is there, 0 for none; newer ones are refused.
pub(crate) async fn present(connection: &mut Connection) -> Result<usize, Error> {
    let present = version(connection).await?;
    if present > KNOWN {
        return Err(Error::Corrupt(format!(
            "its schema has version {present}, this program knows versions up to {KNOWN}: \
             use the program that wrote it, or a newer one"
        )));
    }
    Ok(present)
}

async fn version(connection: &mut Connection) -> Result<usize, Error> {
    let there = match connection {
        Connection::Postgres(_) => {
            "SELECT 1 AS one FROM information_schema.tables
                WHERE table_schema = current_schema() AND table_name = 'schema_versions'"
        }
        _ => "SELECT 1 AS one FROM sqlite_master WHERE name = 'schema_versions'",
    };
    if connection.fetch_one(there, &[]).await?.is_none() {
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
    connection.run(CREATE_VERSIONS).await?;
    let text = match connection {
        // Texts are compared byte by byte on both: the order of a list must not
        // depend on the language that the data base was made for.
        Connection::Postgres(_) => with_byte_order(migration),
        _ => migration.to_owned(),
    };
    connection.run_text(text).await?;
    let version = i64::try_from(index + 1).unwrap_or(i64::MAX);
    connection
        .execute(
            "INSERT INTO schema_versions (version, applied_at) VALUES ($1, $2)",
            &[Value::from(version), now.into()],
        )
        .await?;
    Ok(())
}

/// Gives every column of the type `TEXT` the collation "C".
fn with_byte_order(migration: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut text = String::with_capacity(migration.len() + 1024);
    for part in migration.split_inclusive(|c| !is_word(c)) {
        match part.strip_prefix("TEXT") {
            Some(rest) if !rest.starts_with(is_word) => {
                text.push_str("TEXT COLLATE \"C\"");
                text.push_str(rest);
            }
            _ => text.push_str(part),
        }
    }
    text
}

/// Held by whoever looks at the schema or changes it, so that two replicas that
/// start at once do not both set it up. It goes with its connection.
pub(crate) struct SchemaLock;

impl SchemaLock {
    /// Waits for it.
    pub(crate) async fn take(connection: &mut Connection) -> Result<Self, Error> {
        connection.run(postgres::LOCK_SCHEMA).await?;
        Ok(Self)
    }

    /// Gives it back.
    pub(crate) async fn release(self, connection: &mut Connection) -> Result<(), Error> {
        connection.run(postgres::UNLOCK_SCHEMA).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_columns_get_an_order_of_bytes_and_nothing_else_changes() {
        let text = "a TEXT, b TEXT NOT NULL, text TEXT\n) -- CONTEXT TEXTS";
        let expected = "a TEXT COLLATE \"C\", b TEXT COLLATE \"C\" NOT NULL, \
            text TEXT COLLATE \"C\"\n) -- CONTEXT TEXTS";
        assert_eq!(with_byte_order(text), expected);
    }
}
