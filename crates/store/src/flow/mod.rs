//! Workflows: their rows, their journals, and what follows for others when one
//! of them settles.

mod append;
mod children;
mod claims;
mod control;
mod journal;
mod limits;
mod start;
mod take;

use engine::{Entry, EpochId, Outcome, Policy, Wait, WorkflowId};
use model::{InstanceId, OperationId, Timestamp};

use crate::Error;
use crate::db::{Connection, Row, Tx, int, json, text};
use crate::rows::operations;

pub(crate) use append::append;
pub(crate) use children::ends as children_of;
pub use control::CancelAnswer;
pub(crate) use control::{abandon, cancel, resume, signal};
pub(crate) use journal::entries;
pub use start::Start;
pub(crate) use start::start;
pub(crate) use take::kind_of;
pub(crate) use take::{begin_epoch, claim, next_due, open_handles, release, renew_epoch, resolve};

/// The instance whose operations claim this resource.
pub(crate) fn instance_of_claim(resource: &str) -> Option<InstanceId> {
    resource.strip_prefix("instance/")?.parse().ok()
}

/// Where a workflow's row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Standing {
    /// An executor has it or may take it.
    Runnable,
    /// It waits for something.
    Waiting,
    /// A child whose turn has not come.
    Held,
    /// It waits to take over a claim.
    Queued,
    /// It waits for somebody to resume, abandon or supersede it.
    Stuck,
    /// It has ended.
    Ended,
}

impl Standing {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Runnable => "runnable",
            Self::Waiting => "waiting",
            Self::Held => "held",
            Self::Queued => "queued",
            Self::Stuck => "stuck",
            Self::Ended => "ended",
        }
    }
}

macro_rules! select {
    ($condition:literal) => {
        concat!(
            "SELECT w.id, w.status, w.owner, w.sequence, w.cancellable, w.cancel_requested,
                w.claim, w.supersedes, w.outcome, w.wait, w.wait_since, w.limit_since, w.parent,
                w.spawn_group, w.spawn_at_most, w.spawn_policy
            FROM workflows w WHERE ",
            $condition
        )
    };
}

/// A workflow's row without its input.
#[derive(Debug)]
struct Flow {
    id: WorkflowId,
    standing: Standing,
    owner: Option<i64>,
    sequence: u64,
    cancellable: bool,
    cancel_requested: bool,
    claim: Option<String>,
    supersedes: bool,
    outcome: Option<Outcome>,
    wait: Option<Wait>,
    wait_since: Option<Timestamp>,
    limit_since: Option<Timestamp>,
    parent: Option<WorkflowId>,
    group: Option<Group>,
}

/// The present children of a workflow.
#[derive(Clone, Copy, Debug)]
struct Group {
    /// Its number: the length of the parent's journal when it was begun.
    number: i64,
    at_most: i64,
    policy: Policy,
}

impl Flow {
    async fn find(db: &mut Connection, id: WorkflowId) -> Result<Option<Self>, Error> {
        let row = db.fetch_one(select!("w.id = $1"), &[text(id)]).await?;
        row.as_ref().map(Self::read).transpose()
    }

    /// A workflow that this epoch has, if the epoch lives.
    async fn of_epoch(tx: &mut Tx, id: WorkflowId, epoch: EpochId) -> Result<Option<Self>, Error> {
        let select = select!(
            "w.id = $1 AND w.owner = $2
                AND EXISTS (SELECT 1 FROM epochs e WHERE e.id = $2 AND e.expires_at > $3)"
        );
        let row = tx.db.fetch_one(select, &[text(id), epoch.0.into(), tx.now.into()]).await?;
        row.as_ref().map(Self::read).transpose()
    }

    /// The children of a group that have not settled, in order.
    async fn going_children(
        tx: &mut Tx,
        parent: WorkflowId,
        group: &Group,
    ) -> Result<Vec<Self>, Error> {
        let select = select!(
            "w.parent = $1 AND w.child_group = $2 AND w.status NOT IN ('stuck', 'ended')
                ORDER BY w.position"
        );
        let rows = tx.db.fetch_all(select, &[text(parent), group.number.into()]).await?;
        rows.iter().map(Self::read).collect()
    }

    async fn get(tx: &mut Tx, id: WorkflowId) -> Result<Self, Error> {
        Self::find(&mut tx.db, id).await?.ok_or_else(|| Error::not_found("workflow", id))
    }

    fn read(row: &Row) -> Result<Self, Error> {
        let group = match row.opt_int("spawn_group")? {
            None => None,
            Some(number) => Some(Group {
                number,
                at_most: row.int("spawn_at_most")?,
                policy: row.word("spawn_policy")?,
            }),
        };
        Ok(Self {
            id: row.parsed("id")?,
            standing: row.word("status")?,
            owner: row.opt_int("owner")?,
            sequence: row.uint("sequence")?,
            cancellable: row.truth("cancellable")?,
            cancel_requested: row.truth("cancel_requested")?,
            claim: row.opt_text("claim")?,
            supersedes: row.truth("supersedes")?,
            outcome: row.opt_json("outcome")?,
            wait: row.opt_json("wait")?,
            wait_since: row.opt_time("wait_since")?,
            limit_since: row.opt_time("limit_since")?,
            parent: row.opt_parsed("parent")?,
            group,
        })
    }

