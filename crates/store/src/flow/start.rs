//! Beginning workflows.

use engine::{NewWorkflow, WorkflowId};
use model::{Operation, OperationState};

use super::claims::{self, Taken};
use super::{Standing, root_of};
use crate::change::{Change, apply_all};
use crate::db::{Tx, Value, json, text};
use crate::rows::operations;
use crate::{Error, feed::FeedKind};

/// A workflow to begin, with everything that must be there when it begins.
#[derive(Clone, Debug)]
pub struct Start {
    /// The workflow.
    pub workflow: NewWorkflow,
    /// The operation that users follow, with the workflow's id. It begins as
    /// running, or as queued when it waits for a claim, whatever it says.
    pub operation: Option<Operation>,
    /// Committed with it.
    pub changes: Vec<Change>,
}

/// A child's place among its siblings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) parent: WorkflowId,
    pub(super) group: i64,
    pub(super) position: i64,
}

pub(crate) async fn start(tx: &mut Tx, start: Start) -> Result<(), Error> {
    let Start { workflow, operation, changes } = start;
    let standing = match claims::take(tx, &workflow, false).await? {
        Taken::Now => Standing::Runnable,
        Taken::Queued => Standing::Queued,
        Taken::Held { by } => return Err(Error::ClaimHeld { by: root_of(tx, by).await? }),
    };
    insert(tx, &workflow, standing, None).await?;
    if let Some(mut operation) = operation {
        operation.state = match standing {
            Standing::Queued => OperationState::Queued,
            _ => OperationState::Running,
        };
        if operation.id != workflow.id.as_operation() {
            return Err(Error::Constraint("an operation has the id of its workflow".to_owned()));
        }
        operations::insert(tx, &operation).await?;
        // The claim shows the operation only now.
        tx.touch(FeedKind::Instance, operation.instance);
    }
    tx.origin = Some(workflow.id.as_operation());
    apply_all(tx, changes).await
}

pub(super) async fn insert(
    tx: &mut Tx,
    workflow: &NewWorkflow,
    standing: Standing,
    place: Option<Place>,
) -> Result<(), Error> {
    let insert = "INSERT INTO workflows (id, kind, input, created_at, deadline, status, wake_at,
            sequence, cancellable, cancel_requested, claim, supersedes, parent, child_group,
            position)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 1, 0, $8, $9, $10, $11, $12)";
    let wake_at = (standing == Standing::Runnable).then_some(tx.now);
    let parameters = [
        text(workflow.id),
        text(&workflow.kind),
        json(&workflow.input)?,
        tx.now.into(),
        workflow.deadline.into(),
        standing.as_str().into(),
        wake_at.into(),
        workflow.claim.clone().into(),
        workflow.supersede.into(),
        Value::Text(place.map(|place| place.parent.to_string())),
        place.map(|place| place.group).into(),
        place.map(|place| place.position).into(),
    ];
    tx.db.execute(insert, &parameters).await?;
    tx.hint();
    Ok(())
}
