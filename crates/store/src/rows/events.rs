use model::{Instance, InstanceId, Observed, Operation, OperationId, ProjectId, Timestamp};
use serde_json::{Value as Json, json};

use super::page;
use crate::Error;
use crate::db::{Connection, Row, Tx, Value, int, json as encoded, text};

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its place in the order of all changes.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// What: `instance.created`, `instance.changed`, `instance.deleted`,
    /// `operation.` and the operation's state, or `note`.
    pub kind: String,
    /// Whose the thing is that it is about; notes are nobody's.
    pub project: Option<ProjectId>,
    /// The instance that it is about, if any.
    pub instance: Option<InstanceId>,
    /// The operation that it is about, if any.
    pub operation: Option<OperationId>,
    /// What there is to know at once, a JSON object.
    pub data: Json,
    /// What, for people.
    pub text: String,
}

/// Which events are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Those after this one.
    pub after: u64,
    /// Those of this project.
    pub project: Option<ProjectId>,
    /// Those about this instance.
    pub instance: Option<InstanceId>,
    /// How many at most (1 to 10,000).
    pub limit: u32,
}

const NOTE: &str = "note";
/// The counter of the newest event that is not kept any more.
const FORGOTTEN: &str = "events_forgotten";

struct New<'a> {
    kind: &'a str,
    project: Option<&'a ProjectId>,
    instance: Option<InstanceId>,
    operation: Option<OperationId>,
    data: Json,
    text: &'a str,
}

async fn insert(tx: &mut Tx, new: New<'_>) -> Result<(), Error> {
    let sequence = tx.next_sequence().await?;
    let insert = "INSERT INTO events (sequence, at, instance, text, kind, project, operation, data)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let parameters = [
        sequence.into(),
        tx.now.into(),
        Value::Text(new.instance.map(|id| id.to_string())),
        text(new.text),
        new.kind.into(),
        Value::Text(new.project.map(ToString::to_string)),
        Value::Text(new.operation.map(|id| id.to_string())),
        encoded(&new.data)?,
    ];
    tx.db.execute(insert, &parameters).await?;
    Ok(())
}

pub(crate) async fn note(
    tx: &mut Tx,
    instance: Option<InstanceId>,
    what: &str,
) -> Result<(), Error> {
    let (project, operation, data) = (None, None, json!({}));
    insert(tx, New { kind: NOTE, project, instance, operation, data, text: what }).await
}

/// Something happened to an instance: `changed` names what of it is different.
pub(crate) async fn of_instance(
    tx: &mut Tx,
    kind: &str,
    row: &Instance,
    changed: &[&str],
) -> Result<(), Error> {
    let name = &row.spec.name;
    let said = match changed {
        [] => format!("{kind}: {name}"),
        changed => format!("{kind}: {name}: {}", changed.join(", ")),
    };
    let data = json!({
        "name": name,
        "phase": row.phase,
        "power": row.observed.as_ref().map(|seen| seen.power),
        "host": row.observed.as_ref().map(|seen| &seen.host),
        "generation": row.generation,
        "changed": changed,
    });
    let (project, instance) = (Some(&row.project), Some(row.id));
    insert(tx, New { kind, project, instance, operation: tx.origin, data, text: &said }).await
}

/// An operation has come to its present state.
pub(crate) async fn of_operation(tx: &mut Tx, row: &Operation) -> Result<(), Error> {
    let kind = format!("operation.{}", row.state);
    let said = match &row.reason {
        None => format!("{} of {}: {}", row.kind, row.instance_name, row.state),
        Some(why) => format!("{} of {}: {}: {why}", row.kind, row.instance_name, row.state),
    };
    let data = json!({
        "kind": row.kind,
        "state": row.state,
        "name": row.instance_name,
        "asked_by": row.asked_by,
        "reason": row.reason,
    });
    let new = New {
        kind: &kind,
        project: Some(&row.project),
        instance: Some(row.instance),
        operation: Some(row.id),
        data,
        text: &said,
    };
    insert(tx, new).await
}

/// What of an instance is different, as far as events tell.
pub(crate) fn differences(before: &Instance, after: &Instance) -> Vec<&'static str> {
    let (was, is) = (before.observed.as_ref(), after.observed.as_ref());
    let addresses = |seen: Option<&Observed>| seen.map(|seen| seen.addresses.clone());
    let pending = |seen: Option<&Observed>| seen.map(|seen| seen.pending.clone());
    [
        ("spec", before.generation != after.generation),
        ("phase", before.phase != after.phase),
        ("power", was.map(|seen| seen.power) != is.map(|seen| seen.power)),
        ("host", was.map(|seen| &seen.host) != is.map(|seen| &seen.host)),
        ("addresses", addresses(was) != addresses(is)),
        ("pending", pending(was) != pending(is)),
        ("fault", before.fault != after.fault),
        ("snapshots", before.snapshots != after.snapshots),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect()
}

fn read(row: &Row) -> Result<Event, Error> {
    Ok(Event {
        sequence: row.uint("sequence")?,
        at: row.time("at")?,
        // Rows of the first schema have none of these.
        kind: row.opt_text("kind")?.unwrap_or_else(|| NOTE.to_owned()),
        project: row.opt_parsed("project")?,
        instance: row.opt_parsed("instance")?,
        operation: row.opt_parsed("operation")?,
        data: row.opt_json("data")?.unwrap_or_else(|| json!({})),
        text: row.text("text")?,
    })
}

/// The newest notes first.
pub(crate) async fn notes(
    db: &mut Connection,
    instance: Option<InstanceId>,
    limit: u32,
) -> Result<Vec<Event>, Error> {
    let select = "SELECT * FROM events WHERE ($1 IS NULL OR instance = $1)
            AND COALESCE(kind, 'note') = 'note'
        ORDER BY sequence DESC LIMIT $2";
    let instance = Value::Text(instance.map(|id| id.to_string()));
    db.fetch_all(select, &[instance, page(limit)]).await?.iter().map(read).collect()
}

/// The oldest first.
pub(crate) async fn after(db: &mut Connection, filter: &EventFilter) -> Result<Vec<Event>, Error> {
    let select = "SELECT * FROM events WHERE sequence > $1
            AND ($2 IS NULL OR project = $2) AND ($3 IS NULL OR instance = $3)
        ORDER BY sequence LIMIT $4";
    let parameters = [
        int(filter.after)?,
        Value::Text(filter.project.as_ref().map(ToString::to_string)),
        Value::Text(filter.instance.map(|id| id.to_string())),
        page(filter.limit),
    ];
    db.fetch_all(select, &parameters).await?.iter().map(read).collect()
}

/// The newest event that is not kept any more, 0 when all are.
pub(crate) async fn forgotten(db: &mut Connection) -> Result<u64, Error> {
    let row =
        db.fetch_one("SELECT value FROM counters WHERE name = $1", &[FORGOTTEN.into()]).await?;
    row.map_or(Ok(0), |row| row.uint("value"))
}

pub(crate) async fn compact(tx: &mut Tx, before: Timestamp) -> Result<(), Error> {
    let select = "SELECT COALESCE(MAX(sequence), 0) AS last FROM events WHERE at < $1";
    let row = tx.db.fetch_one(select, &[before.into()]).await?;
    let last = row.map_or(Ok(0), |row| row.int("last"))?;
    if last == 0 {
        return Ok(());
    }
    let keep = "INSERT INTO counters (name, value) VALUES ($1, $2)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    tx.db.execute(keep, &[FORGOTTEN.into(), last.into()]).await?;
    tx.db.execute("DELETE FROM events WHERE at < $1", &[before.into()]).await?;
    Ok(())
}
