//! Who asked for what, and what came of it.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use model::{Caller, Error, OperationId, Role, Timestamp};
use store::{AuditEntry, AuditFilter, Change};

use super::public;
use crate::house::House;

/// Refusals that are written down in [`WINDOW`]; more are only logged, so that
/// nobody fills the data base with them.
const REFUSALS_MOST: u32 = 600;
const WINDOW: Duration = Duration::from_secs(60);

/// How many refusals were written since when.
pub(crate) type Refusals = Mutex<(Duration, u32)>;

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) action: &'a str,
    pub(super) target: &'a str,
    pub(super) operation: Option<OperationId>,
}

/// The entry of a request that is accepted: committed with what it asks for.
pub(super) fn accepted(caller: &Caller, asked: Asked<'_>) -> Change {
    Change::Audit(Box::new(entry(caller, asked, "accepted", None)))
}

fn entry(caller: &Caller, asked: Asked<'_>, outcome: &str, detail: Option<String>) -> AuditEntry {
    AuditEntry {
        sequence: 0,
        at: Timestamp::default(),
        principal: caller.principal.clone(),
        role: caller.role,
        project: caller.project.clone(),
        door: caller.door,
        request_id: caller.request.id.clone(),
        action: asked.action.to_owned(),
        target: asked.target.to_owned(),
        operation: asked.operation,
        outcome: outcome.to_owned(),
        detail,
    }
}

impl House {
    /// The audit log, the newest first.
    ///
    /// # Errors
    /// [`Error::Forbidden`] but for administrators; [`Error::Unavailable`] when
    /// the store does not answer.
    pub async fn audit(
        &self,
        caller: &Caller,
        filter: &AuditFilter,
    ) -> Result<Vec<AuditEntry>, Error> {
        caller.require(Role::Admin)?;
        self.core.store.audit(filter).await.map_err(public)
    }

    /// Writes down that a change was refused. A refusal that cannot be written
    /// is logged: the caller has its answer either way.
    pub async fn audit_refusal(&self, caller: &Caller, action: &str, target: &str, error: &Error) {
        let asked = Asked { action, target, operation: None };
        let row = entry(caller, asked, error.code(), Some(error.to_string()));
        if !self.may_write_refusal() {
            tracing::warn!(principal = caller.principal.id, action, "a refusal is not audited");
            return;
        }
        if let Err(error) = self.core.store.commit(vec![Change::Audit(Box::new(row))]).await {
            tracing::warn!(%error, action, "a refusal is not audited");
        }
    }

    fn may_write_refusal(&self) -> bool {
        let now = self.core.clock.monotonic();
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(refusals.0) >= WINDOW {
            *refusals = (now, 0);
        }
        refusals.1 += 1;
        refusals.1 <= REFUSALS_MOST
    }
}
