use model::{InstanceId, SecretId};
use secrecy::{ExposeSecret as _, SecretString};

use crate::Error;
use crate::db::{Connection, Tx, Value, text};
use crate::seal::{Key, place_of};

pub(crate) async fn put(
    tx: &mut Tx,
    id: SecretId,
    owner: Option<InstanceId>,
    value: &SecretString,
) -> Result<(), Error> {
    let envelope = tx.key.seal(&place_of(id), value.expose_secret())?;
    let put = "INSERT INTO secrets (id, owner, envelope, created_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, envelope = excluded.envelope";
    let owner = Value::Text(owner.map(|id| id.to_string()));
    tx.db.execute(put, &[text(id), owner, envelope.into(), tx.now.into()]).await?;
    Ok(())
}

/// The only way from an envelope to a secret.
pub(crate) async fn reveal(
    db: &mut Connection,
    key: &Key,
    id: SecretId,
) -> Result<SecretString, Error> {
    let row = db.fetch_one("SELECT envelope FROM secrets WHERE id = $1", &[text(id)]).await?;
    let row = row.ok_or_else(|| Error::not_found("secret", id))?;
    key.open(&place_of(id), &row.text("envelope")?)
}

pub(crate) async fn remove(tx: &mut Tx, id: SecretId) -> Result<(), Error> {
    tx.db.execute("DELETE FROM secrets WHERE id = $1", &[text(id)]).await?;
    Ok(())
}

pub(crate) async fn remove_of(tx: &mut Tx, owner: InstanceId) -> Result<(), Error> {
    tx.db.execute("DELETE FROM secrets WHERE owner = $1", &[text(owner)]).await?;
    Ok(())
}
