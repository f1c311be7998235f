//! At most one workflow changes a resource, and at most one waits to take it
//! over.

use engine::{NewWorkflow, Outcome, WorkflowId};

use super::{Flow, Standing, control, end};
use crate::Error;
use crate::db::{Tx, text};
use crate::rows::instances::claim_changed;

/// What became of the wish to claim a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is claimed (or there is nothing to claim).
    Now,
    /// It is claimed as soon as its holder lets go.
    Queued,
    /// Somebody else has it, or is next.
    Held { by: WorkflowId },
}

struct Claim {
    holder: WorkflowId,
    next: Option<WorkflowId>,
}

async fn find(tx: &mut Tx, resource: &str) -> Result<Option<Claim>, Error> {
    let select = "SELECT workflow, next_workflow FROM claims WHERE resource = $1";
    let row = tx.db.fetch_one(select, &[resource.into()]).await?;
    row.map(|row| {
        Ok(Claim { holder: row.parsed("workflow")?, next: row.opt_parsed("next_workflow")? })
    })
    .transpose()
}

/// Claims what a new workflow changes. A child waits behind whoever is taking
/// the resource over already; others are told who that is and can join it.
pub(super) async fn take(tx: &mut Tx, new: &NewWorkflow, is_child: bool) -> Result<Taken, Error> {
    let Some(resource) = &new.claim else { return Ok(Taken::Now) };
    let Some(claim) = find(tx, resource).await? else {
        let insert = "INSERT INTO claims (resource, workflow) VALUES ($1, $2)";
        tx.db.execute(insert, &[resource.as_str().into(), text(new.id)]).await?;
        claim_changed(tx, resource);
        return Ok(Taken::Now);
    };
    if let Some(next) = claim.next {
        return Ok(Taken::Held { by: next });
    }
    if !new.supersede {
        return Ok(Taken::Held { by: claim.holder });
    }
    let holder = Flow::get(tx, claim.holder).await?;
    match holder.standing {
        // Whatever it has left is the new one's task.
        Standing::Stuck | Standing::Held | Standing::Ended => {
            let update = "UPDATE claims SET workflow = $2 WHERE resource = $1";
            tx.db.execute(update, &[resource.as_str().into(), text(new.id)]).await?;
            claim_changed(tx, resource);
            if holder.standing != Standing::Ended {
                end(tx, &holder, Outcome::Superseded, Some(new.id)).await?;
            }
            Ok(Taken::Now)
        }
        // Two deletes at once: the later one joins the earlier one.
        Standing::Runnable | Standing::Waiting | Standing::Queued
            if holder.supersedes && !is_child =>
        {
            Ok(Taken::Held { by: holder.id })
        }
        Standing::Runnable | Standing::Waiting | Standing::Queued => {
            let update = "UPDATE claims SET next_workflow = $2 WHERE resource = $1";
            tx.db.execute(update, &[resource.as_str().into(), text(new.id)]).await?;
            claim_changed(tx, resource);
            // Past its point of no return it is waited for.
            control::cancel(tx, holder.id).await?;
            Ok(Taken::Queued)
        }
    }
}

/// Whether a workflow has what it claims.
pub(super) async fn has(
    tx: &mut Tx,
    id: WorkflowId,
    resource: Option<&str>,
) -> Result<bool, Error> {
    match resource {
        None => Ok(true),
        Some(resource) => Ok(find(tx, resource).await?.is_some_and(|claim| claim.holder == id)),
    }
}

/// Who waits to take over what this workflow claims.
pub(super) async fn next_of(
    tx: &mut Tx,
    id: WorkflowId,
    resource: Option<&str>,
) -> Result<Option<WorkflowId>, Error> {
    let Some(resource) = resource else { return Ok(None) };
    Ok(find(tx, resource).await?.filter(|claim| claim.holder == id).and_then(|claim| claim.next))
}

/// A workflow has ended: what it claimed goes to whoever waits for it.
pub(super) async fn hand_over(tx: &mut Tx, id: WorkflowId, resource: &str) -> Result<(), Error> {
    let Some(claim) = find(tx, resource).await? else { return Ok(()) };
    match claim.next {
        Some(next) if claim.holder == id => {
            let update = "UPDATE claims SET workflow = $2, next_workflow = NULL
                WHERE resource = $1";
            tx.db.execute(update, &[resource.into(), text(next)]).await?;
            // One that is held as a child as well begins when its turn comes.
            let update = "UPDATE workflows SET status = 'runnable', wake_at = $2
                WHERE id = $1 AND status = 'queued'";
            tx.db.execute(update, &[text(next), tx.now.into()]).await?;
            tx.hint();
        }
        Some(next) if next == id => {
            let update = "UPDATE claims SET next_workflow = NULL WHERE resource = $1";
            tx.db.execute(update, &[resource.into()]).await?;
        }
        None if claim.holder == id => {
            tx.db.execute("DELETE FROM claims WHERE resource = $1", &[resource.into()]).await?;
        }
        // Taken over meanwhile.
        _ => return Ok(()),
    }
    claim_changed(tx, resource);
    Ok(())
}
