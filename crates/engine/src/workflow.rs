//! What a workflow is.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use model::{Clock, OperationId, ParseIdError, Random, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::journal::{ChildEnd, Outcome, Policy, Spawn, Wait, WaitResult};

/// A workflow's id. The operation that a user follows has the id of its root
/// workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkflowId(OperationId);

impl WorkflowId {
    /// A new id.
    pub fn generate(clock: &dyn Clock, random: &dyn Random) -> Self {
        Self(OperationId::generate(clock, random))
    }

    /// The id of the operation whose root workflow this is.
    pub const fn as_operation(self) -> OperationId {
        self.0
    }
}

impl From<OperationId> for WorkflowId {
    fn from(id: OperationId) -> Self {
        Self(id)
    }
}

impl fmt::Display for WorkflowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for WorkflowId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        text.parse().map(Self)
    }
}

/// A workflow's name and version. A released version never changes: an
/// executor takes up only the kinds that it knows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Kind {
    /// The name, for example `instance.create`.
    pub name: String,
    /// The version, from 1.
    pub version: u32,
}

impl Kind {
    /// The kind with this name and version.
    pub fn new(name: &str, version: u32) -> Self {
        Self { name: name.to_owned(), version }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// Whether a step can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// It can; before the pivot.
    Reversible,
    /// The point of no return. When it has certainly not happened the workflow
    /// unwinds; once it may have happened the workflow only goes forward.
    Pivot,
    /// After the pivot: repeated until it is done, or stuck.
    Forward,
}

/// A limit on how many effects are in flight under one key, counted in the
/// store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// What is limited.
    pub key: String,
    /// How many at once, at least 1.
    pub at_most: u32,
}

/// How often a step is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Tries that count, at least 1. Waiting for something that is away does
    /// not count; it ends at the deadline.
    pub attempts: u32,
    /// The pause after the first failure; it doubles with each.
    pub first: Duration,
    /// The longest pause.
    pub most: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 5, first: Duration::from_millis(500), most: Duration::from_secs(30) }
    }
}

impl Retry {
    /// The pause after this many failures (from 1).
    pub fn pause(&self, failures: u32) -> Duration {
        let doubled = self.first.saturating_mul(1u32 << failures.saturating_sub(1).min(16));
        doubled.min(self.most)
    }
}

/// One step of a workflow.
#[derive(Clone, Debug, PartialEq)]
pub struct StepDef {
    /// Its name, unique within the workflow.
    pub name: String,
    /// Whether it can be taken back.
    pub mode: Mode,
    /// Whether it has an effect outside the store. One that has not is simply
    /// done again after a crash.
    pub effect: bool,
    /// What the workflow needs to carry it out (from earlier outputs).
    pub payload: Value,
    /// Limits that it counts against from its beginning to its end.
    pub limits: Vec<Limit>,
    /// How long one request of it may take to be sent and answered.
    pub request_timeout: Duration,
    /// How long after a lost answer its effect may still appear.
    pub settle: Duration,
    /// How long it may take as a whole.
    pub deadline: Duration,
    /// How often it is tried.
    pub retry: Retry,
}

impl StepDef {
    /// A step that only changes the store.
    pub fn local(name: &str, mode: Mode) -> Self {
        Self {
            name: name.to_owned(),
            mode,
            effect: false,
            payload: Value::Null,
            limits: Vec::new(),
            request_timeout: Duration::ZERO,
            settle: Duration::ZERO,
            deadline: Duration::from_secs(600),
            retry: Retry::default(),
        }
    }
}

/// What has happened so far in a run of a workflow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The input that the workflow was started with.
    pub input: Value,
    /// The names and outputs of the steps that are done, in order.
    pub outputs: Vec<(String, Value)>,
    /// How many times the whole workflow was unwound and begun again.
    pub restarts: u32,
}

impl History {
    /// The output of a step that is done.
    pub fn output(&self, step: &str) -> Option<&Value> {
        self.outputs.iter().find(|(name, _)| name == step).map(|(_, output)| output)
    }
}

/// What a step is carried out with.
#[derive(Clone, Debug)]
pub struct StepContext<'a> {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The step.
    pub step: &'a StepDef,
    /// What has happened so far.
    pub history: &'a History,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// An earlier try was sent at this time and its outcome is not known.
    pub in_doubt_since: Option<Timestamp>,
    /// What ended the wait of this step (or of its undoing), right after it did:
    /// the ends of the children, or a signal's payload.
    pub woken_by: Option<&'a WaitResult>,
    /// The time.
    pub now: Timestamp,
}

/// What carrying out a step has come to.
#[derive(Debug)]
pub enum Applied<C> {
    /// Done.
    Done {
        /// Journalled, and visible to later steps.
        output: Value,
        /// Committed in the same transaction.
        changes: Vec<C>,
    },
    /// Waits; the executor is free.
    Wait {
        /// For what.
        on: Wait,
        /// Committed in the same transaction.
        changes: Vec<C>,
    },
    /// Begins children and waits for all of them.
    Spawn(Spawn),
}

