//! What is written down.

use model::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::executor::HandleState;
use crate::store::NewWorkflow;
use crate::workflow::{StepError, WorkflowId};

/// Why a workflow unwinds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// A step failed.
    Failed {
        /// Which.
        step: String,
        /// Why.
        reason: String,
        /// Whether the workflow may be begun again afterwards.
        again: bool,
    },
    /// It was cancelled.
    Cancelled,
    /// Its deadline passed.
    Deadline {
        /// During which step, with its last error.
        reason: String,
    },
}

impl Cause {
    /// The reason for people.
    pub fn reason(&self) -> String {
        match self {
            Self::Failed { step, reason, .. } => format!("{step}: {reason}"),
            Self::Cancelled => "cancelled".to_owned(),
            Self::Deadline { reason } => format!("deadline passed: {reason}"),
        }
    }
}

/// How a workflow ended, or why it does not go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// All steps are done.
    Done,
    /// Everything it did has been taken back.
    Unwound {
        /// Why.
        cause: Cause,
    },
    /// It cannot go on by itself. Can be resumed or abandoned.
    Stuck {
        /// Why.
        reason: String,
        /// What is left outside.
        left: Vec<String>,
    },
    /// It was given up while stuck.
    Abandoned {
        /// What was left outside.
        left: Vec<String>,
    },
    /// It was stuck, or had not begun, and another workflow took over what was
    /// left of it.
    Superseded,
}

impl Outcome {
    /// Whether the workflow reached its goal.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// A name for storing and printing.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unwound { .. } => "unwound",
            Self::Stuck { .. } => "stuck",
            Self::Abandoned { .. } => "abandoned",
            Self::Superseded => "superseded",
        }
    }
}

/// What a workflow waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "on", rename_all = "snake_case")]
pub enum Wait {
    /// Something outside that can be asked about. All handles of a group are
    /// asked about in one call.
    Handle {
        /// The group, for example a provider's host.
        group: String,
        /// The handle, opaque to the engine.
        handle: Value,
    },
    /// A time.
    Until {
        /// When.
        at: Timestamp,
    },
    /// Its children.
    Children {
        /// What their failures mean.
        policy: Policy,
    },
    /// A signal from elsewhere in the house.
    Signal {
        /// Its name.
        name: String,
    },
}

/// What ended a wait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum WaitResult {
    /// The handle ended.
    Handle {
        /// How.
        state: HandleState,
    },
    /// All children ended.
    Children {
        /// How, in the order in which they were begun.
        children: Vec<ChildEnd>,
    },
    /// The signal came.
    Signal {
        /// With this.
        payload: Value,
    },
}

/// How one child ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildEnd {
    /// The child.
    pub id: WorkflowId,
    /// How it ended, or why it is stuck.
    pub outcome: Outcome,
}

/// What the failures of children mean for their parent's step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// All must succeed. After the first failure no more are begun, and those
    /// that run are cancelled.
    All,
    /// One success is enough. A failure does not touch the others.
    AtLeastOne,
    /// Whatever happens is the result. A failure does not touch the others.
    Collect,
}

impl Policy {
    /// Whether the step has succeeded.
    ///
    /// # Errors
    /// [`StepError::Permanent`] with the number of failures and the first one.
    pub fn judge(self, children: &[ChildEnd]) -> Result<(), StepError> {
        let failed: Vec<_> = children.iter().filter(|child| !child.outcome.is_done()).collect();
        let enough = match self {
            Self::All => failed.is_empty(),
            Self::AtLeastOne => failed.len() < children.len() || children.is_empty(),
            Self::Collect => true,
        };
        let Some(first) = failed.first().filter(|_| !enough) else {
            return Ok(());
        };
        let why = match &first.outcome {
            Outcome::Unwound { cause } => cause.reason(),
            Outcome::Stuck { reason, .. } => format!("stuck: {reason}"),
            other => other.name().to_owned(),
        };
        Err(StepError::permanent(format!(
            "{} of {} children failed; {}: {why}",
            failed.len(),
            children.len(),
            first.id
        )))
    }
}

/// Children to begin.
#[derive(Clone, Debug, PartialEq)]
pub struct Spawn {
    /// The children, in order. Their ids were journalled by an earlier step.
    pub children: Vec<NewWorkflow>,
    /// How many run at once, at least 1.
    pub at_most: u32,
    /// What their failures mean.
    pub policy: Policy,
}

/// One line of a journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// An effect is about to be sent.
    Begun {
        /// Of this step.
        step: String,
    },
    /// A step (or its undoing) waits.
    Waiting {
        /// Which.
        step: String,
        /// For what.
        wait: Wait,
    },
    /// A step is done.
    Done {
        /// Which.
        step: String,
        /// Its output.
        output: Value,
    },
    /// A step's effect may have happened; it is read back until this time.
    InDoubt {
        /// Which.
        step: String,
        /// Why.
        reason: String,
        /// Until when "not there" does not count.
        settle_until: Timestamp,
    },
    /// It has certainly not happened (or the reading back failed): try again.
    Retry {
        /// Which.
        step: String,
        /// Why.
        reason: String,
        /// Whether it used up a try.
        counted: bool,
        /// Whether the effect is still in doubt.
        in_doubt: bool,
        /// When to try again.
        at: Timestamp,
    },
    /// From here on everything is taken back.
    Unwinding {
        /// Why.
        cause: Cause,
    },
    /// Taking back a step did not go well: try again.
    UndoRetry {
        /// Which.
        step: String,
        /// Why.
        reason: String,
        /// Whether it used up a try.
        counted: bool,
        /// When to try again.
        at: Timestamp,
    },
    /// A step is taken back.
    Undone {
        /// Which.
        step: String,
    },
    /// All is taken back and the workflow begins again.
    Restarted,
    /// It cannot go on by itself.
    Stuck {
        /// Why.
        reason: String,
        /// What is left outside.
        left: Vec<String>,
    },
    /// Somebody said that it can go on.
    Resumed {
        /// Its new deadline.
        deadline: Timestamp,
    },
    /// The end.
    Ended {
        /// How.
        outcome: Outcome,
    },
}
