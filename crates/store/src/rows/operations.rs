use engine::{Cause, Entry, Outcome};
use model::{InstanceId, Operation, OperationId, OperationKind, OperationState, ProjectId};

use super::{events, page};
use crate::Error;
use crate::db::{Connection, Row, Tx, Value, json, text, word};
use crate::feed::FeedKind;

/// Which operations are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationFilter {
    /// Those of this instance.
    pub instance: Option<InstanceId>,
    /// Those of this project.
    pub project: Option<ProjectId>,
    /// Those in this state.
    pub state: Option<OperationState>,
    /// Those of this kind.
    pub kind: Option<OperationKind>,
    /// Those that have settled, or that have not.
    pub settled: Option<bool>,
    /// Those before this one, for the next page. Pages are newest first.
    pub before: Option<OperationId>,
    /// How many at most (1 to 10,000).
    pub limit: u32,
}

impl Default for OperationFilter {
    fn default() -> Self {
        Self {
            instance: None,
            project: None,
            state: None,
            kind: None,
            settled: None,
            before: None,
            limit: 100,
        }
    }
}

macro_rules! select {
    ($condition:literal) => {
        concat!(
            "SELECT o.*, COALESCE(w.cancel_requested, 0) AS cancel_requested
            FROM operations o LEFT JOIN workflows w ON w.id = o.id WHERE ",
            $condition
        )
    };
}

fn read(row: &Row) -> Result<Operation, Error> {
    Ok(Operation {
        id: row.parsed("id")?,
        kind: row.parsed("kind")?,
        instance: row.parsed("instance")?,
        instance_name: row.text("instance_name")?,
        project: row.parsed("project")?,
        state: row.word("state")?,
        reason: row.opt_text("reason")?,
        left: row.json("left_behind")?,
        cancel_requested: row.truth("cancel_requested")?,
        asked_by: row.text("asked_by")?,
        created_at: row.time("created_at")?,
        ended_at: row.opt_time("ended_at")?,
        steps: Vec::new(),
    })
}

pub(crate) async fn get(db: &mut Connection, id: OperationId) -> Result<Option<Operation>, Error> {
    let row = db.fetch_one(select!("o.id = $1"), &[text(id)]).await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn list(
    db: &mut Connection,
    filter: &OperationFilter,
) -> Result<Vec<Operation>, Error> {
    let state = filter.state.as_ref().map(word).transpose()?;
    let rows = db
        .fetch_all(
            select!(
                "($1 IS NULL OR o.instance = $1) AND ($2 IS NULL OR o.project = $2)
                AND ($3 IS NULL OR o.state = $3) AND ($4 IS NULL OR o.id < $4)
                AND ($6 IS NULL OR $6 =
                    CASE WHEN o.state IN ('queued', 'running', 'unwinding') THEN 0 ELSE 1 END)
                AND ($7 IS NULL OR o.kind = $7)
                ORDER BY o.id DESC LIMIT $5"
            ),
            &[
                Value::Text(filter.instance.map(|id| id.to_string())),
                Value::Text(filter.project.as_ref().map(ToString::to_string)),
                state.unwrap_or(Value::Text(None)),
                Value::Text(filter.before.map(|id| id.to_string())),
                page(filter.limit),
                Value::Int(filter.settled.map(i64::from)),
                Value::Text(filter.kind.map(|kind| kind.to_string())),
            ],
        )
        .await?;
    rows.iter().map(read).collect()
}

/// Adds the row of an operation.
pub(crate) async fn insert(tx: &mut Tx, operation: &Operation) -> Result<(), Error> {
    let insert = "INSERT INTO operations (id, kind, instance, instance_name, project, asked_by,
            state, reason, left_behind, created_at, ended_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, '[]', $8, NULL)";
    let parameters = [
        text(operation.id),
        text(operation.kind),
        text(operation.instance),
        operation.instance_name.as_str().into(),
        text(&operation.project),
        operation.asked_by.as_str().into(),
        word(&operation.state)?,
        operation.created_at.into(),
    ];
    tx.db.execute(insert, &parameters).await?;
    tx.touch(FeedKind::Operation, operation.id);
    events::of_operation(tx, operation).await
}

/// What becomes of an operation's row.
struct View {
    state: OperationState,
    reason: Option<String>,
    left: Vec<String>,
    ended: bool,
}

impl View {
    fn going(state: OperationState, reason: Option<String>) -> Self {
        Self { state, reason, left: Vec::new(), ended: false }
    }

