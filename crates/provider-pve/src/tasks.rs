//! Tasks: how far handles are, which clone may be the one whose answer was
//! lost, and whether a lock will ever go away.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use model::{HostId, Timestamp};
use provider::{Error, Handle, HandleState, Probe};
use pve::tasks::{ExitStatus, TaskEntry, TaskFilter, TaskSource};
use pve::{Upid, VmId};

use crate::cluster::Cluster;
use crate::guest::Guest;

/// How far the hosts' clocks may be from ours. Clusters keep their own clocks
/// together (their messages are timed); ours may be elsewhere.
const CLOCK_SKEW: Duration = Duration::from_secs(120);

/// How long a lock without a task is believed to be about to go away: tasks
/// end a moment after their last write, and appear a moment after their first.
const LOCK_GRACE: Duration = Duration::from_secs(60);

/// How many tasks are remembered as explained, and locks as watched.
const MOST_REMEMBERED: usize = 10_000;

/// How many tasks of one host are asked about at once, when its list does not
/// show them.
const SINGLE_QUESTIONS: usize = 8;

/// What this process remembers. It is a hint only: a process that has
/// forgotten waits longer, and does nothing else.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Clone tasks whose ids were answered, with the vmids that they make: they
    /// are not the ones whose answers were lost.
    explained: HashMap<String, VmId>,
    /// The same in order of age.
    by_age: VecDeque<String>,
    /// Locks without a task: the configuration's digest, and since when.
    locks: HashMap<VmId, (Option<String>, Duration)>,
}

impl Seen {
    fn explain(&mut self, upid: &str, vmid: VmId) {
        if self.explained.insert(upid.to_owned(), vmid).is_none() {
            self.by_age.push_back(upid.to_owned());
        }
        if self.by_age.len() > MOST_REMEMBERED
            && let Some(oldest) = self.by_age.pop_front()
        {
            self.explained.remove(&oldest);
        }
    }

    /// Whether a clone task may be the one that makes this vmid.
    fn may_make(&self, upid: &Upid, vmid: VmId) -> bool {
        self.explained.get(&upid.to_string()).is_none_or(|made| *made == vmid)
    }

    /// Since when (on the monotonic clock) this lock has been seen without a
    /// task and without a change.
    fn lock_since(&mut self, vmid: VmId, digest: Option<&str>, now: Duration) -> Duration {
        if self.locks.len() >= MOST_REMEMBERED && !self.locks.contains_key(&vmid) {
            self.locks.clear();
        }
        let entry = self.locks.entry(vmid).or_insert_with(|| (digest.map(str::to_owned), now));
        if entry.0.as_deref() != digest {
            *entry = (digest.map(str::to_owned), now);
        }
        entry.1
    }
}

/// What a locked guest is in for.
pub(crate) enum LockWatch {
    /// A task works on it, or may; its id where it is known.
    Working(Option<String>),
    /// The lock stays, and what an administrator has to do about it.
    Stays(Error),
}

impl Cluster {
    /// Remembers which vmid a clone task makes: its request was answered.
    pub fn explain(&self, upid: &str, vmid: VmId) {
        self.seen().explain(upid, vmid);
    }

    /// Forgets a lock that is gone.
    pub fn forget_lock(&self, vmid: VmId) {
        self.seen().locks.remove(&vmid);
    }

    async fn running(&self, node: &HostId) -> Result<Vec<TaskEntry>, Error> {
        let filter = TaskFilter { source: Some(TaskSource::Active), ..TaskFilter::default() };
        let rows = self.tasks(node, filter).await?;
        Ok(rows.into_iter().filter(|row| row.exit().is_none()).collect())
    }

    /// The task of one of these kinds that works on the guest now. An action
    /// joins it instead of starting another that would meet its lock, or find
    /// its work done and fail.
    pub async fn task_on(&self, guest: &Guest, kinds: &[&str]) -> Result<Option<Handle>, Error> {
        let vmid = guest.vmid.to_string();
        let rows = self.running(&guest.node).await?;
        let task = rows.into_iter().find(|row| row.id == vmid && kinds.contains(&row.upid.kind()));
        Ok(task.map(|row| Handle { host: guest.node.clone(), reference: row.upid.to_string() }))
    }

    /// What a probe says about a guest that is not yet as wanted.
    pub async fn going_on(&self, guest: &Guest, kinds: &[&str]) -> Result<Probe, Error> {
        Ok(match self.task_on(guest, kinds).await? {
            Some(handle) => Probe::InProgress(Some(handle)),
            None => Probe::NotDone,
        })
    }

    /// Whether any task works on the guest now: whatever is asked of it would
    /// meet its lock.
    pub async fn works_on(&self, guest: &Guest) -> Result<bool, Error> {
        let vmid = guest.vmid.to_string();
        let rows = self.running(&guest.node).await?;
        Ok(rows
            .iter()
            .any(|row| row.id == vmid && !is_harmless(row) && row.upid.kind() != "qmclone"))
    }

    /// Whether a clone of this template runs that may be the one that was asked
    /// for at `since` with this vmid and not answered: one that did not begin
    /// before, and that was not the answer to another request.
    pub async fn may_be_cloned(
        &self,
        vmid: VmId,
        (node, source): (&HostId, VmId),
        since: Option<Timestamp>,
    ) -> Result<bool, Error> {
        let source = source.to_string();
        let earliest = since.map(|since| {
            let seconds = u64::try_from(since.as_millis() / 1_000).unwrap_or(0);
            seconds.saturating_sub(CLOCK_SKEW.as_secs())
        });
        let rows = self.running(node).await?;
        let seen = self.seen();
        Ok(rows
            .iter()
            .filter(|row| row.upid.kind() == "qmclone" && row.id == source)
            .filter(|row| earliest.is_none_or(|earliest| row.upid.start_time() >= earliest))
            .any(|row| seen.may_make(&row.upid, vmid)))
    }

