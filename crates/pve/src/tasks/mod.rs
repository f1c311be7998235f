//! Tasks: lists, status, log, and waiting for the end.

mod follow;
mod patience;
mod progress;
mod search;

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

pub use follow::TaskEvent;
pub use search::{TaskEnd, TaskFilter, TaskSource};

use crate::error::Kind;
use crate::lenient::List;
use crate::resource::{Resource, handle};
use crate::{Client, Error, Params, Upid, lenient};
use patience::Patience;

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExitStatus {
    /// Well.
    Ok,
    /// Well, with this many warnings in the log.
    Warnings(u32),
    /// It was stopped or its process vanished: `unexpected status`,
    /// `received interrupt`. What it did so far stays.
    Interrupted(String),
    /// The text of its error.
    Failed(String),
}

impl ExitStatus {
    /// Reads the text of `exitstatus`, or of `status` in a list.
    pub fn from_text(text: &str) -> Self {
        let text = text.trim_end();
        match text {
            "OK" => Self::Ok,
            "unexpected status" | "received interrupt" => Self::Interrupted(text.to_owned()),
            _ => match text.strip_prefix("WARNINGS: ").map(str::parse) {
                Some(Ok(count)) => Self::Warnings(count),
                _ => Self::Failed(text.to_owned()),
            },
        }
    }

    /// Did it do what it was started for?
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Ok | Self::Warnings(_))
    }

    /// What a failure's text means. Lock timeouts and lost races for an id end
    /// here as often as in the answer that would start the task.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::Failed(text) => Some(Kind::of_text(text)),
            _ => None,
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("OK"),
            Self::Warnings(count) => write!(f, "WARNINGS: {count}"),
            Self::Interrupted(text) | Self::Failed(text) => f.write_str(text),
        }
    }
}

/// A line of a list of tasks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct TaskEntry {
    /// The task's id; node, type and start are in it.
    pub upid: Upid,
    /// What it works on, as text.
    #[serde(default, deserialize_with = "lenient::string")]
    pub id: String,
    /// When it ended, in seconds since the epoch.
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    pub endtime: Option<u64>,
    /// The exit text once it ended; `RUNNING` or nothing before.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub status: Option<String>,
}

impl TaskEntry {
    /// How it ended; `None` while it runs.
    pub fn exit(&self) -> Option<ExitStatus> {
        match self.status.as_deref() {
            None | Some("" | "RUNNING") if self.endtime.is_none() => None,
            None | Some("") => Some(ExitStatus::from_text("unexpected status")),
            Some(text) => Some(ExitStatus::from_text(text)),
        }
    }
}

/// A page of tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskPage {
    /// The tasks, newest first.
    pub tasks: Vec<TaskEntry>,
    /// How many there are in all.
    pub total: Option<u64>,
}

/// The state of one task.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct TaskStatus {
    /// The task.
    pub upid: Upid,
    /// `running` or `stopped`.
    #[serde(default, deserialize_with = "lenient::string")]
    pub status: String,
    /// How it ended, in Proxmox's words; only when it is stopped.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub exitstatus: Option<String>,
}

impl TaskStatus {
    /// How it ended; `None` while it runs.
    pub fn exit(&self) -> Option<ExitStatus> {
        let text = self.exitstatus.as_deref().unwrap_or("unexpected status");
        (self.status == "stopped").then(|| ExitStatus::from_text(text))
    }
}

/// A line of a task's log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct LogLine {
    /// Its number, from 1.
    #[serde(deserialize_with = "lenient::u64")]
    pub n: u64,
    /// The text.
    #[serde(default, deserialize_with = "lenient::string")]
    pub t: String,
}

/// A page of a task's log. A log with nothing in it has the one line
/// `no content`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogPage {
    /// The lines.
    pub lines: Vec<LogLine>,
    /// How many there are by now.
    pub total: Option<u64>,
}

/// `/nodes/NODE/tasks/UPID`.
#[derive(Clone, Debug)]
pub struct Task(Resource);
handle!(Task);

/// How a task is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitPolicy {
    /// The first pause: 0.25 s. Each one is half as long again.
    pub first_pause: Duration,
    /// The longest pause: 5 s.
    pub longest_pause: Duration,
    /// Give up after this time; the task goes on. None: never.
    pub deadline: Option<Duration>,
    /// For how long status calls may fail in a row: 5 min.
    pub longest_outage: Duration,
}

impl Default for WaitPolicy {
    fn default() -> Self {
        Self {
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(5),
            deadline: None,
            longest_outage: Duration::from_secs(300),
        }
    }
}

