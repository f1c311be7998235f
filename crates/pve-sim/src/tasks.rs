//! Tasks: Proxmox's worker processes. A task has a virtual duration; its effect
//! happens when the clock passes its end (see `crate::engine`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::machine::{BackendError, GuestSpec};
use crate::world::World;

/// How many finished tasks are kept.
const KEPT: usize = 20_000;

/// The parts of a task's id.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Upid {
    pub node: String,
    pub pid: u32,
    pub pstart: u64,
    pub start: u64,
    pub kind: String,
    pub id: String,
    pub user: String,
}

impl Upid {
    /// The text with its final colon.
    pub fn text(&self) -> String {
        let Self { node, pid, pstart, start, kind, id, user } = self;
        format!("UPID:{node}:{pid:08X}:{pstart:08X}:{start:08X}:{kind}:{id}:{user}:")
    }

    /// Reads the text.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let [head, node, pid, pstart, start, kind, id, user, ""] = parts[..] else { return None };
        let hex = |text: &str, least: usize, most: usize| {
            let fits = (least..=most).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            if fits { u64::from_str_radix(text, 16).ok() } else { None }
        };
        if head != "UPID" || node.is_empty() || kind.is_empty() || user.is_empty() {
            return None;
        }
        Some(Self {
            node: node.into(),
            pid: u32::try_from(hex(pid, 8, 8)?).ok()?,
            pstart: hex(pstart, 8, 9)?,
            start: hex(start, 8, 8)?,
            kind: kind.into(),
            id: id.into(),
            user: user.into(),
        })
    }
}

/// What a backend does for a task or call.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Allocate {
        volume: String,
        size: u64,
    },
    CloneLinked {
        base: String,
        target: String,
    },
    CloneFull {
        source: String,
        target: String,
    },
    Rename {
        from: String,
        to: String,
    },
    Grow {
        volume: String,
        size: u64,
    },
    Free {
        volume: String,
    },
    Start(Box<GuestSpec>),
    Kill(u32),
    Powerdown(u32),
    Reset(u32),
    IsRunning(u32),
    /// Fetches a file over HTTP.
    Fetch {
        url: String,
    },
}

/// A file that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// The last part of its path.
    pub name: String,
    /// In bytes.
    pub size: u64,
    pub digests: crate::engine::Digests,
    /// Its first bytes.
    pub head: Vec<u8>,
    /// What the server says it is.
    pub mimetype: Option<String>,
}

/// What came of an [`Op`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Done {
    Unit,
    Pid(u32),
    Running(bool),
    Fetched(Fetched),
}

/// What a worker does next.
pub(crate) enum Step {
    /// It is done.
    Done,
    /// It looks again after this time.
    Again(Duration),
}

/// The body of a worker. `begin` runs when the worker starts (with the lock
/// file held), `effects` and `finish` when its time is over; the backend
/// carries out the effects in between.
pub(crate) trait Work: Send {
    /// The guest whose lock file the worker holds.
    fn locks(&self) -> Option<u32> {
        None
    }

    /// Checks and first changes; a failure ends the task at once. What it
    /// returns is carried out by the backend in the background.
    fn begin(&mut self, _world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        Ok(Vec::new())
    }

    /// What the backend must do for the effect.
    fn effects(&mut self, _world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        Ok(Vec::new())
    }

    /// The effect on the world, with the results of the operations in their order.
    fn finish(
        &mut self,
        world: &mut World,
        log: &mut Vec<String>,
        done: &[Done],
    ) -> Result<Step, String>;

    /// Cleans up after a failure or when the task is stopped, once begun.
    /// Returns what the backend must undo.
    fn fail(&mut self, _world: &mut World) -> Vec<Op> {
        Vec::new()
    }

    /// What the worker takes back even when it fails half way, by an error and
    /// not by being killed. Most leave what they had begun.
    fn abandon(&mut self, _world: &mut World) {}

    /// The exit text after `DELETE /tasks/…`.
    fn stopped_text(&self) -> &'static str {
        "unexpected status"
    }
}

