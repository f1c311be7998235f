//! What somebody else does to a workflow: cancel, resume, abandon, signal.

use engine::{Cause, Entry, Outcome, Wait, WaitResult, WorkflowId};
use model::Timestamp;

use super::{Flow, Standing, end, journal, wake};
use crate::Error;
use crate::db::{Tx, int, json, text};
use crate::feed::FeedKind;
use crate::rows::operations;

/// What became of a wish to cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelAnswer {
    /// It will be cancelled; one that had not begun has ended.
    Requested,
    /// It has ended already.
    AlreadyEnded,
    /// It is past the point of no return, or is taking back already.
    NotCancellable,
}

/// Asks a workflow and all its children to cancel. The children come first: a
/// parent that waits for them goes on when they have ended.
pub(crate) async fn cancel(tx: &mut Tx, id: WorkflowId) -> Result<CancelAnswer, Error> {
    let flow = Flow::get(tx, id).await?;
    let answer = match flow.standing {
        Standing::Ended => return Ok(CancelAnswer::AlreadyEnded),
        Standing::Held | Standing::Queued => CancelAnswer::Requested,
        _ if !flow.cancellable => return Ok(CancelAnswer::NotCancellable),
        _ => CancelAnswer::Requested,
    };
    cancel_tree(tx, flow).await?;
    Ok(answer)
}

/// Asks the present children of a workflow, and theirs, to cancel.
pub(super) async fn cancel_children(tx: &mut Tx, parent: WorkflowId) -> Result<(), Error> {
    let parent = Flow::get(tx, parent).await?;
    for child in going_children(tx, &parent).await? {
        if !child.cancel_requested {
            cancel_tree(tx, child).await?;
        }
    }
    Ok(())
}

async fn cancel_tree(tx: &mut Tx, flow: Flow) -> Result<(), Error> {
    let mut asked = vec![flow];
    while let Some(flow) = asked.pop() {
        let not_begun = matches!(flow.standing, Standing::Held | Standing::Queued);
        if not_begun || flow.cancellable {
            ask(tx, &flow).await?;
            asked.extend(going_children(tx, &flow).await?);
        }
    }
    Ok(())
}

/// Asks one workflow to cancel, if it can.
async fn ask(tx: &mut Tx, flow: &Flow) -> Result<(), Error> {
    match flow.standing {
        Standing::Ended => Ok(()),
        Standing::Held | Standing::Queued => {
            end(tx, flow, Outcome::Unwound { cause: Cause::Cancelled }, None).await
        }
        _ if !flow.cancellable => Ok(()),
        Standing::Runnable | Standing::Waiting | Standing::Stuck => {
            let update = "UPDATE workflows SET cancel_requested = 1 WHERE id = $1";
            tx.db.execute(update, &[text(flow.id)]).await?;
            if let Some(operation) = flow.as_root() {
                tx.touch(FeedKind::Operation, operation);
            }
            let waits = flow.waits_for_children() && !going_children(tx, flow).await?.is_empty();
            if waits { Ok(()) } else { wake(tx, flow.id).await }
        }
    }
}

/// The present children of a workflow that have not settled.
async fn going_children(tx: &mut Tx, parent: &Flow) -> Result<Vec<Flow>, Error> {
    match &parent.group {
        Some(group) => Flow::going_children(tx, parent.id, group).await,
        None => Ok(Vec::new()),
    }
}

/// Lets a stuck workflow go on, until this deadline. Whether it was stuck.
pub(crate) async fn resume(
    tx: &mut Tx,
    id: WorkflowId,
    deadline: Timestamp,
) -> Result<bool, Error> {
    let flow = Flow::get(tx, id).await?;
    if flow.standing != Standing::Stuck {
        return Ok(false);
    }
    let cause = unwinding_cause(tx, id).await?;
    journal::write(tx, id, flow.sequence, &[Entry::Resumed { deadline }]).await?;
    let update = "UPDATE workflows SET status = $2, wake_at = $3, owner = NULL, sequence = $4,
            outcome = NULL
        WHERE id = $1";
    let parameters =
        [text(id), Standing::Runnable.as_str().into(), tx.now.into(), int(flow.sequence + 1)?];
    tx.db.execute(update, &parameters).await?;
    if let Some(operation) = flow.as_root() {
        operations::goes_on(tx, operation, cause.as_ref()).await?;
    }
    tx.hint();
    Ok(true)
}

/// Why a workflow is taking back what it did, if it is.
async fn unwinding_cause(tx: &mut Tx, id: WorkflowId) -> Result<Option<Cause>, Error> {
    let mut cause = None;
    for line in journal::entries(&mut tx.db, id).await? {
        match line.entry {
            Entry::Unwinding { cause: why } => cause = Some(why),
            Entry::Restarted => cause = None,
            _ => {}
        }
    }
    Ok(cause)
}

/// Gives up a stuck workflow, with whatever it has left. Whether it was stuck.
pub(crate) async fn abandon(tx: &mut Tx, id: WorkflowId) -> Result<bool, Error> {
    let flow = Flow::get(tx, id).await?;
    let (Standing::Stuck, Some(Outcome::Stuck { left, .. })) = (flow.standing, &flow.outcome)
    else {
        return Ok(false);
    };
    let left = left.clone();
    end(tx, &flow, Outcome::Abandoned { left }, None).await?;
    Ok(true)
}

/// Ends a workflow's wait for a signal. Whether it waits for that now.
pub(crate) async fn signal(
    tx: &mut Tx,
    id: WorkflowId,
    name: &str,
    payload: serde_json::Value,
) -> Result<bool, Error> {
    let flow = Flow::get(tx, id).await?;
    let waits = matches!(&flow.wait, Some(Wait::Signal { name: wanted }) if wanted == name);
    if flow.standing != Standing::Waiting || !waits || flow.owner.is_some() {
        return Ok(false);
    }
    let update = "UPDATE workflows SET wait_result = $2 WHERE id = $1";
    tx.db.execute(update, &[text(id), json(&WaitResult::Signal { payload })?]).await?;
    wake(tx, id).await?;
    Ok(true)
}
