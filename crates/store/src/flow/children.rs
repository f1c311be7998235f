//! Child workflows: begun together, a few at once, judged together.

use engine::{
    Cause, ChildEnd, Entry, NewWorkflow, Outcome, Policy, Spawn, Status, Wait, WaitResult,
    WorkflowId,
};

use super::claims::Taken;
use super::start::{Place, insert};
use super::{Flow, Group, Settled, Standing, claims, control, journal, root_of};
use crate::Error;
use crate::db::{Connection, Row, Tx, json, text};

/// Begins the children of a parent that is about to wait for them.
pub(super) async fn spawn(
    tx: &mut Tx,
    parent: WorkflowId,
    group: i64,
    spawn: &Spawn,
) -> Result<(), Error> {
    let known = "SELECT id FROM workflows WHERE parent = $1";
    let known = tx.db.fetch_all(known, &[text(parent)]).await?;
    let known = known.iter().map(|row| row.parsed("id")).collect::<Result<Vec<_>, _>>()?;
    let mut begun = 0;
    for (position, child) in (0i64..).zip(&spawn.children) {
        if known.contains(&child.id) {
            // Committed before: it only moves to its place in this group.
            let update = "UPDATE workflows SET child_group = $2, position = $3 WHERE id = $1";
            tx.db.execute(update, &[text(child.id), group.into(), position.into()]).await?;
            continue;
        }
        let place = Place { parent, group, position };
        if begin(tx, child, place, begun < spawn.at_most.max(1)).await? {
            begun += 1;
        }
    }
    Ok(())
}

/// Adds a child. Whether it takes up one of the places of those that run.
async fn begin(
    tx: &mut Tx,
    child: &NewWorkflow,
    place: Place,
    has_turn: bool,
) -> Result<bool, Error> {
    let standing = match claims::take(tx, child, true).await? {
        Taken::Held { by } => {
            let by = root_of(tx, by).await?;
            let cause = Cause::Failed {
                step: "claim".to_owned(),
                reason: format!(
                    "operation {by} is changing {}",
                    child.claim.as_deref().unwrap_or_default()
                ),
                again: false,
            };
            fail(tx, child, place, Outcome::Unwound { cause }).await?;
            return Ok(false);
        }
        Taken::Now | Taken::Queued if !has_turn => Standing::Held,
        Taken::Now => Standing::Runnable,
        Taken::Queued => Standing::Queued,
    };
    insert(tx, child, standing, Some(place)).await?;
    Ok(has_turn)
}

/// Adds a child that has ended before it began.
async fn fail(
    tx: &mut Tx,
    child: &NewWorkflow,
    place: Place,
    outcome: Outcome,
) -> Result<(), Error> {
    let unclaimed = NewWorkflow { claim: None, ..child.clone() };
    insert(tx, &unclaimed, Standing::Ended, Some(place)).await?;
    let line = Entry::Ended { outcome: outcome.clone() };
    journal::write(tx, child.id, 0, std::slice::from_ref(&line)).await?;
    let update = "UPDATE workflows SET sequence = 1, ended_at = $2, outcome = $3, cancellable = 0
        WHERE id = $1";
    tx.db.execute(update, &[text(child.id), tx.now.into(), json(&outcome)?]).await?;
    Ok(())
}

/// How many children of a group there are of each sort.
#[derive(Default)]
struct Census {
    held: i64,
    active: i64,
    failed: i64,
}

async fn census(tx: &mut Tx, parent: WorkflowId, group: &Group) -> Result<Census, Error> {
    let count = "SELECT status, CASE WHEN outcome = $3 THEN 1 ELSE 0 END AS good,
            COUNT(*) AS number
        FROM workflows WHERE parent = $1 AND child_group = $2 GROUP BY 1, 2";
    let parameters = [text(parent), group.number.into(), json(&Outcome::Done)?];
    let mut census = Census::default();
    for row in tx.db.fetch_all(count, &parameters).await? {
        let number = row.int("number")?;
        match row.word("status")? {
            Standing::Held => census.held += number,
            Standing::Runnable | Standing::Waiting | Standing::Queued => census.active += number,
            Standing::Stuck => census.failed += number,
            Standing::Ended if row.truth("good")? => {}
            Standing::Ended => census.failed += number,
        }
    }
    Ok(census)
}

/// Something has changed among the children of this workflow: lets the next
/// ones begin, stops the others after a failure that counts, and wakes the
/// parent when all have settled.
pub(super) async fn look(tx: &mut Tx, parent: WorkflowId) -> Result<(), Error> {
    let Some(parent) = Flow::find(&mut tx.db, parent).await? else { return Ok(()) };
    let Some(group) = parent.group else { return Ok(()) };
    let census = census(tx, parent.id, &group).await?;
    if census.held + census.active == 0 {
        return tell(tx, &parent, &group).await;
    }
    if group.policy == Policy::All && census.failed > 0 {
        return control::cancel_children(tx, parent.id).await;
    }
    let room = group.at_most.max(1) - census.active;
    if room > 0 && census.held > 0 {
        promote(tx, &parent, &group, room).await?;
    }
    Ok(())
}

/// Lets the next children begin.
async fn promote(tx: &mut Tx, parent: &Flow, group: &Group, room: i64) -> Result<(), Error> {
    let select = "SELECT id, claim FROM workflows
        WHERE parent = $1 AND child_group = $2 AND status = 'held' ORDER BY position LIMIT $3";
    let parameters = [text(parent.id), group.number.into(), room.into()];
    for row in tx.db.fetch_all(select, &parameters).await? {
        let (id, claim): (WorkflowId, _) = (row.parsed("id")?, row.opt_text("claim")?);
        let begins = claims::has(tx, id, claim.as_deref()).await?;
        let standing = if begins { Standing::Runnable } else { Standing::Queued };
        let update = "UPDATE workflows SET status = $2, wake_at = $3 WHERE id = $1";
        let wake_at = begins.then_some(tx.now);
        tx.db.execute(update, &[text(id), standing.as_str().into(), wake_at.into()]).await?;
        tx.hint();
    }
    Ok(())
}

/// Tells a parent that waits for its children how they ended.
async fn tell(tx: &mut Tx, parent: &Flow, group: &Group) -> Result<(), Error> {
    if !parent.waits_for_children() {
        return Ok(());
    }
    let children = ends(&mut tx.db, parent.id, group.number).await?;
    let result = WaitResult::Children { children };
    let update = "UPDATE workflows SET wait_result = $2, wake_at = $3 WHERE id = $1";
    tx.db.execute(update, &[text(parent.id), json(&result)?, tx.now.into()]).await?;
    tx.hint();
    Ok(())
}

/// How the children of a group have ended, or why they are stuck, in order.
pub(crate) async fn ends(
    db: &mut Connection,
    parent: WorkflowId,
    group: i64,
) -> Result<Vec<ChildEnd>, Error> {
    let select = "SELECT id, outcome FROM workflows
        WHERE parent = $1 AND child_group = $2 AND outcome IS NOT NULL ORDER BY position";
    let read = |row: &Row| Ok(ChildEnd { id: row.parsed("id")?, outcome: row.json("outcome")? });
    db.fetch_all(select, &[text(parent), group.into()]).await?.iter().map(read).collect()
}

/// A workflow has begun to wait: for children, that may be over already.
pub(super) fn waits(tx: &mut Tx, id: WorkflowId, status: &Status) {
    if let Status::Waiting { wait: Wait::Children { .. }, .. } = status {
        tx.settled.push(Settled::Children { of: id });
    }
}
