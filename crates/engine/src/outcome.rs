//! What a step's outcome makes of its workflow: the journal lines and the
//! status that are written for it.

use std::time::Duration;

use model::Timestamp;

use crate::advance::{Next, Run};
use crate::journal::{Cause, Entry, Outcome, Spawn, Wait};
use crate::store::{Appended, Commit, JournalStore, Recorded, Status, StoreError};
use crate::workflow::{Mode, StepDef, StepError};

impl<S: JournalStore> Run<'_, S> {
    pub(crate) async fn in_doubt(
        &mut self,
        step: &StepDef,
        reason: String,
        settle_until: Timestamp,
    ) -> Result<Next, StoreError> {
        tracing::info!(workflow = %self.id, step = step.name, reason, "in doubt");
        let entry = Entry::InDoubt { step: step.name.clone(), reason, settle_until };
        let mut commit = self.commit(vec![entry]);
        commit.cancellable = step.mode == Mode::Reversible;
        self.append(commit).await?;
        Ok(Next::GoOn)
    }

    /// A step did not go well. `reading` says that it was being read back, so
    /// that its effect is as much in doubt as before.
    pub(crate) async fn failed(
        &mut self,
        step: &StepDef,
        pivoted: bool,
        error: StepError,
        reading: bool,
    ) -> Result<Next, StoreError> {
        match error {
            StepError::Transient { reason, counts } => {
                let pause = step.retry.pause(self.progress.current.pauses + 1);
                self.retry(step, pivoted, reason, counts, reading, pause).await
            }
            StepError::Ambiguous { reason, settle } => {
                if self.progress.current.failures + 1 >= step.retry.attempts && reading {
                    return self.gave_up(step, pivoted, reason, true).await;
                }
                let settle_until = self.now().plus(settle);
                self.in_doubt(step, reason, settle_until).await
            }
            StepError::Permanent { reason, again } => {
                self.gave_up_for(step, pivoted, reason, again, reading).await
            }
            StepError::Stuck { reason, left } => {
                if !reading {
                    self.certainly_not(step, &reason).await?;
                }
                self.stuck(reason, left).await
            }
            StepError::Cancelled if pivoted => {
                self.stuck("cancelled after the point of no return".to_owned(), Vec::new()).await
            }
            StepError::Cancelled => self.begin_unwinding(Cause::Cancelled).await,
        }
    }

    pub(crate) async fn retry(
        &mut self,
        step: &StepDef,
        pivoted: bool,
        reason: String,
        counted: bool,
        in_doubt: bool,
        pause: Duration,
    ) -> Result<Next, StoreError> {
        let in_doubt = in_doubt && self.progress.current.sent_at.is_some();
        if self.progress.current.failures + u32::from(counted) >= step.retry.attempts {
            return self.gave_up(step, pivoted, reason, in_doubt).await;
        }
        tracing::info!(workflow = %self.id, step = step.name, reason, ?pause, "trying again");
        let at = self.now().plus(pause);
        let step_name = step.name.clone();
        let entry = Entry::Retry { step: step_name, reason, counted, in_doubt, at };
        let mut commit = self.commit(vec![entry]);
        commit.release = !in_doubt;
        commit.cancellable = !pivoted && (step.mode == Mode::Reversible || !in_doubt);
        if !pause.is_zero() {
            commit.status = Status::RunAt(at.min(self.step_deadline(step)));
        }
        let rest = commit.status != Status::Running;
        self.append(commit).await?;
        Ok(if rest { Next::Rest } else { Next::GoOn })
    }

    async fn gave_up(
        &mut self,
        step: &StepDef,
        pivoted: bool,
        reason: String,
        in_doubt: bool,
    ) -> Result<Next, StoreError> {
        let tries = self.progress.current.failures.max(1);
        let reason = if tries > 1 { format!("{reason} ({tries} tries)") } else { reason };
        self.gave_up_for(step, pivoted, reason, false, in_doubt).await
    }

    /// A step has failed for good.
    async fn gave_up_for(
        &mut self,
        step: &StepDef,
        pivoted: bool,
        reason: String,
        again: bool,
        in_doubt: bool,
    ) -> Result<Next, StoreError> {
        let maybe = in_doubt && self.progress.current.sent_at.is_some();
        if pivoted || step.mode == Mode::Forward || (step.mode == Mode::Pivot && maybe) {
            if !in_doubt {
                self.certainly_not(step, &reason).await?;
            }
            let left = self.workflow.left(&self.context(step));
            return self.stuck(format!("{}: {reason}", step.name), left).await;
        }
        self.begin_unwinding(Cause::Failed { step: step.name.clone(), reason, again }).await
    }

    /// Notes that the last try has certainly had no effect, so that a resume
    /// tries at once instead of waiting for one.
    async fn certainly_not(&mut self, step: &StepDef, reason: &str) -> Result<(), StoreError> {
        if self.progress.current.sent_at.is_none() {
            return Ok(());
        }
        let (step, reason, at) = (step.name.clone(), reason.to_owned(), self.now());
        let entry = Entry::Retry { step, reason, counted: false, in_doubt: false, at };
        let commit = self.commit(vec![entry]);
        self.append(commit).await.map(drop)
    }

    pub(crate) async fn begin_unwinding(&mut self, cause: Cause) -> Result<Next, StoreError> {
        tracing::info!(workflow = %self.id, reason = cause.reason(), "unwinding");
        let mut commit = self.commit(vec![Entry::Unwinding { cause }]);
        commit.release = !self.progress.current.in_flight();
        self.append(commit).await?;
        self.wait_result = None;
        Ok(Next::GoOn)
    }

    pub(crate) async fn done(
        &mut self,
        step: &StepDef,
        pivoted: bool,
        output: serde_json::Value,
        changes: Vec<S::Change>,
    ) -> Result<Next, StoreError> {
        tracing::debug!(workflow = %self.id, step = step.name, "done");
        let mut commit = self.commit(vec![Entry::Done { step: step.name.clone(), output }]);
        commit.changes = changes;
        commit.release = true;
        commit.cancellable = !pivoted && step.mode == Mode::Reversible;
        // The point of no return of a step without an effect is this line.
        commit.unless_cancelled = step.mode == Mode::Pivot && !step.effect;
        if self.append(commit).await? == Appended::Cancelled {
            self.cancel_requested = true;
        }
        Ok(Next::GoOn)
    }

    pub(crate) async fn wait(
        &mut self,
        step: &StepDef,
        wait: Wait,
        changes: Vec<S::Change>,
        undoing: bool,
    ) -> Result<Next, StoreError> {
        let until = match &wait {
            Wait::Until { at } => (*at).min(self.wait_limit(step, undoing)),
            _ => self.wait_limit(step, undoing),
        };
        let entry = Entry::Waiting { step: step.name.clone(), wait: wait.clone() };
        // Waiting on is no news, and neither is looking again later.
        let known = if undoing {
            self.progress.unwinding.as_ref().and_then(|unwinding| unwinding.waiting.as_ref())
        } else {
            self.progress.current.waiting.as_ref()
        };
        let entries = if known == Some(&wait) { Vec::new() } else { vec![entry] };
        let mut commit = self.commit(entries);
        commit.changes = changes;
        commit.cancellable = !undoing && step.mode == Mode::Reversible;
        commit.status = Status::Waiting { wait, until };
        self.append(commit).await?;
        Ok(Next::Rest)
    }

    fn wait_limit(&self, step: &StepDef, undoing: bool) -> Timestamp {
        match &self.progress.unwinding {
            Some(unwinding) if undoing => {
                unwinding.since.plus(self.shared.settings.unwind_deadline)
            }
            _ => self.step_deadline(step),
        }
    }

    pub(crate) async fn spawn(
        &mut self,
        step: &StepDef,
        spawn: Spawn,
        undoing: bool,
    ) -> Result<Next, StoreError> {
        let wait = Wait::Children { policy: spawn.policy };
        let until = self.wait_limit(step, undoing);
        let entry = Entry::Waiting { step: step.name.clone(), wait: wait.clone() };
        let mut commit = self.commit(vec![entry]);
        commit.cancellable = !undoing && step.mode == Mode::Reversible;
        commit.status = Status::Waiting { wait, until };
        commit.spawn = Some(spawn);
        self.append(commit).await?;
        Ok(Next::Rest)
    }

    pub(crate) async fn stuck(
        &mut self,
        reason: String,
        left: Vec<String>,
    ) -> Result<Next, StoreError> {
        tracing::warn!(workflow = %self.id, reason, ?left, "stuck");
        let outcome = Outcome::Stuck { reason: reason.clone(), left: left.clone() };
        let mut commit = self.commit(vec![Entry::Stuck { reason, left }]);
        commit.changes = self.end_changes(&outcome);
        commit.release = true;
        commit.status = Status::Stuck;
        commit.cancellable = self.progress.unwinding.is_none() && !self.pivoted();
        self.append(commit).await?;
        Ok(Next::Rest)
    }

    /// Stuck without the changes that the store may have refused.
    pub(crate) async fn refused(&mut self, reason: String) -> Result<(), StoreError> {
        tracing::error!(workflow = %self.id, reason, "stuck");
        let mut commit = self.commit(vec![Entry::Stuck { reason, left: Vec::new() }]);
        commit.release = true;
        commit.status = Status::Stuck;
        self.append(commit).await.map(drop)
    }

    /// Whether the point of no return is behind, or may be.
    pub(crate) fn pivoted(&self) -> bool {
        let Ok(steps) = self.workflow.steps(&self.progress.history) else {
            return true;
        };
        let touched = usize::from(self.progress.current.in_flight());
        let reached = (self.progress.history.outputs.len() + touched).min(steps.len());
        steps[..reached].iter().any(|step| step.mode != Mode::Reversible)
    }

    pub(crate) async fn finish(&mut self) -> Result<Next, StoreError> {
        let pivoted = self.pivoted();
        if self.cancel_requested && !pivoted {
            return self.begin_unwinding(Cause::Cancelled).await;
        }
        let mut commit = self.ending(&Outcome::Done);
        commit.unless_cancelled = !pivoted;
        if self.append(commit).await? == Appended::Cancelled {
            self.cancel_requested = true;
            return Ok(Next::GoOn);
        }
        Ok(Next::Rest)
    }

    pub(crate) async fn end(&mut self, outcome: Outcome) -> Result<Next, StoreError> {
        let commit = self.ending(&outcome);
        self.append(commit).await?;
        Ok(Next::Rest)
    }

    fn ending(&self, outcome: &Outcome) -> Commit<S::Change> {
        tracing::info!(workflow = %self.id, outcome = outcome.name(), "ends");
        let mut commit = self.commit(vec![Entry::Ended { outcome: outcome.clone() }]);
        commit.changes = self.end_changes(outcome);
        commit.release = true;
        commit.status = Status::Ended;
        commit
    }

    fn end_changes(&self, outcome: &Outcome) -> Vec<S::Change> {
        self.workflow.ended(&self.progress.history, outcome, self.now())
    }

    pub(crate) fn commit(&self, entries: Vec<Entry>) -> Commit<S::Change> {
        Commit {
            entries,
            changes: Vec::new(),
            status: Status::Running,
            acquire: Vec::new(),
            release: false,
            spawn: None,
            cancellable: false,
            unless_cancelled: false,
        }
    }

    /// Writes to the journal and takes what was written into the progress.
    pub(crate) async fn append(
        &mut self,
        commit: Commit<S::Change>,
    ) -> Result<Appended, StoreError> {
        let entries = commit.entries.clone();
        let after = self.progress.sequence;
        let store = &self.shared.store;
        let appended = store.append(self.shared.epoch(), self.id, after, commit).await?;
        if let Appended::Written { cancel_requested } = appended {
            let at = self.now();
            self.cancel_requested = cancel_requested;
            for (line, entry) in entries.into_iter().enumerate() {
                let sequence = after + 1 + line as u64;
                self.progress.take(&Recorded { sequence, at, entry });
            }
        }
        Ok(appended)
    }
}