    /// The operation that a user follows, when this is a root workflow.
    fn as_root(&self) -> Option<OperationId> {
        self.parent.is_none().then(|| self.id.as_operation())
    }

    fn waits_for_children(&self) -> bool {
        self.standing == Standing::Waiting && matches!(self.wait, Some(Wait::Children { .. }))
    }
}

/// The operation that a user follows for this workflow: its root.
async fn root_of(tx: &mut Tx, id: WorkflowId) -> Result<OperationId, Error> {
    let mut root = id;
    // Deeper than any tree of workflows.
    for _ in 0..32 {
        let parent = tx
            .db
            .fetch_one("SELECT parent FROM workflows WHERE id = $1", &[text(root)])
            .await?
            .map(|row| row.opt_parsed("parent"))
            .transpose()?
            .flatten();
        match parent {
            Some(parent) => root = parent,
            None => break,
        }
    }
    Ok(root.as_operation())
}

/// Something whose consequences for others are still to be drawn.
#[derive(Debug)]
pub(crate) enum Settled {
    /// A workflow has ended.
    Ended { id: WorkflowId, claim: Option<String>, parent: Option<WorkflowId>, had_children: bool },
    /// A workflow is stuck.
    Stuck { id: WorkflowId, claim: Option<String>, parent: Option<WorkflowId> },
    /// One of this workflow's children has settled, or it begins to wait for
    /// them.
    Children { of: WorkflowId },
}

/// Ends a workflow that does not go on by its own doing. An executor that has
/// it is fenced by the new journal line.
async fn end(
    tx: &mut Tx,
    flow: &Flow,
    outcome: Outcome,
    superseded_by: Option<WorkflowId>,
) -> Result<(), Error> {
    let sequence = flow.sequence + 1;
    let line = Entry::Ended { outcome: outcome.clone() };
    journal::write(tx, flow.id, flow.sequence, std::slice::from_ref(&line)).await?;
    let update = "UPDATE workflows SET status = $2, wake_at = NULL, owner = NULL, sequence = $3,
            cancellable = 0, ended_at = $4, outcome = $5, wait = NULL, wait_group = NULL,
            wait_since = NULL, wait_result = NULL, limit_key = NULL, limit_since = NULL
        WHERE id = $1";
    let parameters = [
        text(flow.id),
        Standing::Ended.as_str().into(),
        int(sequence)?,
        tx.now.into(),
        json(&outcome)?,
    ];
    tx.db.execute(update, &parameters).await?;
    if let Some(operation) = flow.as_root() {
        let by = match superseded_by {
            Some(by) => Some(root_of(tx, by).await?),
            None => None,
        };
        operations::end(tx, operation, &outcome, by).await?;
    }
    tx.settled.push(Settled::Ended {
        id: flow.id,
        claim: flow.claim.clone(),
        parent: flow.parent,
        had_children: flow.group.is_some(),
    });
    Ok(())
}

/// Draws the consequences of everything that has settled in this request: for
/// limits, claims, children, siblings and parents.
pub(crate) async fn draw_consequences(tx: &mut Tx) -> Result<(), Error> {
    while !tx.settled.is_empty() {
        // In the order in which things happened.
        match tx.settled.remove(0) {
            Settled::Ended { id, claim, parent, had_children } => {
                limits::release(tx, id).await?;
                if let Some(resource) = claim {
                    claims::hand_over(tx, id, &resource).await?;
                }
                if had_children {
                    control::cancel_children(tx, id).await?;
                }
                children_of_parent_changed(tx, parent);
            }
            Settled::Stuck { id, claim, parent } => {
                limits::release(tx, id).await?;
                match claims::next_of(tx, id, claim.as_deref()).await? {
                    Some(next) => {
                        let flow = Flow::get(tx, id).await?;
                        if flow.standing == Standing::Stuck {
                            end(tx, &flow, Outcome::Superseded, Some(next)).await?;
                        }
                    }
                    None => children_of_parent_changed(tx, parent),
                }
            }
            Settled::Children { of } => children::look(tx, of).await?,
        }
    }
    Ok(())
}

/// Looks at a parent once, however many of its children have settled.
fn children_of_parent_changed(tx: &mut Tx, parent: Option<WorkflowId>) {
    let Some(parent) = parent else { return };
    let there = |settled: &Settled| matches!(settled, Settled::Children { of } if *of == parent);
    if !tx.settled.iter().any(there) {
        tx.settled.push(Settled::Children { of: parent });
    }
}

/// Makes a workflow due now.
async fn wake(tx: &mut Tx, id: WorkflowId) -> Result<(), Error> {
    let update = "UPDATE workflows SET wake_at = $2 WHERE id = $1";
    tx.db.execute(update, &[text(id), tx.now.into()]).await?;
    tx.hint();
    Ok(())
}
