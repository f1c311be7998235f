//! Where a workflow is: its journal, folded.

use model::Timestamp;

use crate::journal::{Cause, Entry, Outcome, Wait};
use crate::store::{Recorded, WorkflowRecord};
use crate::workflow::History;

/// The step that goes forward now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Current {
    /// When it was first touched.
    pub began_at: Option<Timestamp>,
    /// Whether it was ever tried: then it is taken back, whatever the tries
    /// said, because a refused one may have had a part of its effect.
    pub tried: bool,
    /// When its effect was last sent; `None` while none is on its way.
    pub sent_at: Option<Timestamp>,
    /// Set while it is not known whether its effect has happened: until then
    /// "not there" does not count.
    pub settle_until: Option<Timestamp>,
    /// Tries that count.
    pub failures: u32,
    /// All failures in a row, for the length of pauses.
    pub pauses: u32,
    /// What it waits for.
    pub waiting: Option<Wait>,
    /// What went wrong last.
    pub last_error: Option<String>,
}

impl Current {
    /// Whether there may be something to take back.
    pub fn touched(&self) -> bool {
        self.tried || self.waiting.is_some()
    }

    /// Whether its effect may have happened or may still happen.
    pub fn in_flight(&self) -> bool {
        self.sent_at.is_some() || self.waiting.is_some()
    }
}

/// The taking back that goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Unwinding {
    /// Why.
    pub cause: Cause,
    /// Since when (or since it was last resumed).
    pub since: Timestamp,
    /// How many steps, counted from the first, may still have to be taken back.
    pub remaining: usize,
    /// Failures of the present step's undoing that count.
    pub failures: u32,
    /// All its failures in a row.
    pub pauses: u32,
    /// What it waits for.
    pub waiting: Option<Wait>,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// Where a workflow is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// The number of the last journal line.
    pub sequence: u64,
    /// What is done.
    pub history: History,
    /// The step after those that are done.
    pub current: Current,
    /// Set while everything is taken back.
    pub unwinding: Option<Unwinding>,
    /// The deadline that a resume has set.
    pub extended: Option<Timestamp>,
    /// Set while stuck, and at the end.
    pub outcome: Option<Outcome>,
}

impl Progress {
    /// Folds a workflow's journal.
    pub fn of(record: &WorkflowRecord) -> Self {
        let mut progress = Self::default();
        progress.history.input = record.input.clone();
        record.entries.iter().for_each(|recorded| progress.take(recorded));
        progress
    }

    /// Takes in one more journal line.
    pub fn take(&mut self, recorded: &Recorded) {
        self.sequence = recorded.sequence;
        let at = recorded.at;
        match &recorded.entry {
            Entry::Begun { .. } => {
                self.current.began_at.get_or_insert(at);
                self.current.tried = true;
                self.current.sent_at = Some(at);
                self.current.settle_until = None;
                self.current.waiting = None;
            }
            Entry::Waiting { wait, .. } => self.take_waiting(at, wait),
            Entry::Done { step, output } => {
                self.history.outputs.push((step.clone(), output.clone()));
                self.current = Current::default();
            }
            Entry::InDoubt { reason, settle_until, .. } => {
                let current = &mut self.current;
                current.settle_until = Some(*settle_until);
                current.waiting = None;
                current.failures += 1;
                current.pauses += 1;
                current.last_error = Some(reason.clone());
            }
            Entry::Retry { reason, counted, in_doubt, .. } => {
                let current = &mut self.current;
                current.began_at.get_or_insert(at);
                current.waiting = None;
                current.failures += u32::from(*counted);
                current.pauses += 1;
                current.last_error = Some(reason.clone());
                if !in_doubt {
                    current.sent_at = None;
                    current.settle_until = None;
                }
            }
            Entry::Unwinding { cause } => self.take_unwinding(at, cause),
            Entry::UndoRetry { reason, counted, .. } => {
                if let Some(unwinding) = &mut self.unwinding {
                    unwinding.waiting = None;
                    unwinding.failures += u32::from(*counted);
                    unwinding.pauses += 1;
                    unwinding.last_error = Some(reason.clone());
                }
            }
            Entry::Undone { .. } => {
                if let Some(unwinding) = &mut self.unwinding {
                    unwinding.remaining = unwinding.remaining.saturating_sub(1);
                    unwinding.failures = 0;
                    unwinding.pauses = 0;
                    unwinding.waiting = None;
                }
            }
            Entry::Restarted => {
                self.history.outputs.clear();
                self.history.restarts += 1;
                self.current = Current::default();
                self.unwinding = None;
            }
            Entry::Stuck { reason, left } => {
                let (reason, left) = (reason.clone(), left.clone());
                self.outcome = Some(Outcome::Stuck { reason, left });
            }
            Entry::Resumed { deadline } => self.take_resumed(at, *deadline),
            Entry::Ended { outcome } => self.outcome = Some(outcome.clone()),
        }
    }

    fn take_unwinding(&mut self, at: Timestamp, cause: &Cause) {
        let touched = usize::from(self.current.touched());
        self.outcome = None;
        self.unwinding = Some(Unwinding {
            cause: cause.clone(),
            since: at,
            remaining: self.history.outputs.len() + touched,
            failures: 0,
            pauses: 0,
            waiting: None,
            last_error: None,
        });
    }

    fn take_waiting(&mut self, at: Timestamp, wait: &Wait) {
        if let Some(unwinding) = &mut self.unwinding {
            unwinding.waiting = Some(wait.clone());
            return;
        }
        self.current.began_at.get_or_insert(at);
        self.current.waiting = Some(wait.clone());
    }

    fn take_resumed(&mut self, at: Timestamp, deadline: Timestamp) {
        self.outcome = None;
        self.extended = Some(deadline);
        // Whatever it waited for may have ended long ago: it looks anew.
        self.current.waiting = None;
        self.current.settle_until = None;
        self.current.failures = 0;
        self.current.pauses = 0;
        if self.current.began_at.is_some() {
            self.current.began_at = Some(at);
        }
        if let Some(unwinding) = &mut self.unwinding {
            unwinding.since = at;
            unwinding.waiting = None;
            unwinding.failures = 0;
            unwinding.pauses = 0;
        }
    }

    /// Whether nothing is to be done by an executor.
    pub fn is_settled(&self) -> bool {
        self.outcome.is_some()
    }
}
