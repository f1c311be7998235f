use model::{InstanceId, Timestamp};

use super::page;
use crate::Error;
use crate::db::{Connection, Row, Tx, Value, text};

/// Something that happened, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its place in the order of all changes.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// The instance that it is about, if any.
    pub instance: Option<InstanceId>,
    /// What.
    pub text: String,
}

pub(crate) async fn note(
    tx: &mut Tx,
    instance: Option<InstanceId>,
    what: &str,
) -> Result<(), Error> {
    let sequence = tx.next_sequence().await?;
    let insert = "INSERT INTO events (sequence, at, instance, text) VALUES ($1, $2, $3, $4)";
    let instance = Value::Text(instance.map(|id| id.to_string()));
    tx.db.execute(insert, &[sequence.into(), tx.now.into(), instance, text(what)]).await?;
    Ok(())
}

/// The newest events first.
pub(crate) async fn list(
    db: &mut Connection,
    instance: Option<InstanceId>,
    limit: u32,
) -> Result<Vec<Event>, Error> {
    let select = "SELECT * FROM events WHERE ($1 IS NULL OR instance = $1)
        ORDER BY sequence DESC LIMIT $2";
    let read = |row: &Row| {
        Ok(Event {
            sequence: row.uint("sequence")?,
            at: row.time("at")?,
            instance: row.opt_parsed("instance")?,
            text: row.text("text")?,
        })
    };
    let instance = Value::Text(instance.map(|id| id.to_string()));
    db.fetch_all(select, &[instance, page(limit)]).await?.iter().map(read).collect()
}

pub(crate) async fn compact(tx: &mut Tx, before: Timestamp) -> Result<(), Error> {
    tx.db.execute("DELETE FROM events WHERE at < $1", &[before.into()]).await?;
    Ok(())
}
