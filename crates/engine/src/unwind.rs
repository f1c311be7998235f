//! Taking back what a workflow has done, last step first, the failing one
//! included.

use crate::advance::{Next, Run};
use crate::journal::{Cause, Entry, Outcome, Wait};
use crate::progress::Unwinding;
use crate::store::{JournalStore, Status, StoreError};
use crate::workflow::{Mode, Retry, StepContext, StepDef, StepError, Undone};

/// Taking back is tried for longer than doing: what cannot be taken back needs
/// a person.
const UNDO_RETRY: Retry = Retry {
    attempts: 12,
    first: std::time::Duration::from_millis(500),
    most: std::time::Duration::from_secs(30),
};

impl<S: JournalStore> Run<'_, S> {
    pub(crate) async fn unwind(&mut self, steps: &[StepDef]) -> Result<Next, StoreError> {
        let Some(unwinding) = self.progress.unwinding.clone() else {
            return Ok(Next::GoOn);
        };
        if unwinding.remaining == 0 {
            return self.unwound(unwinding.cause).await;
        }
        let index = unwinding.remaining - 1;
        let Some(step) = steps.get(index) else {
            let reason = format!("journal: step {index} is unknown to this version");
            return self.stuck(reason, Vec::new()).await;
        };
        if self.now() >= unwinding.since.plus(self.shared.settings.unwind_deadline) {
            let why = unwinding.last_error.as_deref().unwrap_or("taking it back took too long");
            let reason = format!("undoing {}: {why}", step.name);
            return self.stuck(reason, self.left(step)).await;
        }
        if let Some(wait) = self.still_waiting(&unwinding) {
            return self.wait(step, wait, Vec::new(), true).await;
        }
        self.undo(step, index, &unwinding).await
    }

    /// What the undoing waits for, if that has not happened yet.
    fn still_waiting(&mut self, unwinding: &Unwinding) -> Option<Wait> {
        let result = self.wait_result.take();
        self.woken_by.clone_from(&result);
        match unwinding.waiting.clone()? {
            Wait::Until { at } if at <= self.now() => None,
            Wait::Until { at } => Some(Wait::Until { at }),
            wait if result.is_none() => Some(wait),
            _ => None,
        }
    }

    async fn undo(
        &mut self,
        step: &StepDef,
        index: usize,
        unwinding: &Unwinding,
    ) -> Result<Next, StoreError> {
        if step.effect {
            self.shared.ensure_lease(step.request_timeout).await?;
        }
        let is_current = index == self.progress.history.outputs.len();
        let outcome = if step.mode == Mode::Reversible {
            let context = StepContext {
                attempt: unwinding.failures + 1,
                in_doubt_since: self.progress.current.sent_at.filter(|_| is_current),
                ..self.context(step)
            };
            self.workflow.undo(&context).await
        } else {
            // A pivot that has certainly not happened.
            Ok(Undone::Done { changes: Vec::new() })
        };
        match outcome {
            Ok(Undone::Done { changes }) => {
                let mut commit = self.commit(vec![Entry::Undone { step: step.name.clone() }]);
                commit.changes = changes;
                self.append(commit).await?;
                Ok(Next::GoOn)
            }
            Ok(Undone::Wait { on }) => self.wait(step, on, Vec::new(), true).await,
            Ok(Undone::Spawn(spawn)) => self.spawn(step, spawn, true).await,
            Err(error) => self.undo_failed(step, unwinding, error).await,
        }
    }

    async fn undo_failed(
        &mut self,
        step: &StepDef,
        unwinding: &Unwinding,
        error: StepError,
    ) -> Result<Next, StoreError> {
        let (reason, counted) = match error {
            StepError::Transient { reason, counts } => (reason, counts),
            StepError::Ambiguous { reason, .. } => (reason, true),
            StepError::Cancelled => ("cancelled".to_owned(), true),
            StepError::Permanent { reason, .. } => {
                let reason = format!("undoing {}: {reason}", step.name);
                return self.stuck(reason, self.left(step)).await;
            }
            StepError::Stuck { reason, left } => return self.stuck(reason, left).await,
        };
        if unwinding.failures + u32::from(counted) >= UNDO_RETRY.attempts {
            let reason = format!("undoing {}: {reason}", step.name);
            return self.stuck(reason, self.left(step)).await;
        }
        tracing::info!(workflow = %self.id, step = step.name, reason, "undoing again");
        let at = self.now().plus(UNDO_RETRY.pause(unwinding.pauses + 1));
        let name = step.name.clone();
        let mut commit = self.commit(vec![Entry::UndoRetry { step: name, reason, counted, at }]);
        commit.status = Status::RunAt(at);
        self.append(commit).await?;
        Ok(Next::Rest)
    }

    async fn unwound(&mut self, cause: Cause) -> Result<Next, StoreError> {
        let again = matches!(cause, Cause::Failed { again: true, .. });
        let may = self.progress.history.restarts < self.workflow.restarts();
        if again && may && !self.cancel_requested {
            tracing::info!(workflow = %self.id, reason = cause.reason(), "beginning again");
            let mut commit = self.commit(vec![Entry::Restarted]);
            commit.cancellable = true;
            self.append(commit).await?;
            return Ok(Next::GoOn);
        }
        self.end(Outcome::Unwound { cause }).await
    }

    fn left(&self, step: &StepDef) -> Vec<String> {
        let left = self.workflow.left(&self.context(step));
        if left.is_empty() { vec![format!("what the step {} did", step.name)] } else { left }
    }
}
