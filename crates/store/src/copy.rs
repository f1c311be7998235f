//! Moving a store from SQLite to PostgreSQL.

use std::path::Path;

use aws_lc_rs::digest;
use model::Clock;

use crate::Error;
use crate::db::{
    Connection, FileLock, KNOWN, Postgres, PostgresSettings, Row, SchemaLock, Sqlite, Synchronous,
    Value, migrate, missing, present,
};
use crate::seal::key_in;
use crate::store::Store;

/// How many rows are read and written at a time.
const PAGE: i64 = 200;

/// What was copied of a table, and is the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The table.
    pub table: String,
    /// How many rows.
    pub rows: u64,
    /// A digest of all rows, whatever their order (hexadecimal).
    pub digest: String,
}

/// A table as SQLite describes it.
struct Table {
    name: String,
    /// Its columns, and whether each is a number.
    columns: Vec<(String, bool)>,
}

/// The sum of the digests of rows: it does not depend on their order.
#[derive(Default)]
struct Sum {
    rows: u64,
    lanes: [u64; 4],
}

impl Sum {
    fn add(&mut self, values: &[Value]) {
        let digest = digest::digest(&digest::SHA256, format!("{values:?}").as_bytes());
        for (lane, bytes) in self.lanes.iter_mut().zip(digest.as_ref().chunks_exact(8)) {
            let bytes = bytes.try_into().unwrap_or([0; 8]);
            *lane = lane.wrapping_add(u64::from_be_bytes(bytes));
        }
        self.rows += 1;
    }

    fn of(self, table: &Table) -> Copied {
        let digest = self.lanes.iter().map(|lane| format!("{lane:016x}")).collect();
        Copied { table: table.name.clone(), rows: self.rows, digest }
    }
}

impl Store {
    /// The migrations that opening a SQLite store would apply; none when the
    /// file is not there yet.
    ///
    /// # Errors
    /// When it cannot be read, or is newer than this program.
    pub async fn missing_in_sqlite(path: &Path) -> Result<Vec<String>, Error> {
        if !path.exists() {
            return Ok(Vec::new());
        }
        let _lock = FileLock::take(path).await?;
        let (_, mut db) = Sqlite::open(path, Synchronous::Full).await?;
        let missing = missing(&mut db).await;
        db.close().await?;
        missing
    }

    /// The migrations that a PostgreSQL data base needs.
    ///
    /// # Errors
    /// When it does not answer, or is newer than this program.
    pub async fn missing_in_postgres(settings: PostgresSettings) -> Result<Vec<String>, Error> {
        let mut db = Postgres::new(settings)?.connect().await?;
        missing(&mut db).await
    }

    /// Copies everything from the SQLite store in this file, which nobody may
    /// have open, to a PostgreSQL data base that holds nothing. All of it
    /// arrives, or nothing. The sequences go on where they were, and secrets
    /// stay sealed with the same key.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when a side is away or in use;
    /// [`Error::Constraint`] when the target is not empty, the versions or the
    /// keys differ, or what has arrived is not what was sent.
    pub async fn copy_to_postgres(
        from: &Path,
        to: PostgresSettings,
        clock: &dyn Clock,
    ) -> Result<Vec<Copied>, Error> {
        if !from.exists() {
            return Err(Error::Unavailable(format!("{} is not there", from.display())));
        }
        let _lock = FileLock::take(from).await?;
        let (_, mut source) = Sqlite::open(from, Synchronous::Full).await?;
        check_source(&mut source, from, &to).await?;
        let mut target = Postgres::new(to)?.connect_patiently().await?;
        let lock = SchemaLock::take(&mut target).await?;
        let copied = copy(&mut source, &mut target, clock).await;
        if copied.is_err() {
            // What was not committed goes with the connection.
            target.give_up();
            return copied;
        }
        lock.release(&mut target).await?;
        target.close().await?;
        copied
    }
}

async fn check_source(
    source: &mut Connection,
    from: &Path,
    to: &PostgresSettings,
) -> Result<(), Error> {
    let refuse = |text: String| Err(Error::Constraint(format!("{}: {text}", from.display())));
    match present(source).await? {
        KNOWN => {}
        version => {
            return refuse(format!(
                "its schema has version {version}, expected {KNOWN}: run `innkeeper migrate` on it"
            ));
        }
    }
    let row = source.fetch_one("SELECT key_id FROM installation", &[]).await?;
    let sealed_with = row.map(|row| row.text("key_id")).transpose()?.unwrap_or_default();
    if !to.key_file.exists() {
        return refuse(format!("the key file {} is missing", to.key_file.display()));
    }
    let key = key_in(&to.key_file)?;
    if key.id() == sealed_with {
        return Ok(());
    }
    let (file, id) = (to.key_file.display(), key.id());
    refuse(format!("its secrets are sealed with the key {sealed_with}, but {file} is the key {id}"))
}