    /// Whether a task works on a locked guest. `source` names the node and
    /// vmid of the template, where the lock is a clone's: the task's id is the
    /// template's, and so it cannot be told whose of several it is.
    pub async fn watch_lock(
        &self,
        guest: &Guest,
        source: Option<(&HostId, VmId)>,
    ) -> Result<LockWatch, Error> {
        let vmid = guest.vmid.to_string();
        let mut rows = self.running(&guest.node).await?;
        if let Some((node, _)) = source
            && *node != guest.node
        {
            rows.extend(self.running(node).await?);
        }
        let is_clone = matches!(guest.config.lock(), Some("clone" | "create"));
        let seen = self.seen();
        let works = |row: &TaskEntry| match row.upid.kind() {
            "qmclone" => {
                let of_source = source.is_none_or(|(_, of)| row.id == of.to_string());
                is_clone && of_source && seen.may_make(&row.upid, guest.vmid)
            }
            // A back-up of several guests has no id.
            "vzdump" => row.id.is_empty() || row.id == vmid,
            _ => row.id == vmid && !is_harmless(row),
        };
        rows.retain(works);
        drop(seen);
        if let Some(first) = rows.first() {
            self.forget_lock(guest.vmid);
            let only = (rows.len() == 1).then(|| first.upid.to_string());
            return Ok(LockWatch::Working(only));
        }
        let now = self.clock.monotonic();
        let since = self.seen().lock_since(guest.vmid, guest.config.digest.as_deref(), now);
        if now.saturating_sub(since) < LOCK_GRACE {
            return Ok(LockWatch::Working(None));
        }
        Ok(LockWatch::Stays(stays(guest)))
    }

    /// See [`provider::Provider::poll`]: one list, however many handles there
    /// are, and a question of its own for each that the list does not show.
    pub async fn poll(&self, host: &HostId, handles: &[Handle]) -> Result<Vec<HandleState>, Error> {
        let upids: Vec<Option<Upid>> =
            handles.iter().map(|handle| handle.reference.parse().ok()).collect();
        let Some(since) = upids.iter().flatten().map(Upid::start_time).min() else {
            return Ok(vec![HandleState::Lost; handles.len()]);
        };
        let filter = TaskFilter {
            source: Some(TaskSource::All),
            since: Some(since),
            ..TaskFilter::default()
        };
        let rows = self.tasks(host, filter).await?;
        let listed: BTreeMap<&Upid, &TaskEntry> = rows.iter().map(|row| (&row.upid, row)).collect();
        let mut answers = Vec::new();
        for upid in &upids {
            let row = upid.as_ref().and_then(|upid| listed.get(upid).copied());
            answers.push(self.poll_one(upid.as_ref(), row));
        }
        Ok(stream::iter(answers).buffered(SINGLE_QUESTIONS).collect().await)
    }

    /// A task that cannot be asked about counts as running: it must not hide the
    /// others of its host, and the deadline of its step ends it.
    async fn poll_one(&self, upid: Option<&Upid>, row: Option<&TaskEntry>) -> HandleState {
        match (upid, row) {
            (None, _) => HandleState::Lost,
            (Some(_), Some(row)) => state(row.exit()),
            (Some(upid), None) => match self.task_status(upid).await {
                Ok(None) => HandleState::Lost,
                Ok(Some(task)) => state(task.exit()),
                Err(error) => {
                    tracing::info!(%upid, %error, "cannot ask about a task; asking again");
                    HandleState::Running { percent: None }
                }
            },
        }
    }
}

fn state(exit: Option<ExitStatus>) -> HandleState {
    match exit {
        None => HandleState::Running { percent: None },
        Some(exit) if exit.is_success() => HandleState::Ok,
        Some(exit) => HandleState::Failed { text: exit.to_string() },
    }
}

/// Open consoles are tasks of the guest, too, and keep nobody from anything.
fn is_harmless(row: &TaskEntry) -> bool {
    matches!(row.upid.kind(), "vncproxy" | "termproxy" | "spiceproxy")
}

/// What to tell the administrator about a lock that stays. (Only root with a
/// password can skip locks; a token cannot.)
fn stays(guest: &Guest) -> Error {
    let Guest { vmid, node, .. } = guest;
    let lock = guest.config.lock().unwrap_or_default();
    let made = matches!(lock, "clone" | "create");
    let mut commands = vec![format!("qm unlock {vmid}")];
    if made {
        commands.push(format!("qm destroy {vmid} --purge --destroy-unreferenced-disks 1"));
    }
    let then = if made { "it is an unfinished clone: unlock and remove it" } else { "unlock it" };
    Error::NeedsAdministrator {
        text: format!(
            "VM {vmid} on {node} stays locked ({lock}) and no task works on it; {then}, then resume"
        ),
        commands,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_has_a_limit() {
        let mut seen = Seen::default();
        for n in 0..MOST_REMEMBERED + 5 {
            seen.explain(&n.to_string(), VmId::MIN);
        }
        assert_eq!(seen.explained.len(), MOST_REMEMBERED);
        assert_eq!(seen.by_age.len(), MOST_REMEMBERED);
        assert!(!seen.explained.contains_key("0"));
    }

    #[test]
    fn a_lock_is_timed_anew_when_the_configuration_changes() {
        let mut seen = Seen::default();
        let at = Duration::from_secs;
        assert_eq!(seen.lock_since(VmId::MIN, Some("a"), at(1)), at(1));
        assert_eq!(seen.lock_since(VmId::MIN, Some("a"), at(9)), at(1));
        assert_eq!(seen.lock_since(VmId::MIN, Some("b"), at(9)), at(9));
    }
}
