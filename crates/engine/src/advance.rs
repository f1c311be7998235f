//! Carrying a workflow forward until it waits, rests or ends.

use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;

use crate::executor::{HandleState, Shared};
use crate::journal::{Cause, Entry, Outcome, Wait, WaitResult};
use crate::progress::Progress;
use crate::store::{Appended, JournalStore, StoreError, WorkflowRecord};
use crate::workflow::{
    Applied, Mode, Probed, StepContext, StepDef, StepError, Workflow, WorkflowId,
};

/// Whether an executor goes on with a workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    GoOn,
    Rest,
}

/// One workflow in the hands of this executor.
pub(crate) struct Run<'a, S: JournalStore> {
    pub(crate) shared: &'a Shared<S>,
    pub(crate) workflow: Arc<dyn Workflow<S::Change>>,
    pub(crate) id: WorkflowId,
    pub(crate) deadline: Timestamp,
    pub(crate) cancel_requested: bool,
    pub(crate) wait_result: Option<WaitResult>,
    /// What ended the last wait, for the step that waited.
    pub(crate) woken_by: Option<WaitResult>,
    pub(crate) progress: Progress,
}

/// How often "is it done yet?" is asked when there is no handle to ask.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl<'a, S: JournalStore> Run<'a, S> {
    pub(crate) fn new(
        shared: &'a Shared<S>,
        workflow: Arc<dyn Workflow<S::Change>>,
        record: WorkflowRecord,
    ) -> Self {
        Self {
            shared,
            workflow,
            id: record.id,
            deadline: record.deadline,
            cancel_requested: record.cancel_requested,
            progress: Progress::of(&record),
            wait_result: record.wait_result,
            woken_by: None,
        }
    }

    /// Goes on until the workflow waits, rests or ends.
    pub(crate) async fn run(mut self) -> Result<(), StoreError> {
        loop {
            match self.turn().await {
                Ok(Next::GoOn) => {}
                Ok(Next::Rest) => return Ok(()),
                // What the store refuses once it refuses always.
                Err(StoreError::Corrupt(reason)) => {
                    return self.refused(format!("the store: {reason}")).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn turn(&mut self) -> Result<Next, StoreError> {
        if self.progress.is_settled() && !self.cancels_stuck() {
            // Taken up although it has settled: another executor's answer
            // crossed ours. There is nothing to do, and nothing to write.
            self.shared.store.release(self.shared.epoch(), self.id).await?;
            return Ok(Next::Rest);
        }
        let steps = match self.workflow.steps(&self.progress.history) {
            Ok(steps) => steps,
            Err(reason) => return self.stuck(format!("journal: {reason}"), Vec::new()).await,
        };
        if self.progress.unwinding.is_some() {
            return self.unwind(&steps).await;
        }
        let done = self.progress.history.outputs.len();
        let Some(step) = steps.get(done) else {
            return self.finish().await;
        };
        let pivoted = steps[..done].iter().any(|step| step.mode == Mode::Pivot);
        if let Some(next) = self.stop_before(step, pivoted).await? {
            return Ok(next);
        }
        self.forward(step, pivoted).await
    }

    /// A cancel lets a stuck workflow go, backwards.
    fn cancels_stuck(&self) -> bool {
        let stuck = matches!(self.progress.outcome, Some(Outcome::Stuck { .. }));
        stuck && self.cancel_requested && self.progress.unwinding.is_none() && !self.pivoted()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    fn effective_deadline(&self) -> Timestamp {
        self.progress.extended.map_or(self.deadline, |at| at.max(self.deadline))
    }

    pub(crate) fn step_deadline(&self, step: &StepDef) -> Timestamp {
        let began = self.progress.current.began_at.unwrap_or_else(|| self.now());
        began.plus(step.deadline).min(self.effective_deadline())
    }

    /// Cancel and deadlines: they unwind before the pivot, and make the
    /// workflow stuck after it.
    async fn stop_before(
        &mut self,
        step: &StepDef,
        pivoted: bool,
    ) -> Result<Option<Next>, StoreError> {
        let point_of_no_return = pivoted
            || step.mode == Mode::Forward
            || (step.mode == Mode::Pivot && self.progress.current.in_flight());
        if self.cancel_requested && !point_of_no_return {
            return self.begin_unwinding(Cause::Cancelled).await.map(Some);
        }
        if self.now() < self.step_deadline(step) {
            return Ok(None);
        }
        let reason = match &self.progress.current.last_error {
            Some(error) => format!("{}: {error}", step.name),
            None => format!("{} took longer than allowed", step.name),
        };
        if point_of_no_return {
            let left = self.workflow.left(&self.context(step));
            return self.stuck(format!("deadline passed: {reason}"), left).await.map(Some);
        }
        self.begin_unwinding(Cause::Deadline { reason }).await.map(Some)
    }

    async fn forward(&mut self, step: &StepDef, pivoted: bool) -> Result<Next, StoreError> {
        let result = self.wait_result.take();
        self.woken_by.clone_from(&result);
        let waiting = self.progress.current.waiting.clone();
        match (waiting, result) {
            (Some(Wait::Children { policy }), Some(WaitResult::Children { children })) => {
                let context = self.context(step);
                let outcome = self.workflow.children_ended(&context, policy, &children);
                self.take_applied(step, pivoted, outcome).await
            }
            (Some(Wait::Handle { .. }), Some(WaitResult::Handle { state })) => {
                self.look(step, pivoted, Some(state)).await
            }
            (Some(Wait::Until { at }), _) if at <= self.now() => {
                if step.effect {
                    return self.look(step, pivoted, None).await;
                }
                self.carry_out(step, pivoted).await
            }
            (Some(Wait::Signal { .. }), Some(WaitResult::Signal { .. })) => {
                self.carry_out(step, pivoted).await
            }
            // Taken up before what it waits for has happened (a cancel that
            // came too late, say): wait on.
            (Some(wait), _) => self.wait(step, wait, Vec::new(), false).await,
            (None, _) if self.progress.current.sent_at.is_some() => {
                self.look(step, pivoted, None).await
            }
            (None, _) => self.carry_out(step, pivoted).await,
        }
    }

    pub(crate) fn context<'s>(&'s self, step: &'s StepDef) -> StepContext<'s> {
        let current = &self.progress.current;
        StepContext {
            workflow: self.id,
            step,
            history: &self.progress.history,
            attempt: current.failures + 1,
            in_doubt_since: current.sent_at,
            woken_by: self.woken_by.as_ref(),
            now: self.now(),
        }
    }

    /// Sends the effect.
    async fn carry_out(&mut self, step: &StepDef, pivoted: bool) -> Result<Next, StoreError> {
        if step.effect {
            self.shared.ensure_lease(step.request_timeout).await?;
            let mut commit = self.commit(vec![Entry::Begun { step: step.name.clone() }]);
            commit.acquire = step.limits.clone();
            commit.release = true;
            commit.cancellable = !pivoted && step.mode == Mode::Reversible;
            commit.unless_cancelled = step.mode == Mode::Pivot;
            match self.append(commit).await? {
                Appended::Written { .. } => {}
                Appended::LimitReached => return Ok(Next::Rest),
                Appended::Cancelled => {
                    self.cancel_requested = true;
                    return Ok(Next::GoOn);
                }
            }
            // The journal may have taken a while.
            self.shared.ensure_lease(step.request_timeout).await?;
        }
        // This try is the one that goes out now: nothing of it is in doubt.
        let mut context = self.context(step);
        context.in_doubt_since = None;
        let outcome = self.workflow.apply(&context).await;
        self.take_applied(step, pivoted, outcome).await
    }

    async fn take_applied(
        &mut self,
        step: &StepDef,
        pivoted: bool,
        outcome: Result<Applied<S::Change>, StepError>,
    ) -> Result<Next, StoreError> {
        match outcome {
            Ok(Applied::Done { output, changes }) => {
                self.done(step, pivoted, output, changes).await
            }
            Ok(Applied::Wait { on, changes }) => self.wait(step, on, changes, false).await,
            Ok(Applied::Spawn(spawn)) => self.spawn(step, spawn, false).await,
            Err(error) => self.failed(step, pivoted, error, false).await,
        }
    }

    /// Asks whether the effect has happened. `ended` is what the handle says
    /// that was followed.
    async fn look(
        &mut self,
        step: &StepDef,
        pivoted: bool,
        ended: Option<HandleState>,
    ) -> Result<Next, StoreError> {
        let probed = match self.workflow.probe(&self.context(step)).await {
            Ok(probed) => probed,
            Err(error) => {
                let error = with_text(error, ended.as_ref());
                return self.failed(step, pivoted, error, true).await;
            }
        };
        match probed {
            Probed::Done { output, changes } => self.done(step, pivoted, output, changes).await,
            Probed::InProgress(on) => {
                let again = Wait::Until { at: self.now().plus(LOOK_AGAIN) };
                // A handle that has just ended is not worth following again.
                let on = on.filter(|_| ended.is_none()).unwrap_or(again);
                self.wait(step, on, Vec::new(), false).await
            }
            Probed::Foreign(reason) => {
                let error = StepError::Permanent { reason, again: true };
                self.failed(step, pivoted, error, false).await
            }
            Probed::NotDone => self.not_there(step, pivoted, ended).await,
        }
    }

    /// The effect is not there. That counts only when nothing can bring it
    /// about any more.
    async fn not_there(
        &mut self,
        step: &StepDef,
        pivoted: bool,
        ended: Option<HandleState>,
    ) -> Result<Next, StoreError> {
        if let Some(HandleState::Failed { text }) = ended {
            let error = self.workflow.failure(&self.context(step), &text);
            return self.failed(step, pivoted, error, false).await;
        }
        let current = &self.progress.current;
        let (sent_at, now) = (current.sent_at.unwrap_or_else(|| self.now()), self.now());
        match current.settle_until {
            Some(settled) if now >= settled => {
                let reason = current.last_error.clone().unwrap_or_else(|| "no effect".to_owned());
                // The try was counted when it came into doubt.
                self.retry(step, pivoted, reason, false, false, Duration::ZERO).await
            }
            Some(settled) => {
                let at = now.plus(LOOK_AGAIN).min(settled);
                self.wait(step, Wait::Until { at }, Vec::new(), false).await
            }
            None => {
                // Nothing says how the last try went: its executor died, or the
                // handle ended without an effect to see.
                let reason = match ended {
                    Some(state) => format!("reported as {state} but there is no effect"),
                    None => "interrupted while it was being carried out".to_owned(),
                };
                let settle_until = sent_at.plus(step.request_timeout).plus(step.settle).max(now);
                self.in_doubt(step, reason, settle_until).await
            }
        }
    }
}

/// What a handle failed with must not be lost with the reading back.
fn with_text(error: StepError, ended: Option<&HandleState>) -> StepError {
    match (error, ended) {
        (StepError::Transient { reason, counts }, Some(HandleState::Failed { text })) => {
            StepError::Transient { reason: format!("{text}; then: {reason}"), counts }
        }
        (error, _) => error,
    }
}
