//! Opening a store, and setting one up.

use std::path::Path;
use std::sync::Arc;

use model::{Clock, InstallationId, Random};

use crate::Error;
use crate::db::{
    Connection, DataBase, FileLock, Postgres, PostgresSettings, Schema, SchemaLock, Sqlite, Target,
    Writer, migrate, refuse_old, text,
};
use crate::seal::{Key, key_in};
use crate::store::{Settings, Store};

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
        let name = path.display().to_string();
        migrate(&mut db, clock.now()).await.map_err(|error| named(&name, error))?;
        let key_file = settings.key_file.unwrap_or_else(|| folder.join("secret.key"));
        let installed = installation(&mut db).await?;
        if installed.is_some() && !key_file.exists() {
            return Err(Error::Unavailable(format!(
                "the key file {} is missing: the secrets in {name} cannot be opened without it",
                key_file.display(),
            )));
        }
        let key = key_in(&key_file)?;
        let installed = match installed {
            Some((id, key_id)) => fits(&name, &key, &key_file, id, &key_id)?,
            None => install(&mut db, &key, &*clock, &*random).await?,
        };
        let target = Target::Alone { _lock: lock };
        let process = installed;
        Self::begin(DataBase::Sqlite(sqlite), db, target, installed, process, key, clock).await
    }

    /// Opens the store in this PostgreSQL data base, which must be there. Any
    /// number of processes can have it open. The key is never made here.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the data base does not answer or the key is
    /// missing; [`Error::Corrupt`] when its schema is not this program's, or it
    /// belongs to another key.
    pub async fn open_postgres(
        settings: PostgresSettings,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Arc<Self>, Error> {
        let key_file = settings.key_file.clone();
        if !key_file.exists() {
            return Err(Error::Unavailable(format!(
                "the key file {} is missing: with PostgreSQL it is made by an administrator \
                 (64 hexadecimal digits; `openssl rand -hex 32`), the same for all replicas",
                key_file.display()
            )));
        }
        let key = key_in(&key_file)?;
        let postgres = Arc::new(Postgres::new(settings)?);
        let mut db = postgres.connect_patiently().await?;
        let lock = SchemaLock::take(&mut db).await?;
        let schema = postgres.settings().schema;
        let set_up = set_up(&mut db, schema, &key, &key_file, &*clock, &*random).await;
        lock.release(&mut db).await?;
        let installed = set_up?;
        db.hurry(&postgres).await?;
        let target = Target::Shared(Arc::clone(&postgres));
        let process = InstallationId::generate(&*clock, &*random);
        let data_base = DataBase::Postgres(postgres);
        Self::begin(data_base, db, target, installed, process, key, clock).await
    }

    async fn begin(
        data_base: DataBase,
        db: Connection,
        target: Target,
        installation: InstallationId,
        process: InstallationId,
        key: Key,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, Error> {
        let key = Arc::new(key);
        let named = installation.to_string();
        let writer = Writer::begin(db, target, named, Arc::clone(&key), Arc::clone(&clock));
        let writer = writer.await?;
        let process = process.to_string();
        Ok(Arc::new(Self { data_base, writer, key, clock, installation, process }))
    }
}

async fn set_up(
    db: &mut Connection,
    schema: Schema,
    key: &Key,
    key_file: &Path,
    clock: &dyn Clock,
    random: &dyn Random,
) -> Result<InstallationId, Error> {
    let name = "the PostgreSQL data base";
    if schema == Schema::Expect {
        refuse_old(db).await.map_err(|error| named(name, error))?;
    }
    migrate(db, clock.now()).await.map_err(|error| named(name, error))?;
    match installation(db).await? {
        Some((id, key_id)) => fits(name, key, key_file, id, &key_id),
        None => install(db, key, clock, random).await,
    }
}

fn fits(
    name: &str,
    key: &Key,
    key_file: &Path,
    id: InstallationId,
    key_id: &str,
) -> Result<InstallationId, Error> {
    if key_id == key.id() {
        return Ok(id);
    }
    Err(Error::Corrupt(format!(
        "{name} is sealed with the key {key_id}, but {} is the key {}",
        key_file.display(),
        key.id()
    )))
}

fn named(name: &str, error: Error) -> Error {
    match error {
        Error::Corrupt(text) => Error::Corrupt(format!("{name}: {text}")),
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
