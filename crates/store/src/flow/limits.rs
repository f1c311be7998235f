//! Limits on how many effects are in flight, counted across all executors.

use std::time::Duration;

use engine::{Limit, WorkflowId};

use super::{Flow, Standing};
use crate::Error;
use crate::db::{Tx, text};

/// How long whoever is first in the line for a limit waits until it looks again
/// by itself. Those behind wait longer in proportion: room is announced to them
/// when it comes, this is only the net below.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
const LOOK_AGAIN_AT_MOST: u32 = 30;

/// Takes all of these limits; or none, and the answer is the one without room.
pub(super) async fn take<'l>(
    tx: &mut Tx,
    id: WorkflowId,
    limits: &'l [Limit],
) -> Result<Option<&'l str>, Error> {
    for limit in limits {
        let count = "SELECT COUNT(*) AS others FROM limits_held WHERE key = $1 AND workflow <> $2";
        let row = tx.db.fetch_one(count, &[limit.key.as_str().into(), text(id)]).await?;
        let others = row.map_or(Ok(0), |row| row.int("others"))?;
        if others >= i64::from(limit.at_most.max(1)) {
            return Ok(Some(&limit.key));
        }
    }
    for limit in limits {
        let insert = "INSERT INTO limits_held (key, workflow) VALUES ($1, $2)
            ON CONFLICT (key, workflow) DO NOTHING";
        tx.db.execute(insert, &[limit.key.as_str().into(), text(id)]).await?;
    }
    Ok(None)
}

/// Gives back all limits of a workflow and wakes who has waited longest for
/// each.
pub(super) async fn release(tx: &mut Tx, id: WorkflowId) -> Result<(), Error> {
    let delete = "DELETE FROM limits_held WHERE workflow = $1 RETURNING key";
    for row in tx.db.fetch_all(delete, &[text(id)]).await? {
        let update = "UPDATE workflows SET wake_at = $2 WHERE id = (
            SELECT id FROM workflows WHERE limit_key = $1 AND wake_at > $2
            ORDER BY limit_since, id LIMIT 1)";
        let woken = tx.db.execute(update, &[row.text("key")?.into(), tx.now.into()]).await?;
        if woken > 0 {
            tx.hint();
        }
    }
    Ok(())
}

/// Puts a workflow into the line for a limit, where it keeps its place.
pub(super) async fn wait_for(tx: &mut Tx, flow: &Flow, key: &str) -> Result<(), Error> {
    let since = flow.limit_since.unwrap_or(tx.now);
    let ahead = "SELECT COUNT(*) AS ahead FROM workflows
        WHERE limit_key = $1 AND limit_since < $2 AND id <> $3";
    let row = tx.db.fetch_one(ahead, &[key.into(), since.into(), text(flow.id)]).await?;
    let ahead = row.map_or(Ok(0), |row| row.small("ahead"))?;
    let at = tx.now.plus(LOOK_AGAIN * ahead.saturating_add(1).min(LOOK_AGAIN_AT_MOST));
    let update = "UPDATE workflows SET status = $2, owner = NULL, wake_at = $3, limit_key = $4,
            limit_since = $5
        WHERE id = $1";
    let parameters =
        [text(flow.id), Standing::Runnable.as_str().into(), at.into(), key.into(), since.into()];
    tx.db.execute(update, &parameters).await?;
    tx.hint();
    Ok(())
}