/// What a fault does to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TaskFault {
    /// Ends with this text instead of its effect.
    FailBefore(String),
    /// Ends with this text and leaves what it had begun.
    FailPartly(String),
    /// Has its effect, and ends with this text.
    FailAfter(String),
    /// Is unknown to everybody; the effect happens or not.
    Vanish { done: bool },
    /// Says OK at once while the lock stays and the work goes on for this time.
    Early(Duration),
}

/// One task.
pub(crate) struct Task {
    pub upid: Upid,
    pub end: Option<Duration>,
    pub exit: Option<String>,
    pub log: Vec<String>,
    pub duration: Duration,
    pub work: Option<Box<dyn Work>>,
    pub begun: bool,
    pub fault: Option<TaskFault>,
}

impl Task {
    /// Whether the worker still runs, as the API sees it.
    pub fn is_running(&self) -> bool {
        self.exit.is_none()
    }

    /// Whether the task is hidden by a fault.
    pub fn is_hidden(&self) -> bool {
        matches!(self.fault, Some(TaskFault::Vanish { .. }))
    }
}

/// All tasks, and what is due when.
#[derive(Default)]
pub(crate) struct Tasks {
    all: BTreeMap<u64, Task>,
    by_upid: BTreeMap<String, u64>,
    by_node: BTreeMap<String, VecDeque<u64>>,
    running: BTreeSet<u64>,
    finished: VecDeque<u64>,
    next: u64,
    pid: u32,
}

impl Tasks {
    /// Registers a task and returns its number.
    pub fn add(
        &mut self,
        upid: Upid,
        work: Box<dyn Work>,
        duration: Duration,
        fault: Option<TaskFault>,
    ) -> u64 {
        self.next += 1;
        let number = self.next;
        self.by_upid.insert(upid.text(), number);
        self.by_node.entry(upid.node.clone()).or_default().push_back(number);
        self.running.insert(number);
        let task = Task {
            upid,
            end: None,
            exit: None,
            log: Vec::new(),
            duration,
            work: Some(work),
            begun: false,
            fault,
        };
        self.all.insert(number, task);
        number
    }

    /// A new process id.
    pub fn next_pid(&mut self) -> u32 {
        self.pid = if self.pid == 0 { 13_000 } else { self.pid + 7 };
        self.pid
    }

    /// A task by number, to change it.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut Task> {
        self.all.get_mut(&number)
    }

    /// A task by its id.
    pub fn find(&self, upid: &str) -> Option<(u64, &Task)> {
        let number = *self.by_upid.get(upid)?;
        self.all.get(&number).map(|task| (number, task))
    }

    /// Ends a task.
    pub fn end(&mut self, number: u64, now: Duration, exit: String) {
        let Some(task) = self.all.get_mut(&number) else { return };
        if task.exit.is_some() {
            return;
        }
        task.log.push(if is_success(&exit) {
            format!("TASK {exit}")
        } else {
            format!("TASK ERROR: {exit}")
        });
        task.end = Some(now);
        task.exit = Some(exit);
        self.running.remove(&number);
        self.finished.push_back(number);
        if self.finished.len() > KEPT
            && let Some(oldest) = self.finished.pop_front()
            && let Some(task) = self.all.remove(&oldest)
        {
            self.by_upid.remove(&task.upid.text());
            if let Some(list) = self.by_node.get_mut(&task.upid.node) {
                list.retain(|number| *number != oldest);
            }
        }
    }

    /// All tasks in the form in which they are saved. One that still runs is
    /// saved as killed, because its work is lost: as when a node loses power.
    fn saved(&self) -> Saved {
        let ended = self.all.values().filter(|task| !task.is_hidden()).map(|task| Ended {
            upid: task.upid.clone(),
            end: task.end,
            exit: task.exit.clone().unwrap_or_else(|| "unexpected status".into()),
            log: task.log.clone(),
        });
        Saved { pid: self.pid, ended: ended.collect() }
    }

    /// The running tasks, oldest first.
    pub fn running(&self) -> impl DoubleEndedIterator<Item = &Task> {
        self.running.iter().filter_map(|number| self.all.get(number))
    }

    /// The tasks of a node, newest first.
    pub fn of_node(&self, node: &str) -> impl Iterator<Item = &Task> {
        self.by_node
            .get(node)
            .into_iter()
            .flat_map(|list| list.iter().rev())
            .filter_map(|number| self.all.get(number))
    }

    /// All tasks, newest first.
    pub fn newest(&self) -> impl Iterator<Item = &Task> {
        self.all.values().rev()
    }
}

