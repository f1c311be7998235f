//! Another key for the secrets at rest: everything that is sealed is opened with
//! the old key and sealed with the new one, in one transaction.

use std::path::Path;

use model::{Clock, Door, InstanceId, SecretId};
use secrecy::ExposeSecret as _;

use crate::Error;
use crate::db::{
    Connection, FileLock, Postgres, PostgresSettings, SchemaLock, Sqlite, Synchronous,
};
use crate::rows::annotations;
use crate::seal::{Key, key_in, place_of};
use crate::store::Store;

impl Store {
    /// Seals what the SQLite store in this file holds with another key. Nobody may
    /// have it open. Answers how many secrets there are; the key files stay as
    /// they are.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the file or a key is missing or in use;
    /// [`Error::Constraint`] when the old key is not the one that it is sealed with.
    pub async fn rekey_sqlite(path: &Path, old: &Path, new: &Path) -> Result<u64, Error> {
        if !path.exists() {
            return Err(Error::Unavailable(format!("{} is not there", path.display())));
        }
        let (old, new) = (present(old)?, present(new)?);
        let _lock = FileLock::take(path).await?;
        let (_, mut db) = Sqlite::open(path, Synchronous::Full).await?;
        let sealed = rekey(&mut db, &old, &new).await?;
        db.close().await?;
        Ok(sealed)
    }

    /// The same for a PostgreSQL store, whose key file is the old key. No replica
    /// may be running: each keeps the old key in memory.
    ///
    /// # Errors
    /// As [`Store::rekey_sqlite`]; [`Error::Constraint`] while a replica's lease
    /// has not run out.
    pub async fn rekey_postgres(
        settings: PostgresSettings,
        new: &Path,
        clock: &dyn Clock,
    ) -> Result<u64, Error> {
        let (old, new) = (present(&settings.key_file)?, present(new)?);
        let mut db = Postgres::new(settings)?.connect_patiently().await?;
        let lock = SchemaLock::take(&mut db).await?;
        let sealed = async {
            let select = "SELECT id FROM epochs WHERE expires_at > $1";
            if db.fetch_one(select, &[clock.now().into()]).await?.is_some() {
                let text = "a replica is running, or was until a moment ago: stop all of them, \
                            wait two minutes, and try again";
                return Err(Error::Constraint(text.to_owned()));
            }
            rekey(&mut db, &old, &new).await
        };
        let sealed = sealed.await;
        if sealed.is_err() {
            // What was not committed goes with the connection.
            db.give_up();
            return sealed;
        }
        lock.release(&mut db).await?;
        db.close().await?;
        sealed
    }
}

/// The key in a file that must be there.
fn present(file: &Path) -> Result<Key, Error> {
    if !file.exists() {
        return Err(Error::Unavailable(format!("the key file {} is missing", file.display())));
    }
    key_in(file)
}

async fn rekey(db: &mut Connection, old: &Key, new: &Key) -> Result<u64, Error> {
    db.run(db.texts().begin).await?;
    let row = db.fetch_one("SELECT key_id FROM installation", &[]).await?;
    let row = row.ok_or_else(|| Error::Constraint("the data base holds no store".to_owned()))?;
    let sealed_with = row.text("key_id")?;
    if sealed_with != old.id() {
        let text = format!("it is sealed with the key {sealed_with}, not with {}", old.id());
        return Err(Error::Constraint(text));
    }
    let count = secrets(db, old, new).await? + sealed_annotations(db, old, new).await?;
    db.execute("UPDATE installation SET key_id = $1", &[new.id().into()]).await?;
    db.run("COMMIT").await?;
    Ok(count)
}

async fn secrets(db: &mut Connection, old: &Key, new: &Key) -> Result<u64, Error> {
    let mut count = 0;
    for row in db.fetch_all("SELECT id, envelope FROM secrets", &[]).await? {
        let text = row.text("id")?;
        let id: SecretId =
            text.parse().map_err(|_| Error::Corrupt(format!("secret {text}: not an id")))?;
        let place = place_of(id);
        let secret = old.open(&place, &row.text("envelope")?)?;
        let envelope = new.seal(&place, secret.expose_secret())?;
        let update = "UPDATE secrets SET envelope = $2 WHERE id = $1";
        db.execute(update, &[text.as_str().into(), envelope.into()]).await?;
        count += 1;
    }
    Ok(count)
}

async fn sealed_annotations(db: &mut Connection, old: &Key, new: &Key) -> Result<u64, Error> {
    let mut count = 0;
    let select = "SELECT owner, door, key, value FROM annotations WHERE sealed = 1";
    for row in db.fetch_all(select, &[]).await? {
        let (owner, key) = (row.text("owner")?, row.text("key")?);
        let instance: InstanceId = owner
            .parse()
            .map_err(|_| Error::Corrupt(format!("annotation of {owner}: not an id")))?;
        let door: Door = row.word("door")?;
        let place = annotations::place(instance, door, &key);
        let secret = old.open(&place, &row.text("value")?)?;
        let sealed = new.seal(&place, secret.expose_secret())?;
        let update =
            "UPDATE annotations SET value = $4 WHERE owner = $1 AND door = $2 AND key = $3";
        let door = row.text("door")?;
        let parameters =
            [owner.as_str().into(), door.as_str().into(), key.as_str().into(), sealed.into()];
        db.execute(update, &parameters).await?;
        count += 1;
    }
    Ok(count)
}
