//! Tasks.

use futures::Stream;

use crate::tasks::{LogLine, TaskEntry, TaskEvent, TaskFilter, TaskStatus};
use crate::{Client, Error, ExitStatus, TaskOutcome, Upid, WaitPolicy};

/// How many lines of a log are asked for at once.
const LOG_PAGE: u32 = 500;
/// How many lines of a log are read in all: a server that ignores where a page
/// begins must not keep us for ever.
const LOG_LIMIT: usize = 1_000_000;

/// A task of a node.
#[derive(Clone, Debug)]
pub struct Task {
    client: Client,
    upid: Upid,
    exit: Option<ExitStatus>,
}

impl Task {
    pub(crate) fn new(client: &Client, upid: Upid) -> Self {
        Self { client: client.clone(), upid, exit: None }
    }

    fn listed(client: &Client, entry: TaskEntry) -> Self {
        let exit = entry.exit();
        Self { client: client.clone(), upid: entry.upid, exit }
    }

    /// The tasks of a node that `filter` describes, newest first. Proxmox looks
    /// only at ended ones and answers at most 50 unless told otherwise.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn search(
        client: &Client,
        node: &str,
        filter: &TaskFilter,
    ) -> Result<Vec<Self>, Error> {
        let page = client.node(node).tasks(filter).await?;
        Ok(page.tasks.into_iter().map(|entry| Self::listed(client, entry)).collect())
    }

    /// Recent tasks of all nodes, a short list.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn recent(client: &Client) -> Result<Vec<Self>, Error> {
        let entries = client.cluster().tasks().await?;
        Ok(entries.into_iter().map(|entry| Self::listed(client, entry)).collect())
    }

    /// A task with its present state; `None` when its node does not know it
    /// (any more).
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn get(client: &Client, upid: &Upid) -> Result<Option<Self>, Error> {
        let mut task = Self::new(client, upid.clone());
        match task.reload().await {
            Ok(_) => Ok(Some(task)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Its id; node, type, user and start are in it.
    pub fn upid(&self) -> &Upid {
        &self.upid
    }

    /// How it ended, as last read; `None` while it runs, or before it was read.
    pub fn exit(&self) -> Option<&ExitStatus> {
        self.exit.as_ref()
    }

    /// Had it ended when it was last read?
    pub fn is_finished(&self) -> bool {
        self.exit.is_some()
    }

    /// Had it ended well, with or without warnings, when it was last read?
    pub fn is_successful(&self) -> bool {
        self.exit.as_ref().is_some_and(ExitStatus::is_success)
    }

    /// Reads its state.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_not_found`].
    pub async fn reload(&mut self) -> Result<TaskStatus, Error> {
        let status = self.client.task(&self.upid).status().await?;
        self.exit = status.exit();
        Ok(status)
    }

    /// Waits for its end, whatever that is.
    ///
    /// # Errors
    /// As [`Client::wait_task`].
    pub async fn wait_end(&mut self, policy: &WaitPolicy) -> Result<TaskOutcome, Error> {
        let outcome = self.client.wait_task(&self.upid, policy).await?;
        self.exit = Some(outcome.exit.clone());
        Ok(outcome)
    }

    /// Waits for its good end.
    ///
    /// # Errors
    /// As [`Client::wait_task`]; [`Error::TaskFailed`].
    pub async fn wait(&mut self, policy: &WaitPolicy) -> Result<(), Error> {
        self.wait_end(policy).await?.into_result().map(drop)
    }

    /// Its log so far, at most a million lines.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn log(&self) -> Result<Vec<LogLine>, Error> {
        let task = self.client.task(&self.upid);
        let mut lines = Vec::new();
        loop {
            let start = u64::try_from(lines.len()).unwrap_or(u64::MAX);
            let page = task.log(start, LOG_PAGE).await?;
            let more = page.lines.len() == usize::try_from(LOG_PAGE).unwrap_or(usize::MAX);
            lines.extend(page.lines);
            if !more || lines.len() >= LOG_LIMIT {
                return Ok(lines);
            }
        }
    }

    /// Follows it from its first line to its end: lines, progress, the outcome.
    /// See [`Client::follow_task`].
    pub fn follow(
        &self,
        policy: &WaitPolicy,
    ) -> impl Stream<Item = Result<TaskEvent, Error>> + Send + use<> {
        self.client.follow_task(&self.upid, policy)
    }

    /// Asks it to stop, and does not wait until it has. Succeeds for tasks that
    /// have ended, too. A stopped task ends as
    /// [`ExitStatus::Interrupted`].
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn stop(&self) -> Result<(), Error> {
        self.client.task(&self.upid).stop().await
    }
}
