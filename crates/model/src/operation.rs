//! Operations: what a user sees of a workflow.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{InstanceId, OperationId, ParseIdError, ProjectId, Timestamp};

/// What an operation does to its instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationKind {
    /// Makes it.
    Create,
    /// Powers it on.
    Start,
    /// Powers it off.
    Stop,
    /// Asks it to shut down.
    Shutdown,
    /// Restarts it.
    Reboot,
    /// Removes it.
    Delete,
    /// Removes a guest of an unwound creation that appeared late.
    Collect,
    /// Gives it another size.
    Resize,
    /// Renames, describes, tags or protects it.
    Edit,
    /// Takes a snapshot of it.
    Snapshot,
    /// Goes back to a snapshot.
    Rollback,
    /// Deletes a snapshot.
    Discard,
    /// Moves it to another host.
    Migrate,
    /// Takes on a guest that is there.
    Adopt,
    /// Lets it go: the guest stays.
    Release,
}

impl OperationKind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::Create,
        Self::Start,
        Self::Stop,
        Self::Shutdown,
        Self::Reboot,
        Self::Delete,
        Self::Collect,
        Self::Resize,
        Self::Edit,
        Self::Snapshot,
        Self::Rollback,
        Self::Discard,
        Self::Migrate,
        Self::Adopt,
        Self::Release,
    ];

    /// The kind as it is stored and printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Shutdown => "shutdown",
            Self::Reboot => "reboot",
            Self::Delete => "delete",
            Self::Collect => "collect",
            Self::Resize => "resize",
            Self::Edit => "edit",
            Self::Snapshot => "snapshot",
            Self::Rollback => "rollback",
            Self::Discard => "discard",
            Self::Migrate => "migrate",
            Self::Adopt => "adopt",
            Self::Release => "release",
        }
    }
}

impl fmt::Display for OperationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for OperationKind {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| ParseIdError { what: "an operation kind", text: text.to_owned() })
    }
}

/// Where an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationState {
    /// Accepted; waits for another operation on the same instance to end.
    Queued,
    /// Going forward.
    Running,
    /// Taking back what it did.
    Unwinding,
    /// Ended as asked for.
    Succeeded,
    /// Ended; what it did has been taken back.
    Failed,
    /// Ended by a cancel; what it did has been taken back.
    Cancelled,
    /// Cannot go on by itself; can be resumed or abandoned.
    Stuck,
    /// Given up by an administrator, with what was left.
    Abandoned,
}

impl OperationState {
    /// Whether nothing happens any more unless somebody asks for it.
    pub const fn is_settled(self) -> bool {
        !matches!(self, Self::Queued | Self::Running | Self::Unwinding)
    }

    /// The word as it is stored and printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Unwinding => "unwinding",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Stuck => "stuck",
            Self::Abandoned => "abandoned",
        }
    }
}

impl fmt::Display for OperationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    /// Not begun.
    Pending,
    /// Being carried out.
    Running,
    /// Waiting for something outside.
    Waiting,
    /// Done.
    Done,
    /// Failed.
    Failed,
    /// Being taken back.
    Undoing,
    /// Taken back.
    Undone,
}

/// One step of an operation, as the user sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepView {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub state: StepState,
    /// How many times it was tried.
    pub attempts: u32,
    /// When it began first.
    pub began_at: Option<Timestamp>,
    /// When it was done or given up.
    pub ended_at: Option<Timestamp>,
    /// What it says: the last error, or progress.
    pub detail: Option<String>,
    /// Progress from 0 to 100 where the provider reports it.
    pub percent: Option<u8>,
}

/// What a caller asked for and can follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// What it does.
    pub kind: OperationKind,
    /// To which instance.
    pub instance: InstanceId,
    /// The instance's name when it was accepted.
    pub instance_name: String,
    /// Whose it is.
    pub project: ProjectId,
    /// Where it is.
    pub state: OperationState,
    /// Why it failed, was cancelled or is stuck.
    pub reason: Option<String>,
    /// What is left on the hypervisor (stuck and abandoned operations).
    pub left: Vec<String>,
    /// Whether a cancel was asked for.
    pub cancel_requested: bool,
    /// The principal who asked for it.
    pub asked_by: String,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Its steps so far, and those known to come. Empty in lists.
    pub steps: Vec<StepView>,
}
