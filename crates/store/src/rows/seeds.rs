use model::{InstanceId, Sealed};

use super::secrets;
use crate::Error;
use crate::db::{Connection, Row, Tx, text};

/// What a guest asks for when it starts for the first time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// Whose.
    pub instance: InstanceId,
    /// The SHA-256 of the token that the guest asks with, in hexadecimal: what
    /// it is looked up by.
    pub token_hash: String,
    /// The token, to build the address with again.
    pub token: Sealed,
    /// The texts, as JSON.
    pub documents: Sealed,
}

fn read(row: &Row) -> Result<Seed, Error> {
    Ok(Seed {
        instance: row.parsed("instance")?,
        token_hash: row.text("token_hash")?,
        token: Sealed(row.parsed("token")?),
        documents: Sealed(row.parsed("documents")?),
    })
}

pub(crate) async fn put(tx: &mut Tx, seed: &Seed) -> Result<(), Error> {
    if let Some(old) = get(&mut tx.db, seed.instance).await? {
        for secret in [old.token, old.documents] {
            if secret != seed.token && secret != seed.documents {
                secrets::remove(tx, secret.0).await?;
            }
        }
    }
    let put = "INSERT INTO seeds (instance, token_hash, token, documents, created_at)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (instance) DO UPDATE SET token_hash = excluded.token_hash,
            token = excluded.token, documents = excluded.documents";
    let parameters = [
        text(seed.instance),
        seed.token_hash.as_str().into(),
        text(seed.token.0),
        text(seed.documents.0),
        tx.now.into(),
    ];
    tx.db.execute(put, &parameters).await?;
    Ok(())
}

pub(crate) async fn get(db: &mut Connection, instance: InstanceId) -> Result<Option<Seed>, Error> {
    let row = db.fetch_one("SELECT * FROM seeds WHERE instance = $1", &[text(instance)]).await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn by_token(db: &mut Connection, token_hash: &str) -> Result<Option<Seed>, Error> {
    let row =
        db.fetch_one("SELECT * FROM seeds WHERE token_hash = $1", &[token_hash.into()]).await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn remove(tx: &mut Tx, instance: InstanceId) -> Result<(), Error> {
    let Some(seed) = get(&mut tx.db, instance).await? else { return Ok(()) };
    secrets::remove(tx, seed.token.0).await?;
    secrets::remove(tx, seed.documents.0).await?;
    tx.db.execute("DELETE FROM seeds WHERE instance = $1", &[text(instance)]).await?;
    Ok(())
}
