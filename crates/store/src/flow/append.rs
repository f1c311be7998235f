//! Appending to a journal, with everything that belongs to it.

use engine::{Appended, Commit, Entry, EpochId, Outcome, Status, Wait, WorkflowId};
use model::Timestamp;

use super::{Flow, Settled, Standing, children, control, journal, limits};
use crate::Error;
use crate::change::{Change, apply_all};
use crate::db::{Tx, Value, int, json, text, word};
use crate::rows::operations;

/// What an append comes to, and the changes that it has for other workflows.
pub(crate) async fn append(
    tx: &mut Tx,
    epoch: EpochId,
    id: WorkflowId,
    after: u64,
    commit: Commit<Change>,
) -> Result<Appended, Error> {
    let flow = held(tx, epoch, id, after).await?;
    if commit.unless_cancelled && flow.cancel_requested {
        return Ok(Appended::Cancelled);
    }
    if commit.release {
        limits::release(tx, id).await?;
    }
    if let Some(key) = limits::take(tx, id, &commit.acquire).await? {
        limits::wait_for(tx, &flow, key).await?;
        return Ok(Appended::LimitReached);
    }
    journal::write(tx, id, after, &commit.entries).await?;
    tx.origin = flow.as_root();
    apply_all(tx, commit.changes).await?;
    let sequence = after + commit.entries.len() as u64;
    let group = i64::try_from(sequence).unwrap_or(i64::MAX);
    if let Some(spawn) = &commit.spawn {
        children::spawn(tx, id, group, spawn).await?;
        begin_group(tx, id, group, spawn).await?;
    }
    let outcome = outcome_of(&commit.entries);
    rest(tx, &flow, sequence, &commit.status, outcome.as_ref(), commit.cancellable).await?;
    if let Some(operation) = flow.as_root() {
        operations::follow(tx, operation, &commit.entries).await?;
    }
    children::waits(tx, id, &commit.status);
    settle(tx, &flow, &commit.status, commit.spawn.is_some());
    if commit.entries.iter().any(|entry| matches!(entry, Entry::Unwinding { .. })) {
        control::cancel_children(tx, id).await?;
    }
    let rests = !matches!(commit.status, Status::Running | Status::Ended);
    if rests && flow.cancel_requested && commit.cancellable {
        // The executor rests without having seen it.
        control::cancel(tx, id).await?;
    }
    Ok(Appended::Written { cancel_requested: flow.cancel_requested })
}

/// The workflow, if this epoch lives and holds it and its journal has not moved
/// on.
async fn held(tx: &mut Tx, epoch: EpochId, id: WorkflowId, after: u64) -> Result<Flow, Error> {
    let flow = Flow::of_epoch(tx, id, epoch).await?;
    flow.filter(|flow| flow.sequence == after && flow.standing != Standing::Ended)
        .ok_or(Error::Fenced)
}

fn outcome_of(entries: &[Entry]) -> Option<Outcome> {
    entries.iter().rev().find_map(|entry| match entry {
        Entry::Ended { outcome } => Some(outcome.clone()),
        Entry::Stuck { reason, left } => {
            Some(Outcome::Stuck { reason: reason.clone(), left: left.clone() })
        }
        _ => None,
    })
}

async fn begin_group(
    tx: &mut Tx,
    id: WorkflowId,
    group: i64,
    spawn: &engine::Spawn,
) -> Result<(), Error> {
    let update = "UPDATE workflows SET spawn_group = $2, spawn_at_most = $3, spawn_policy = $4
        WHERE id = $1";
    let parameters = [text(id), group.into(), spawn.at_most.into(), word(&spawn.policy)?];
    tx.db.execute(update, &parameters).await?;
    Ok(())
}

/// How a workflow's row stands between two appends.
struct Rest<'c> {
    standing: Standing,
    wake_at: Option<Timestamp>,
    wait: Option<&'c Wait>,
    keeps_owner: bool,
}

impl<'c> Rest<'c> {
    fn of(status: &'c Status, now: Timestamp) -> Self {
        let rest = |standing, wake_at| Self { standing, wake_at, wait: None, keeps_owner: false };
        match status {
            // Due at once for whoever comes after its executor.
            Status::Running => Self { keeps_owner: true, ..rest(Standing::Runnable, Some(now)) },
            Status::RunAt(at) => rest(Standing::Runnable, Some(*at)),
            Status::Waiting { wait, until } => {
                Self { wait: Some(wait), ..rest(Standing::Waiting, Some(*until)) }
            }
            Status::Stuck => rest(Standing::Stuck, None),
            Status::Ended => rest(Standing::Ended, None),
        }
    }
}

async fn rest(
    tx: &mut Tx,
    flow: &Flow,
    sequence: u64,
    status: &Status,
    outcome: Option<&Outcome>,
    cancellable: bool,
) -> Result<(), Error> {
    let rest = Rest::of(status, tx.now);
    let group = match rest.wait {
        Some(Wait::Handle { group, .. }) => Some(group.clone()),
        _ => None,
    };
    // Waiting on does not begin anew.
    let since = match (rest.wait, flow.wait_since) {
        (Some(wait), Some(since)) if flow.wait.as_ref() == Some(wait) => Some(since),
        (Some(_), _) => Some(tx.now),
        (None, _) => None,
    };
    let update = "UPDATE workflows SET status = $2, wake_at = $3, owner = $4, sequence = $5,
            cancellable = $6, outcome = $7, ended_at = $8, wait = $9, wait_group = $10,
            wait_since = $11, wait_result = NULL, limit_key = NULL, limit_since = NULL
        WHERE id = $1";
    let parameters = [
        text(flow.id),
        rest.standing.as_str().into(),
        rest.wake_at.into(),
        flow.owner.filter(|_| rest.keeps_owner).into(),
        int(sequence)?,
        cancellable.into(),
        outcome.map_or(Ok(Value::Text(None)), json)?,
        (rest.standing == Standing::Ended).then_some(tx.now).into(),
        rest.wait.map_or(Ok(Value::Text(None)), json)?,
        group.into(),
        since.into(),
    ];
    tx.db.execute(update, &parameters).await?;
    if !rest.keeps_owner {
        tx.hint();
    }
    Ok(())
}

fn settle(tx: &mut Tx, flow: &Flow, status: &Status, spawned: bool) {
    let (id, claim, parent) = (flow.id, flow.claim.clone(), flow.parent);
    match status {
        Status::Running | Status::RunAt(_) | Status::Waiting { .. } => {}
        Status::Stuck => tx.settled.push(Settled::Stuck { id, claim, parent }),
        Status::Ended => {
            let had_children = spawned || flow.group.is_some();
            tx.settled.push(Settled::Ended { id, claim, parent, had_children });
        }
    }
}