async fn copy(
    source: &mut Connection,
    target: &mut Connection,
    clock: &dyn Clock,
) -> Result<Vec<Copied>, Error> {
    present(target).await?;
    migrate(target, clock.now()).await?;
    target.run(target.texts().begin).await?;
    let tables = tables(source).await?;
    for table in &tables {
        let select = format!("SELECT 1 AS one FROM {} LIMIT 1", table.name);
        if target.fetch_all_text(select, &[]).await?.is_empty() {
            continue;
        }
        return Err(Error::Constraint(format!(
            "the target is not empty: its table {} has rows",
            table.name
        )));
    }
    let mut all = Vec::with_capacity(tables.len());
    for table in &tables {
        let sent = send(source, target, table).await?;
        let arrived = read_back(target, table).await?;
        if sent != arrived {
            return Err(Error::Constraint(format!(
                "table {}: {} rows with digest {} were sent, {} with {} arrived",
                table.name, sent.rows, sent.digest, arrived.rows, arrived.digest
            )));
        }
        all.push(sent);
    }
    target.run("COMMIT").await?;
    Ok(all)
}

/// All tables with their columns, those that others refer to first.
async fn tables(source: &mut Connection) -> Result<Vec<Table>, Error> {
    // A table can refer to those only that were made before it.
    let select = "SELECT name FROM sqlite_master WHERE type = 'table'
        AND name NOT LIKE 'sqlite_%' AND name <> 'schema_versions' ORDER BY rowid";
    let mut tables = Vec::new();
    for row in source.fetch_all(select, &[]).await? {
        let name = row.text("name")?;
        let select = "SELECT name, type FROM pragma_table_info($1) ORDER BY cid";
        let columns = source.fetch_all(select, &[name.as_str().into()]).await?;
        let column = |row: &Row| Ok((row.text("name")?, row.text("type")? == "BIGINT"));
        let columns = columns.iter().map(column).collect::<Result<_, Error>>()?;
        tables.push(Table { name, columns });
    }
    Ok(tables)
}

impl Table {
    fn names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        names.join(", ")
    }

    fn values(&self, row: &Row) -> Result<Vec<Value>, Error> {
        let value = |(name, is_number): &(String, bool)| {
            Ok(match is_number {
                true => Value::Int(row.opt_int(name)?),
                false => Value::Text(row.opt_text(name)?),
            })
        };
        self.columns.iter().map(value).collect()
    }
}

async fn send(
    source: &mut Connection,
    target: &mut Connection,
    table: &Table,
) -> Result<Copied, Error> {
    let (mut sum, mut after) = (Sum::default(), 0);
    let select = format!(
        "SELECT rowid AS its_rowid, {} FROM {} WHERE rowid > $1 ORDER BY rowid LIMIT {PAGE}",
        table.names(),
        table.name
    );
    loop {
        let rows = source.fetch_all_text(select.clone(), &[Value::from(after)]).await?;
        let Some(last) = rows.last() else { return Ok(sum.of(table)) };
        after = last.int("its_rowid")?;
        let mut parameters = Vec::with_capacity(rows.len() * table.columns.len());
        let mut places = Vec::with_capacity(rows.len());
        for row in &rows {
            let values = table.values(row)?;
            sum.add(&values);
            let first = parameters.len() + 1;
            let place: Vec<String> =
                (first..first + values.len()).map(|number| format!("${number}")).collect();
            places.push(format!("({})", place.join(", ")));
            parameters.extend(values);
        }
        let (name, names) = (&table.name, table.names());
        let insert = format!("INSERT INTO {name} ({names}) VALUES {}", places.join(", "));
        target.fetch_all_text(insert, &parameters).await?;
    }
}

/// Reads everything back, in the transaction that wrote it.
async fn read_back(target: &mut Connection, table: &Table) -> Result<Copied, Error> {
    let mut sum = Sum::default();
    let (name, names) = (&table.name, table.names());
    let cursor = format!("DECLARE arrived NO SCROLL CURSOR FOR SELECT {names} FROM {name}");
    target.fetch_all_text(cursor, &[]).await?;
    loop {
        let rows = target.fetch_all_text(format!("FETCH {PAGE} FROM arrived"), &[]).await?;
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            sum.add(&table.values(row)?);
        }
    }
    target.run("CLOSE arrived").await?;
    Ok(sum.of(table))
}
