//! Epochs, taking up what is due, and waits that end.

use std::time::Duration;

use engine::{
    EpochId, HandleState, Kind, OpenHandle, Wait, WaitResult, WorkflowId, WorkflowRecord,
};
use model::Timestamp;

use super::{Standing, journal};
use crate::Error;
use crate::db::{Connection, Row, Tx, json, json_text, text};
use crate::rows::operations;

/// The most handles of one answer.
const MOST_HANDLES: i64 = 100_000;

/// Begins an epoch. Where no other process can write to this data base, every
/// earlier epoch is over; where others can, theirs live on, and one of a process
/// that has died lives until it has run out.
pub(crate) async fn begin_epoch(tx: &mut Tx, ttl: Duration) -> Result<EpochId, Error> {
    if !tx.db.is_shared() {
        let end = "UPDATE epochs SET expires_at = $1 WHERE expires_at > $1";
        tx.db.execute(end, &[tx.now.into()]).await?;
    }
    let number = "INSERT INTO counters (name, value) VALUES ('epoch', 1)
        ON CONFLICT (name) DO UPDATE SET value = counters.value + 1 RETURNING value";
    let row = tx.db.fetch_one(number, &[]).await?;
    let number = row.map_or_else(|| Err(Error::Fenced), |row| row.int("value"))?;
    let insert = "INSERT INTO epochs (id, begun_at, expires_at) VALUES ($1, $2, $3)";
    let expires_at = tx.now.plus(ttl);
    tx.db.execute(insert, &[number.into(), tx.now.into(), expires_at.into()]).await?;
    tx.hint();
    Ok(EpochId(number))
}

pub(crate) async fn renew_epoch(tx: &mut Tx, epoch: EpochId, ttl: Duration) -> Result<(), Error> {
    let update = "UPDATE epochs SET expires_at = $2 WHERE id = $1 AND expires_at > $3";
    let parameters = [epoch.0.into(), tx.now.plus(ttl).into(), tx.now.into()];
    match tx.db.execute(update, &parameters).await? {
        0 => Err(Error::Fenced),
        _ => Ok(()),
    }
}

/// Refuses an epoch that is over.
pub(super) async fn check_epoch(tx: &mut Tx, epoch: EpochId) -> Result<(), Error> {
    let select = "SELECT 1 AS one FROM epochs WHERE id = $1 AND expires_at > $2";
    match tx.db.fetch_one(select, &[epoch.0.into(), tx.now.into()]).await? {
        Some(_) => Ok(()),
        None => Err(Error::Fenced),
    }
}

/// Takes up what is due and what no living epoch has, the earliest first.
pub(crate) async fn claim(
    tx: &mut Tx,
    epoch: EpochId,
    kinds: &[Kind],
    most: usize,
) -> Result<Vec<WorkflowRecord>, Error> {
    check_epoch(tx, epoch).await?;
    let kinds: Vec<String> = kinds.iter().map(ToString::to_string).collect();
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let parameters = [epoch.0.into(), tx.now.into(), json(&kinds)?, most.into()];
    let mut rows = tx.db.fetch_all(tx.db.texts().claim, &parameters).await?;
    let mut claimed = Vec::with_capacity(rows.len());
    for row in rows.drain(..) {
        claimed.push((row.time("wake_at")?, row.text("id")?, row));
    }
    claimed.sort_by(|(at, id, _), (other_at, other_id, _)| (at, id).cmp(&(other_at, other_id)));
    let mut records = Vec::with_capacity(claimed.len());
    for (_, _, row) in claimed {
        records.push(record(tx, &row).await?);
    }
    Ok(records)
}

async fn record(tx: &mut Tx, row: &Row) -> Result<WorkflowRecord, Error> {
    let id: WorkflowId = row.parsed("id")?;
    let is_root = row.opt_text("parent")?.is_none();
    let entries = match row.uint("sequence")? {
        0 if is_root => {
            operations::begins(tx, id.as_operation()).await?;
            Vec::new()
        }
        0 => Vec::new(),
        _ => journal::entries(&mut tx.db, id).await?,
    };
    Ok(WorkflowRecord {
        id,
        kind: kind_of(&row.text("kind")?)?,
        input: row.json("input")?,
        created_at: row.time("created_at")?,
        deadline: row.time("deadline")?,
        cancel_requested: row.truth("cancel_requested")?,
        wait_result: row.opt_json("wait_result")?,
        entries,
    })
}

/// A kind from its text.
pub(crate) fn kind_of(text: &str) -> Result<Kind, Error> {
    let kind = text
        .rsplit_once('@')
        .and_then(|(name, version)| Some(Kind::new(name, version.parse().ok()?)));
    kind.ok_or_else(|| Error::Corrupt(format!("workflow kind {text:?}")))
}

/// Gives back a workflow as it is. One that has settled is not due again.
pub(crate) async fn release(tx: &mut Tx, epoch: EpochId, id: WorkflowId) -> Result<(), Error> {
    let update = "UPDATE workflows SET owner = NULL,
            wake_at = CASE WHEN status IN ('stuck', 'ended') THEN NULL ELSE wake_at END
        WHERE id = $1 AND owner = $2";
    tx.db.execute(update, &[text(id), epoch.0.into()]).await?;
    tx.hint();
    Ok(())
}

pub(crate) async fn open_handles(db: &mut Connection) -> Result<Vec<OpenHandle>, Error> {
    let select = "SELECT id, wait, wait_since FROM workflows
        WHERE wait_group IS NOT NULL AND status = 'waiting' AND wait_result IS NULL
        ORDER BY wait_group, wait_since, id LIMIT $1";
    let rows = db.fetch_all(select, &[MOST_HANDLES.into()]).await?;
    let mut handles = Vec::with_capacity(rows.len());
    for row in rows {
        if let Wait::Handle { group, handle } = row.json("wait")? {
            let (workflow, since) = (row.parsed("id")?, row.time("wait_since")?);
            handles.push(OpenHandle { workflow, group, handle, since });
        }
    }
    Ok(handles)
}

/// Ends the waits of those who still wait for these handles.
pub(crate) async fn resolve(tx: &mut Tx, ended: &[(OpenHandle, HandleState)]) -> Result<(), Error> {
    for (open, state) in ended {
        let wait = Wait::Handle { group: open.group.clone(), handle: open.handle.clone() };
        let update = "UPDATE workflows SET wait_result = $3, wake_at = $4
            WHERE id = $1 AND status = $5 AND wait = $2";
        let parameters = [
            text(open.workflow),
            json_text(&wait)?.into(),
            json(&WaitResult::Handle { state: state.clone() })?,
            tx.now.into(),
            Standing::Waiting.as_str().into(),
        ];
        tx.db.execute(update, &parameters).await?;
    }
    tx.hint();
    Ok(())
}

/// When the next workflow is due that no living epoch has.
pub(crate) async fn next_due(
    db: &mut Connection,
    now: Timestamp,
) -> Result<Option<Timestamp>, Error> {
    let select = "SELECT w.wake_at FROM workflows w
        LEFT JOIN epochs e ON e.id = w.owner AND e.expires_at > $1
        WHERE w.wake_at IS NOT NULL AND e.id IS NULL ORDER BY w.wake_at LIMIT 1";
    db.fetch_one(select, &[now.into()]).await?.map(|row| row.time("wake_at")).transpose()
}
