use std::time::Duration;

use model::{Door, OperationId, Principal, ProjectId, Role, Timestamp};

use super::page;
use crate::Error;
use crate::db::{Connection, Row, Tx, Value, int, text, word};

/// How long the audit log is kept.
const KEPT: Duration = Duration::from_secs(365 * 24 * 3600);

/// Who asked for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its place in the order of all changes; given when it is written.
    pub sequence: u64,
    /// When; given when it is written.
    pub at: Timestamp,
    /// Who.
    pub principal: Principal,
    /// With which rights.
    pub role: Role,
    /// For which project.
    pub project: ProjectId,
    /// Through which door.
    pub door: Door,
    /// In which request; empty when the door gives none.
    pub request_id: String,
    /// What was asked for, for example `create` or `token.revoke`.
    pub action: String,
    /// Of what.
    pub target: String,
    /// The operation that carries it out, if there is one.
    pub operation: Option<OperationId>,
    /// `accepted`, or the code of the error.
    pub outcome: String,
    /// What the error says.
    pub detail: Option<String>,
}

/// Which entries are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Those of this project.
    pub project: Option<ProjectId>,
    /// Those of the principal with this id.
    pub principal: Option<String>,
    /// Those of this action.
    pub action: Option<String>,
    /// Those about this.
    pub target: Option<String>,
    /// Those with this outcome.
    pub outcome: Option<String>,
    /// Those before this one, for the next page.
    pub before: Option<u64>,
    /// How many at most (1 to 10,000).
    pub limit: u32,
}

pub(crate) async fn write(tx: &mut Tx, entry: &AuditEntry) -> Result<(), Error> {
    let sequence = tx.next_sequence().await?;
    let insert = "INSERT INTO audit (sequence, at, principal, principal_name, role, project, door,
            request_id, action, target, operation, outcome, detail)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    let parameters = [
        sequence.into(),
        tx.now.into(),
        entry.principal.id.as_str().into(),
        entry.principal.name.as_str().into(),
        word(&entry.role)?,
        text(&entry.project),
        word(&entry.door)?,
        entry.request_id.as_str().into(),
        entry.action.as_str().into(),
        entry.target.as_str().into(),
        Value::Text(entry.operation.map(|id| id.to_string())),
        entry.outcome.as_str().into(),
        entry.detail.clone().into(),
    ];
    tx.db.execute(insert, &parameters).await?;
    Ok(())
}

fn read(row: &Row) -> Result<AuditEntry, Error> {
    let principal = Principal { id: row.text("principal")?, name: row.text("principal_name")? };
    Ok(AuditEntry {
        sequence: row.uint("sequence")?,
        at: row.time("at")?,
        principal,
        role: row.word("role")?,
        project: row.parsed("project")?,
        door: row.word("door")?,
        request_id: row.text("request_id")?,
        action: row.text("action")?,
        target: row.text("target")?,
        operation: row.opt_parsed("operation")?,
        outcome: row.text("outcome")?,
        detail: row.opt_text("detail")?,
    })
}

/// The newest first.
pub(crate) async fn list(
    db: &mut Connection,
    filter: &AuditFilter,
) -> Result<Vec<AuditEntry>, Error> {
    let select = "SELECT * FROM audit WHERE ($1 IS NULL OR project = $1)
            AND ($2 IS NULL OR principal = $2) AND ($3 IS NULL OR action = $3)
            AND ($4 IS NULL OR target = $4) AND ($5 IS NULL OR outcome = $5)
            AND ($6 IS NULL OR sequence < $6)
        ORDER BY sequence DESC LIMIT $7";
    let before = match filter.before {
        Some(before) => int(before)?,
        None => Value::Int(None),
    };
    let parameters = [
        Value::Text(filter.project.as_ref().map(ToString::to_string)),
        Value::Text(filter.principal.clone()),
        Value::Text(filter.action.clone()),
        Value::Text(filter.target.clone()),
        Value::Text(filter.outcome.clone()),
        before,
        page(filter.limit),
    ];
    db.fetch_all(select, &parameters).await?.iter().map(read).collect()
}

pub(crate) async fn compact(tx: &mut Tx) -> Result<(), Error> {
    let kept = i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
    let before = Timestamp::from_millis(tx.now.as_millis().saturating_sub(kept));
    tx.db.execute("DELETE FROM audit WHERE at < $1", &[before.into()]).await?;
    Ok(())
}
