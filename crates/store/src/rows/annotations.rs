use model::{Door, InstanceId};
use secrecy::ExposeSecret as _;

use crate::change::Annotation;
use crate::db::{Connection, Row, Tx, text, word};
use crate::seal::Key;
use crate::{Error, db::Value};

/// A door's own data about an instance.
#[derive(Clone, Debug)]
pub struct AnnotationRow {
    /// The door.
    pub door: Door,
    /// What it is.
    pub key: String,
    /// The data.
    pub value: Annotation,
}

pub(crate) fn place(owner: InstanceId, door: Door, key: &str) -> String {
    format!("annotation/{owner}/{door}/{key}")
}

pub(crate) async fn put(
    tx: &mut Tx,
    owner: InstanceId,
    door: Door,
    key: &str,
    value: &Annotation,
) -> Result<(), Error> {
    let (stored, sealed): (Value, bool) = match value {
        Annotation::Plain(text) => (text.as_str().into(), false),
        Annotation::Sealed(secret) => {
            (tx.key.seal(&place(owner, door, key), secret.expose_secret())?.into(), true)
        }
    };
    let put = "INSERT INTO annotations (owner, door, key, value, sealed)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (owner, door, key)
        DO UPDATE SET value = excluded.value, sealed = excluded.sealed";
    tx.db.execute(put, &[text(owner), word(&door)?, key.into(), stored, sealed.into()]).await?;
    Ok(())
}

pub(crate) async fn of(
    db: &mut Connection,
    seal: &Key,
    owner: InstanceId,
) -> Result<Vec<AnnotationRow>, Error> {
    let select = "SELECT * FROM annotations WHERE owner = $1 ORDER BY door, key";
    let read = |row: &Row| {
        let (door, key) = (row.word("door")?, row.text("key")?);
        let stored = row.text("value")?;
        let value = if row.truth("sealed")? {
            Annotation::Sealed(seal.open(&place(owner, door, &key), &stored)?)
        } else {
            Annotation::Plain(stored)
        };
        Ok(AnnotationRow { door, key, value })
    };
    db.fetch_all(select, &[text(owner)]).await?.iter().map(read).collect()
}

pub(crate) async fn remove(
    tx: &mut Tx,
    owner: InstanceId,
    door: Door,
    key: &str,
) -> Result<(), Error> {
    let delete = "DELETE FROM annotations WHERE owner = $1 AND door = $2 AND key = $3";
    tx.db.execute(delete, &[text(owner), word(&door)?, key.into()]).await?;
    Ok(())
}

pub(crate) async fn remove_of(tx: &mut Tx, owner: InstanceId) -> Result<(), Error> {
    tx.db.execute("DELETE FROM annotations WHERE owner = $1", &[text(owner)]).await?;
    Ok(())
}
