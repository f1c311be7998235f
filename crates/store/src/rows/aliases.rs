use model::{Door, InstanceId, Timestamp};

use crate::Error;
use crate::db::{Connection, Row, Tx, text, word};

/// A name that a dialect gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The dialect's door.
    pub door: Door,
    /// Within which the name is unique.
    pub scope: String,
    /// The name.
    pub external_id: String,
    /// The instance, which is gone when `removed_at` is set.
    pub instance: InstanceId,
    /// When the instance went.
    pub removed_at: Option<Timestamp>,
}

fn read(row: &Row) -> Result<Alias, Error> {
    Ok(Alias {
        door: row.word("door")?,
        scope: row.text("scope")?,
        external_id: row.text("external_id")?,
        instance: row.parsed("instance")?,
        removed_at: row.opt_time("removed_at")?,
    })
}

pub(crate) async fn put(
    tx: &mut Tx,
    door: Door,
    scope: &str,
    external_id: &str,
    instance: InstanceId,
) -> Result<(), Error> {
    if let Some(alias) = get(&mut tx.db, door, scope, external_id).await? {
        if alias.instance == instance && alias.removed_at.is_none() {
            return Ok(());
        }
        let what = if alias.removed_at.is_some() { "was the name of" } else { "is the name of" };
        return Err(Error::Constraint(format!(
            "alias {door}/{scope}/{external_id} {what} instance {}",
            alias.instance
        )));
    }
    let insert = "INSERT INTO aliases (door, scope, external_id, instance, created_at)
        VALUES ($1, $2, $3, $4, $5)";
    let parameters =
        [word(&door)?, scope.into(), external_id.into(), text(instance), tx.now.into()];
    tx.db.execute(insert, &parameters).await?;
    Ok(())
}

pub(crate) async fn get(
    db: &mut Connection,
    door: Door,
    scope: &str,
    external_id: &str,
) -> Result<Option<Alias>, Error> {
    let select = "SELECT * FROM aliases WHERE door = $1 AND scope = $2 AND external_id = $3";
    let row = db.fetch_one(select, &[word(&door)?, scope.into(), external_id.into()]).await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn of(db: &mut Connection, instance: InstanceId) -> Result<Vec<Alias>, Error> {
    let select = "SELECT * FROM aliases WHERE instance = $1 ORDER BY door, scope, external_id";
    db.fetch_all(select, &[text(instance)]).await?.iter().map(read).collect()
}

/// Makes an instance's names tombstones.
pub(crate) async fn bury(tx: &mut Tx, instance: InstanceId) -> Result<(), Error> {
    let update = "UPDATE aliases SET removed_at = $2 WHERE instance = $1 AND removed_at IS NULL";
    tx.db.execute(update, &[text(instance), tx.now.into()]).await?;
    Ok(())
}

/// Forgets tombstones of before this time.
pub(crate) async fn compact(tx: &mut Tx, before: Timestamp) -> Result<(), Error> {
    tx.db.execute("DELETE FROM aliases WHERE removed_at < $1", &[before.into()]).await?;
    Ok(())
}