/// A task that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskOutcome {
    /// The task.
    pub upid: Upid,
    /// How it ended.
    pub exit: ExitStatus,
}

impl TaskOutcome {
    /// Did it do what it was started for?
    pub fn is_success(&self) -> bool {
        self.exit.is_success()
    }

    /// A bad end as an error.
    ///
    /// # Errors
    /// [`Error::TaskFailed`] unless it ended well, with or without warnings.
    pub fn into_result(self) -> Result<Self, Error> {
        if self.is_success() {
            return Ok(self);
        }
        let kind = self.exit.kind().unwrap_or(Kind::Other);
        Err(Error::TaskFailed { upid: Box::new(self.upid), exit: self.exit, kind })
    }
}

impl Client {
    /// A task; the node to ask is in its id.
    pub fn task(&self, upid: &Upid) -> Task {
        let tasks = Resource::new(self, "nodes").join(upid.node()).sub("tasks");
        Task(tasks.join(upid))
    }

    /// Follows a task to its end. A failed task is an `Ok` with an exit status
    /// that says so; an `Err` means that the end was not seen. Calls that fail
    /// in between for reasons of the network, of a node's daemon or of a lock
    /// are repeated.
    ///
    /// # Errors
    /// [`Error::TaskRunning`] at the deadline; what the last status call said
    /// when they fail for too long, or for a reason that does not go away.
    pub async fn wait_task(&self, upid: &Upid, policy: &WaitPolicy) -> Result<TaskOutcome, Error> {
        let task = self.task(upid);
        let mut patience = Patience::new(self, policy);
        loop {
            match task.status().await {
                Ok(status) => {
                    patience.answered(self);
                    if let Some(exit) = status.exit() {
                        let upid = upid.clone();
                        return Ok(TaskOutcome { upid, exit });
                    }
                }
                Err(error) => patience.endure(self, upid, error)?,
            }
            patience.rest(self, upid).await?;
        }
    }
}

impl Task {
    /// Its state.
    ///
    /// # Errors
    /// As [`Client::request`]; a task that is not known (any more) is
    /// [`Missing::Task`](crate::error::Missing::Task).
    pub async fn status(&self) -> Result<TaskStatus, Error> {
        self.0.sub("status").get(()).await
    }

    /// Lines of its log: at most `limit`, after leaving out `start`.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn log(&self, start: u64, limit: u32) -> Result<LogPage, Error> {
        let params = Params::new().set("start", start).set("limit", limit);
        let reply = self.0.sub("log").send(http::Method::GET, params).await?;
        let (List(lines), total) = reply.with_total()?;
        Ok(LogPage { lines, total })
    }

    /// The last lines of its log, at most `count`: what to show of a failure.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn last_lines(&self, count: u32) -> Result<Vec<LogLine>, Error> {
        let page = self.log(0, count).await?;
        match page.total {
            Some(total) if total > u64::from(count) => {
                let start = total - u64::from(count);
                Ok(self.log(start, count).await?.lines)
            }
            _ => Ok(page.lines),
        }
    }

    /// Asks the task to stop. Succeeds for tasks that have ended, too.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn stop(&self) -> Result<(), Error> {
        self.0.delete(()).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::Lock;

    #[test]
    fn only_ok_and_warnings_are_success() {
        for (text, good) in [
            ("OK", true),
            ("WARNINGS: 3", true),
            ("unexpected status", false),
            ("received interrupt", false),
            ("WARNINGS", false),
            ("OK then", false),
            ("", false),
        ] {
            let exit = ExitStatus::from_text(text);
            assert_eq!(exit.is_success(), good, "{text}");
            assert_eq!(exit.to_string(), text);
        }
        let exit = ExitStatus::from_text(
            "can't lock file '/var/lock/qemu-server/lock-102.conf' - got timeout",
        );
        assert!(matches!(exit.kind(), Some(Kind::Busy(Lock::File(_)))));
    }

    #[test]
    fn lists_say_running_in_two_ways() {
        let upid = "UPID:pve1:0000314F:000AB8AD:6B007E7F:qmdestroy:505:root@pam:";
        let entry = |rest: &str| -> TaskEntry {
            serde_json::from_str(&format!("{{\"upid\":\"{upid}\"{rest}}}")).unwrap()
        };
        assert_eq!(entry("").exit(), None);
        assert_eq!(entry(",\"status\":\"RUNNING\"").exit(), None);
        assert_eq!(
            entry(",\"status\":\"OK\",\"endtime\":\"1795194495\"").exit(),
            Some(ExitStatus::Ok)
        );
        assert!(!entry(",\"endtime\":1").exit().unwrap().is_success());
    }
}
