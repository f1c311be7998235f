//! A task's log as a stream.

use std::collections::VecDeque;

use futures::future;
use futures::stream::{self, Stream, StreamExt};

use super::patience::Patience;
use super::{LogLine, LogPage, Task, TaskOutcome, WaitPolicy};
use crate::{Client, Error, Upid};

/// How many lines of a log are asked for at once. Proxmox's default is 50.
const PAGE: u32 = 500;

/// What happens in a task, in order.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TaskEvent {
    /// A line of its log.
    Line(LogLine),
    /// How far it is, 0 to 100 percent; comes behind the line that says so.
    Progress(f64),
    /// Its end; nothing comes behind it.
    Ended(TaskOutcome),
}

impl Client {
    /// Follows a task from its first line to its end: lines, progress where the
    /// log has percentages, the outcome. Nothing is asked for until the stream
    /// is polled, and it can be dropped at any time; the task goes on.
    ///
    /// Calls that fail in between for reasons of the network, of a node's
    /// daemon or of a log-in that ran out are repeated, as in
    /// [`Client::wait_task`]: no line comes twice, none is left out. A log
    /// without content has no lines; of a log whose file is gone Proxmox says
    /// so in one.
    ///
    /// ```no_run
    /// # async fn example(client: pve::Client, upid: pve::Upid) -> Result<(), pve::Error> {
    /// use futures::TryStreamExt;
    /// use pve::WaitPolicy;
    /// use pve::tasks::TaskEvent;
    /// let events = client.follow_task(&upid, &WaitPolicy::default());
    /// let mut events = std::pin::pin!(events);
    /// while let Some(event) = events.try_next().await? {
    ///     match event {
    ///         TaskEvent::Line(line) => println!("{}", line.t),
    ///         TaskEvent::Progress(percent) => eprintln!("{percent} %"),
    ///         TaskEvent::Ended(outcome) => println!("{}", outcome.exit),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The stream ends with an error as [`Client::wait_task`] does.
    pub fn follow_task(
        &self,
        upid: &Upid,
        policy: &WaitPolicy,
    ) -> impl Stream<Item = Result<TaskEvent, Error>> + Send + use<> {
        let follower = Follower {
            client: self.clone(),
            task: self.task(upid),
            upid: upid.clone(),
            patience: Patience::new(self, policy),
            ready: VecDeque::new(),
            seen: 0,
            outcome: None,
            over: false,
        };
        stream::unfold(follower, |mut follower| async move {
            let event = follower.next().await?;
            Some((event, follower))
        })
    }

    /// The lines of a task's log as they come, to its end.
    ///
    /// # Errors
    /// As [`Client::follow_task`].
    pub fn follow_log(
        &self,
        upid: &Upid,
        policy: &WaitPolicy,
    ) -> impl Stream<Item = Result<LogLine, Error>> + Send + use<> {
        self.follow_task(upid, policy).filter_map(|event| {
            future::ready(match event {
                Ok(TaskEvent::Line(line)) => Some(Ok(line)),
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            })
        })
    }
}

struct Follower {
    client: Client,
    task: Task,
    upid: Upid,
    patience: Patience,
    ready: VecDeque<TaskEvent>,
    /// The number of the last line that was handed on.
    seen: u64,
    outcome: Option<TaskOutcome>,
    over: bool,
}

impl Follower {
    async fn next(&mut self) -> Option<Result<TaskEvent, Error>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if self.over {
                return None;
            }
            if let Err(error) = self.look().await {
                self.over = true;
                return Some(Err(error));
            }
        }
    }

    /// One look at state and log. The state comes first: what was logged before
    /// the end is then in the log.
    async fn look(&mut self) -> Result<(), Error> {
        if self.outcome.is_none() {
            match self.task.status().await {
                Ok(status) => {
                    let upid = self.upid.clone();
                    self.outcome = status.exit().map(|exit| TaskOutcome { upid, exit });
                }
                Err(error) => return self.endure(error).await,
            }
        }
        let page = match self.task.log(self.seen, PAGE).await {
            Ok(page) => page,
            Err(error) => return self.endure(error).await,
        };
        self.patience.answered(&self.client);
        if self.take(page) {
            return Ok(());
        }
        match self.outcome.take() {
            Some(outcome) => {
                self.ready.push_back(TaskEvent::Ended(outcome));
                self.over = true;
                Ok(())
            }
            None => self.patience.rest(&self.client, &self.upid).await,
        }
    }

    async fn endure(&mut self, error: Error) -> Result<(), Error> {
        self.patience.endure(&self.client, &self.upid, error)?;
        self.patience.rest(&self.client, &self.upid).await
    }

    /// Takes what is new of a page; is there more at once?
    fn take(&mut self, page: LogPage) -> bool {
        let asked_for = usize::try_from(PAGE).unwrap_or(usize::MAX);
        let full = page.lines.len() >= asked_for;
        let before = self.seen;
        for line in page.lines {
            if line.n <= self.seen || self.is_filler(&line) {
                continue;
            }
            self.seen = line.n;
            let percent = line.percent();
            self.ready.push_back(TaskEvent::Line(line));
            self.ready.extend(percent.map(TaskEvent::Progress));
        }
        let new = self.seen > before;
        if new {
            self.patience.hurry();
        }
        new && page.total.map_or(full, |total| total > self.seen)
    }

    /// Stands where a log has no line (yet).
    fn is_filler(&self, line: &LogLine) -> bool {
        let unopened = line.t.starts_with("unable to open file");
        line.n == 1 && (line.t == "no content" || (unopened && self.outcome.is_none()))
    }
}