    fn of_outcome(outcome: &Outcome, superseded_by: Option<OperationId>) -> Self {
        let ended = |state, reason, left| Self { state, reason, left, ended: true };
        match outcome {
            Outcome::Done => ended(OperationState::Succeeded, None, Vec::new()),
            Outcome::Unwound { cause: cause @ Cause::Cancelled } => {
                ended(OperationState::Cancelled, Some(cause.reason()), Vec::new())
            }
            Outcome::Unwound { cause } => {
                ended(OperationState::Failed, Some(cause.reason()), Vec::new())
            }
            Outcome::Stuck { reason, left } => Self {
                state: OperationState::Stuck,
                reason: Some(reason.clone()),
                left: left.clone(),
                ended: false,
            },
            Outcome::Abandoned { left } => {
                let reason = Some("given up while stuck".to_owned());
                ended(OperationState::Abandoned, reason, left.clone())
            }
            Outcome::Superseded => {
                let reason = match superseded_by {
                    Some(by) => format!("operation {by} took over"),
                    None => "another operation took over".to_owned(),
                };
                ended(OperationState::Cancelled, Some(reason), Vec::new())
            }
        }
    }

    /// What a journal line makes of the row, if anything.
    fn of_entry(entry: &Entry) -> Option<Self> {
        match entry {
            Entry::Unwinding { cause } => {
                Some(Self::going(OperationState::Unwinding, Some(cause.reason())))
            }
            Entry::Restarted => Some(Self::going(OperationState::Running, None)),
            Entry::Stuck { reason, left } => {
                let (reason, left) = (reason.clone(), left.clone());
                Some(Self::of_outcome(&Outcome::Stuck { reason, left }, None))
            }
            Entry::Ended { outcome } => Some(Self::of_outcome(outcome, None)),
            Entry::Begun { .. }
            | Entry::Waiting { .. }
            | Entry::Done { .. }
            | Entry::InDoubt { .. }
            | Entry::Retry { .. }
            | Entry::UndoRetry { .. }
            | Entry::Undone { .. }
            | Entry::Resumed { .. } => None,
        }
    }
}

async fn write(tx: &mut Tx, id: OperationId, view: View) -> Result<(), Error> {
    let update = "UPDATE operations SET state = $2, reason = $3, left_behind = $4, ended_at = $5
        WHERE id = $1";
    let ended_at = view.ended.then_some(tx.now);
    let parameters =
        [text(id), word(&view.state)?, view.reason.into(), json(&view.left)?, ended_at.into()];
    if tx.db.execute(update, &parameters).await? > 0 {
        changed(tx, id).await?;
    }
    Ok(())
}

async fn changed(tx: &mut Tx, id: OperationId) -> Result<(), Error> {
    tx.touch(FeedKind::Operation, id);
    match get(&mut tx.db, id).await? {
        Some(row) => events::of_operation(tx, &row).await,
        None => Ok(()),
    }
}

/// Keeps an operation's row true to the journal of its root workflow. Its steps
/// are shown, so that every line is news.
pub(crate) async fn follow(tx: &mut Tx, id: OperationId, entries: &[Entry]) -> Result<(), Error> {
    if let Some(view) = entries.iter().rev().find_map(View::of_entry) {
        return write(tx, id, view).await;
    }
    if !entries.is_empty() {
        tx.touch(FeedKind::Operation, id);
    }
    Ok(())
}

/// An operation was ended by somebody else's doing.
pub(crate) async fn end(
    tx: &mut Tx,
    id: OperationId,
    outcome: &Outcome,
    superseded_by: Option<OperationId>,
) -> Result<(), Error> {
    write(tx, id, View::of_outcome(outcome, superseded_by)).await
}

/// An operation that was queued is taken up for the first time.
pub(crate) async fn begins(tx: &mut Tx, id: OperationId) -> Result<(), Error> {
    let update = "UPDATE operations SET state = $2 WHERE id = $1 AND state = $3";
    let (running, queued) = (word(&OperationState::Running)?, word(&OperationState::Queued)?);
    if tx.db.execute(update, &[text(id), running, queued]).await? > 0 {
        changed(tx, id).await?;
    }
    Ok(())
}

/// An operation goes on after it was stuck.
pub(crate) async fn goes_on(
    tx: &mut Tx,
    id: OperationId,
    unwinding: Option<&Cause>,
) -> Result<(), Error> {
    let view = match unwinding {
        Some(cause) => View::going(OperationState::Unwinding, Some(cause.reason())),
        None => View::going(OperationState::Running, None),
    };
    write(tx, id, view).await
}