/// What reading back a step says.
#[derive(Debug)]
pub enum Probed<C> {
    /// There is no effect.
    NotDone,
    /// It goes on; what to wait for, when there is something.
    InProgress(Option<Wait>),
    /// Done, as [`Applied::Done`].
    Done {
        /// Journalled, and visible to later steps.
        output: Value,
        /// Committed in the same transaction.
        changes: Vec<C>,
    },
    /// Something of somebody else's stands in its place.
    Foreign(String),
}

/// What taking back a step has come to.
#[derive(Debug)]
pub enum Undone<C> {
    /// Taken back.
    Done {
        /// Committed in the same transaction.
        changes: Vec<C>,
    },
    /// Waits; undo is called again afterwards.
    Wait {
        /// For what.
        on: Wait,
    },
    /// Begins children that take it back, and waits for all of them; undo is
    /// called again afterwards.
    Spawn(Spawn),
}

/// Why a step did not go well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// It may go well later.
    #[error("{reason}")]
    Transient {
        /// What happened.
        reason: String,
        /// Whether it uses up one of the step's tries.
        counts: bool,
    },
    /// It will not go well.
    #[error("{reason}")]
    Permanent {
        /// What happened.
        reason: String,
        /// Whether the whole workflow may be begun again after unwinding.
        again: bool,
    },
    /// It may have happened.
    #[error("{reason}")]
    Ambiguous {
        /// What happened.
        reason: String,
        /// How long the effect may still be on its way.
        settle: Duration,
    },
    /// Nothing can go on before somebody does something.
    #[error("{reason}")]
    Stuck {
        /// What is wrong.
        reason: String,
        /// What is left, and what to do about it.
        left: Vec<String>,
    },
    /// It was cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl StepError {
    /// An error that uses up a try.
    pub fn transient(reason: impl Into<String>) -> Self {
        Self::Transient { reason: reason.into(), counts: true }
    }

    /// Something is away: costs no try, ends at the deadline.
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self::Transient { reason: reason.into(), counts: false }
    }

    /// An error that trying again does not help.
    pub fn permanent(reason: impl Into<String>) -> Self {
        Self::Permanent { reason: reason.into(), again: false }
    }
}

/// A workflow: a list of steps, and how each is carried out, read back and
/// taken back. `C` is a change to the store that a step commits.
#[async_trait]
pub trait Workflow<C: Send + 'static>: Send + Sync + 'static {
    /// Its name and version.
    fn kind(&self) -> Kind;

    /// Its steps, as far as they are known from what has happened. With more
    /// outputs the list may only grow at its end: branches are data.
    ///
    /// # Errors
    /// A text when the journal makes no sense to this version.
    fn steps(&self, history: &History) -> Result<Vec<StepDef>, String>;

    /// Carries out a step.
    ///
    /// # Errors
    /// By what may be done about it; see [`StepError`].
    async fn apply(&self, context: &StepContext<'_>) -> Result<Applied<C>, StepError>;

    /// Reads back a step with an effect.
    ///
    /// # Errors
    /// As [`Workflow::apply`].
    async fn probe(&self, context: &StepContext<'_>) -> Result<Probed<C>, StepError>;

    /// Takes back a step. Idempotent; accepts that it never happened.
    ///
    /// # Errors
    /// As [`Workflow::apply`].
    async fn undo(&self, context: &StepContext<'_>) -> Result<Undone<C>, StepError>;

    /// What kind of error the text is that a step's handle failed with.
    fn failure(&self, _context: &StepContext<'_>, text: &str) -> StepError {
        StepError::transient(text)
    }

    /// What a step that has begun children comes to when all have ended.
    ///
    /// # Errors
    /// [`StepError::Permanent`] when the policy says that the step has failed.
    fn children_ended(
        &self,
        _context: &StepContext<'_>,
        policy: Policy,
        children: &[ChildEnd],
    ) -> Result<Applied<C>, StepError> {
        policy.judge(children)?;
        let output = serde_json::json!({ "children": children });
        Ok(Applied::Done { output, changes: Vec::new() })
    }

    /// What is left outside when this step is stuck, and what to do about it.
    fn left(&self, _context: &StepContext<'_>) -> Vec<String> {
        Vec::new()
    }

    /// The changes that are committed with the end, or with getting stuck.
    fn ended(&self, history: &History, outcome: &Outcome, now: Timestamp) -> Vec<C>;

    /// How many times the whole workflow may be begun again after unwinding.
    fn restarts(&self) -> u32 {
        0
    }

    /// One history for every branch, for tests that visit every step.
    fn samples(&self) -> Vec<Value> {
        Vec::new()
    }
}
