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

/// The scope of names that are numbers, which a door counts up.
pub const NUMBERS: &str = "numbers";

/// Gives an instance the next number of a door: one more than the highest that
/// it ever gave (tombstones count), and at least `first`. One that has a number
/// keeps it.
pub(crate) async fn number(
    tx: &mut Tx,
    door: Door,
    first: u64,
    instance: InstanceId,
) -> Result<(), Error> {
    let scope = NUMBERS;
    if of(&mut tx.db, instance).await?.iter().any(|row| row.door == door && row.scope == scope) {
        return Ok(());
    }
    // Names of digits without leading zeros: the longer one is the greater.
    let select = "SELECT external_id FROM aliases WHERE door = $1 AND scope = $2
        ORDER BY length(external_id) DESC, external_id DESC LIMIT 1";
    let last = tx.db.fetch_one(select, &[word(&door)?, scope.into()]).await?;
    let last = last.map(|row| row.text("external_id")).transpose()?;
    let next = match last {
        None => first,
        Some(last) => {
            let last: u64 = last.parse().map_err(|_| {
                Error::Corrupt(format!("aliases: {last:?} of {door}/{scope} is no number"))
            })?;
            last.saturating_add(1).max(first)
        }
    };
    put(tx, door, scope, &next.to_string(), instance).await
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

/// Every name that is in use.
pub(crate) async fn living(db: &mut Connection) -> Result<Vec<Alias>, Error> {
    let select = "SELECT * FROM aliases WHERE removed_at IS NULL";
    db.fetch_all(select, &[]).await?.iter().map(read).collect()
}

/// Forgets tombstones of before this time. The last number of a door stays:
/// counting goes on after it.
pub(crate) async fn compact(tx: &mut Tx, before: Timestamp) -> Result<(), Error> {
    let delete = "DELETE FROM aliases WHERE removed_at < $1 AND (scope <> $2 OR EXISTS (
        SELECT 1 FROM aliases AS later WHERE later.door = aliases.door
            AND later.scope = aliases.scope
            AND (length(later.external_id) > length(aliases.external_id)
                OR (length(later.external_id) = length(aliases.external_id)
                    AND later.external_id > aliases.external_id))))";
    tx.db.execute(delete, &[before.into(), NUMBERS.into()]).await?;
    Ok(())
}