/// A task as it is saved.
#[derive(serde::Serialize, serde::Deserialize)]
struct Ended {
    upid: Upid,
    end: Option<Duration>,
    exit: String,
    log: Vec<String>,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Saved {
    pid: u32,
    /// Oldest first.
    ended: Vec<Ended>,
}

impl serde::Serialize for Tasks {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.saved().serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for Tasks {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let saved = Saved::deserialize(deserializer)?;
        let mut tasks = Self { pid: saved.pid, ..Self::default() };
        for (number, ended) in (1..).zip(saved.ended) {
            tasks.by_upid.insert(ended.upid.text(), number);
            tasks.by_node.entry(ended.upid.node.clone()).or_default().push_back(number);
            tasks.finished.push_back(number);
            tasks.next = number;
            let task = Task {
                end: ended.end.or(Some(Duration::from_secs(ended.upid.start))),
                upid: ended.upid,
                exit: Some(ended.exit),
                log: ended.log,
                duration: Duration::ZERO,
                work: None,
                begun: true,
                fault: None,
            };
            tasks.all.insert(number, task);
        }
        Ok(tasks)
    }
}

/// Whether an exit text means success.
pub(crate) fn is_success(exit: &str) -> bool {
    exit == "OK" || exit.starts_with("WARNINGS: ")
}

/// How long tasks of each type take.
#[derive(Debug, Clone)]
pub struct TaskDurations {
    by_type: BTreeMap<String, Duration>,
    default: Duration,
}

impl Default for TaskDurations {
    fn default() -> Self {
        let seconds = [
            ("qmclone", 2000),
            ("qmstart", 1000),
            ("qmdestroy", 500),
            ("qmigrate", 3000),
            ("qmmove", 2000),
        ];
        let by_type =
            seconds.map(|(kind, millis)| (kind.to_owned(), Duration::from_millis(millis))).into();
        Self { by_type, default: Duration::from_millis(300) }
    }
}

impl TaskDurations {
    /// Every task takes this long.
    pub fn all(duration: Duration) -> Self {
        Self { by_type: BTreeMap::new(), default: duration }
    }

    /// Sets the duration of one type (`qmclone`, `qmstart`, `qmdestroy`, `resize`, …).
    #[must_use]
    pub fn with(mut self, kind: &str, duration: Duration) -> Self {
        self.by_type.insert(kind.to_owned(), duration);
        self
    }

    /// The duration of a type.
    pub fn of(&self, kind: &str) -> Duration {
        self.by_type.get(kind).copied().unwrap_or(self.default)
    }
}

impl From<BackendError> for crate::fail::Fail {
    fn from(error: BackendError) -> Self {
        Self::new(error.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn fact_33_ids_have_a_final_colon_and_may_have_no_id_or_one_with_an_at_sign() {
        for text in [
            "UPID:pve1:000033BF:000ABDA6:6B007E8C:imgcopy::root@pam:",
            "UPID:pve1:00003456:000ABEB8:6B007E8E:imgdel:500@local:root@pam!full:",
        ] {
            assert_eq!(Upid::parse(text).unwrap().text(), text);
        }
        for text in [
            "",
            "UPID:bogus",
            "UPID:pve1:1:1:1:x:1:root@pam:",
            "UPID:pve1:000033BF:000ABDA6:6B007E8C:x::u",
        ] {
            assert_eq!(Upid::parse(text), None, "{text}");
        }
    }
}
