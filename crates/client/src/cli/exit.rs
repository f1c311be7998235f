//! Exit codes, and failures in one or two lines.

use std::fmt::Write as _;

use serde_json::json;

use super::output::{Format, clean};
use crate::Error;
use crate::wire::{Operation, OperationState};

/// How a command ended. The numbers are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It is done.
    Success = 0,
    /// The operation failed, was cancelled or abandoned; or something broke
    /// that no other code names.
    Failed = 1,
    /// The command line or the request is wrong.
    Usage = 2,
    /// There is no such thing.
    NotFound = 3,
    /// The state does not allow it now, or the name is taken.
    Conflict = 4,
    /// No valid token, or one that does not allow this.
    Denied = 5,
    /// The server, or something that it needs, is away or full; the same
    /// command may work later.
    Unavailable = 6,
    /// The operation is stuck and needs somebody.
    Stuck = 7,
}

/// The exit codes, for help texts.
pub const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 the operation failed; 2 bad usage or request; 3 not found;
4 conflict; 5 no valid token or not allowed; 6 unavailable; 7 the operation is stuck";

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A command that did not succeed, and what to do next.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What happened.
    pub message: String,
    /// What is left behind.
    pub left: Vec<String>,
    /// What to do next.
    pub hint: Option<String>,
    code: Box<str>,
    request_id: Option<String>,
}

impl Failure {
    /// A failure with a message.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        let code = match exit {
            Exit::Success => "success",
            Exit::Failed => "failed",
            Exit::Usage => "usage",
            Exit::NotFound => "not_found",
            Exit::Conflict => "conflict",
            Exit::Denied => "denied",
            Exit::Unavailable => "unavailable",
            Exit::Stuck => "stuck",
        };
        let (message, code) = (message.into(), Box::from(code));
        Self { exit, message, left: Vec::new(), hint: None, code, request_id: None }
    }

    /// With what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The failure as it is printed.
    pub fn render(&self, format: Format) -> String {
        match format {
            Format::Table => {
                let mut text = format!("error: {}\n", clean(&self.message));
                for left in &self.left {
                    let _ = writeln!(text, "  left: {}", clean(left));
                }
                if let Some(hint) = &self.hint {
                    let _ = writeln!(text, "  next: {hint}");
                }
                text
            }
            Format::Json => {
                let mut error = json!({ "code": self.code, "message": self.message });
                if !self.left.is_empty() {
                    error["left"] = json!(self.left);
                }
                if let Some(hint) = &self.hint {
                    error["next"] = json!(hint);
                }
                if let Some(id) = &self.request_id {
                    error["request_id"] = json!(id);
                }
                format!("{}\n", json!({ "error": error }))
            }
        }
    }
}

/// The exit code for one of the server's error codes.
fn exit_of(code: &str) -> Exit {
    match code {
        "invalid_request"
        | "unsupported"
        | "method_not_allowed"
        | "body_too_large"
        | "unsupported_media_type" => Exit::Usage,
        "not_found" | "gone" => Exit::NotFound,
        "conflict" | "already_exists" | "precondition_failed" => Exit::Conflict,
        "unauthenticated" | "forbidden" => Exit::Denied,
        "unavailable"
        | "too_many_requests"
        | "insufficient_capacity"
        | "quota_exceeded"
        | "read_only"
        | "request_timeout" => Exit::Unavailable,
        _ => Exit::Failed,
    }
}

const TOKEN_HELP: &str = "give a valid token: --token-file FILE, INNKEEPER_TOKEN, or --state DIR on the server's machine";

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let cause = error.root_cause().map(|cause| format!(": {cause}")).unwrap_or_default();
        match error {
            Error::Refused { detail, .. } => {
                let exit = exit_of(&detail.code);
                let mut failure = Self::new(exit, detail.message.clone());
                failure.hint = match (&detail.operation, exit, detail.code.as_str()) {
                    (Some(operation), ..) => Some(format!("innkeeper operation show {operation}")),
                    (None, Exit::Denied, "unauthenticated") => Some(TOKEN_HELP.to_owned()),
                    (None, Exit::Failed, _) => {
                        Some(format!("the server's log has more under {}", detail.request_id))
                    }
                    _ => None,
                };
                failure.code = Box::from(detail.code.as_str());
                failure.request_id = Some(detail.request_id);
                failure
            }
            Error::Connect { ref endpoint, .. } => {
                Self::new(Exit::Unavailable, format!("cannot connect to {endpoint}{cause}"))
                    .hint("is `innkeeper serve` running there? See --server, --socket and --state")
            }
            Error::Interrupted { ref endpoint, .. } => {
                Self::new(Exit::Unavailable, format!("no answer from {endpoint}{cause}")).hint(
                    "the request may have been carried out: look at `innkeeper operation list`",
                )
            }
            Error::Malformed { .. } => Self::new(Exit::Failed, error.to_string())
                .hint("is this the address of Innkeeper's API, and is this client as new as it?"),
            Error::Settings(message) => Self::new(Exit::Usage, message),
        }
    }
}

/// What an operation that has settled means for the exit code.
pub(super) fn settled(operation: &Operation) -> Result<Exit, Failure> {
    let ending = crate::progress::ending(operation);
    let id = operation.id;
    match operation.state {
        OperationState::Succeeded => Ok(Exit::Success),
        OperationState::Stuck => {
            let hint = format!(
                "mend the cause, then innkeeper operation resume {id} (or abandon it, or delete the instance)"
            );
            let mut failure = Failure::new(Exit::Stuck, ending).hint(hint);
            failure.left.clone_from(&operation.left);
            Err(failure)
        }
        _ => {
            Err(Failure::new(Exit::Failed, ending)
                .hint(format!("innkeeper operation show {id} --log")))
        }
    }
}
