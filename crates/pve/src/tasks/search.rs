//! Looking for tasks.

use std::collections::{HashSet, VecDeque};

use futures::stream::{self, Stream};

use super::{TaskEntry, TaskPage};
use crate::nodes::Node;
use crate::{Client, Error, Params, Upid, VmId};

/// How many tasks are asked for at once.
const PAGE: u32 = 500;

/// Where tasks are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskSource {
    /// Those that run, or ran until a moment ago.
    Active,
    /// Those that ended (Proxmox's default).
    Archive,
    /// Both.
    All,
}

/// How a task ended, as far as lists can be filtered by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskEnd {
    /// Well.
    Ok,
    /// Well, with warnings.
    Warning,
    /// With an error.
    Error,
    /// Nobody knows.
    Unknown,
}

/// Which tasks are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Those of this guest.
    pub vmid: Option<VmId>,
    /// Where to look.
    pub source: Option<TaskSource>,
    /// Those that began at or after this second since the epoch.
    pub since: Option<u64>,
    /// Those that began at or before this second since the epoch.
    pub until: Option<u64>,
    /// Those of this type.
    pub kind: Option<String>,
    /// Those of this user.
    pub user: Option<String>,
    /// Those that ended in one of these ways; empty: in any. Since release 7.
    pub ends: Vec<TaskEnd>,
    /// Those that failed.
    pub errors: bool,
    /// At most so many; 50 unless set.
    pub limit: Option<u32>,
    /// Leave out so many at the beginning.
    pub start: Option<u32>,
}

impl From<&TaskFilter> for Params {
    fn from(filter: &TaskFilter) -> Self {
        let source = filter.source.map(|source| match source {
            TaskSource::Active => "active",
            TaskSource::Archive => "archive",
            TaskSource::All => "all",
        });
        let ends = filter.ends.iter().map(|end| match end {
            TaskEnd::Ok => "ok",
            TaskEnd::Warning => "warning",
            TaskEnd::Error => "error",
            TaskEnd::Unknown => "unknown",
        });
        let ends = ends.collect::<Vec<_>>().join(",");
        Self::new()
            .opt("vmid", filter.vmid)
            .opt("source", source)
            .opt("since", filter.since)
            .opt("until", filter.until)
            .opt("typefilter", filter.kind.as_ref())
            .opt("userfilter", filter.user.as_ref())
            .opt("statusfilter", Some(ends).filter(|ends| !ends.is_empty()))
            .opt("errors", filter.errors.then_some(true))
            .opt("limit", filter.limit)
            .opt("start", filter.start)
    }
}

impl Client {
    /// All tasks of a node that `filter` describes, newest first, read page by
    /// page as far as they are wanted. `filter.limit` is the most of them all:
    /// unless set there is none. Tasks that begin meanwhile are left out, and
    /// none comes twice.
    ///
    /// # Errors
    /// The stream ends with an error as [`Client::request`] gives it.
    pub fn search_tasks(
        &self,
        node: &str,
        filter: &TaskFilter,
    ) -> impl Stream<Item = Result<TaskEntry, Error>> + Send + use<> {
        let search = Search {
            node: self.node(node),
            next: filter.start.unwrap_or(0),
            left: filter.limit.unwrap_or(u32::MAX),
            filter: filter.clone(),
            ready: VecDeque::new(),
            last_page: HashSet::new(),
            over: false,
        };
        stream::unfold(search, |mut search| async move {
            let entry = search.next().await?;
            Some((entry, search))
        })
    }
}

struct Search {
    node: Node,
    filter: TaskFilter,
    /// Where the next page begins.
    next: u32,
    /// How many may come yet.
    left: u32,
    ready: VecDeque<TaskEntry>,
    /// New tasks push the others down, so that a page begins with the end of
    /// the one before.
    last_page: HashSet<Upid>,
    over: bool,
}

impl Search {
    async fn next(&mut self) -> Option<Result<TaskEntry, Error>> {
        loop {
            if self.left == 0 {
                return None;
            }
            if let Some(entry) = self.ready.pop_front() {
                self.left -= 1;
                return Some(Ok(entry));
            }
            if self.over {
                return None;
            }
            self.filter.start = Some(self.next);
            self.filter.limit = Some(PAGE.min(self.left));
            match self.node.tasks(&self.filter).await {
                Ok(page) => self.take(page),
                Err(error) => {
                    self.over = true;
                    return Some(Err(error));
                }
            }
        }
    }

    fn take(&mut self, page: TaskPage) {
        let count = u32::try_from(page.tasks.len()).unwrap_or(u32::MAX);
        self.next = self.next.saturating_add(count);
        let full = Some(count) >= self.filter.limit;
        let upids = page.tasks.iter().map(|entry| entry.upid.clone()).collect();
        let before = std::mem::replace(&mut self.last_page, upids);
        let new = page.tasks.into_iter().filter(|entry| !before.contains(&entry.upid));
        self.ready.extend(new);
        let more = page.total.map_or(full, |total| u64::from(self.next) < total);
        // A server that ignores where a page begins must not keep us for ever.
        self.over = count == 0 || !more || self.ready.is_empty();
    }
}
