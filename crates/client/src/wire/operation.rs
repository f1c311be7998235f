//! Operations: what was asked for and can be followed.

use model::{InstanceId, OperationId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{OperationKind, OperationState, StepState, Time};

/// What a caller asked for and can follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Operation {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    pub id: OperationId,
    /// What it does.
    pub kind: OperationKind,
    /// To which instance.
    #[schema(value_type = String, format = "uuid")]
    pub instance: InstanceId,
    /// The instance's name when it was accepted.
    pub instance_name: String,
    /// Whose it is.
    pub project: String,
    /// Where it is.
    pub state: OperationState,
    /// Why it failed, was cancelled or is stuck.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is left on the hypervisor (stuck and abandoned operations).
    #[serde(default)]
    pub left: Vec<String>,
    /// Whether a cancel was asked for.
    pub cancel_requested: bool,
    /// Who asked for it.
    pub asked_by: String,
    /// When it was accepted.
    pub created_at: Time,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// How far it is; absent in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Its steps so far, and those known to come; empty in lists.
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// How far an operation is. The total grows when more steps become known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// Steps that are done.
    pub done: u32,
    /// Steps that are known.
    pub total: u32,
}

/// One step of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub state: StepState,
    /// How many times it was tried.
    pub attempts: u32,
    /// When it began first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Time>,
    /// When it was done or given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// What it says: the last error, or progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Progress from 0 to 100 where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
}

/// Which operations to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OperationQuery {
    /// Only those of this instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>, format = "uuid")]
    pub instance: Option<InstanceId>,
    /// Only those that have (`true`) or have not (`false`) settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<bool>,
    /// Only those in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub state: Option<OperationState>,
    /// Only those that do this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub kind: Option<OperationKind>,
    /// Only those of this project (administrators see all).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Only those after this one, which are older: the `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>, format = "uuid")]
    pub after: Option<OperationId>,
    /// At most this many: 1 to 1000, 100 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
}

/// Operations, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperationList {
    /// The operations, without their steps.
    pub operations: Vec<Operation>,
    /// What to give as `after` for the next page; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    pub next: Option<OperationId>,
}

/// A line of an operation's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// When.
    pub at: Time,
    /// What.
    pub text: String,
}

/// An operation's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperationLog {
    /// Its lines, oldest first.
    pub lines: Vec<LogLine>,
}
