//! How long to wait for what.

use std::time::Duration;

/// How long to wait for what. Connecting and answering are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// To resolve, connect and shake hands, a proxy included: 10 s.
    pub connect: Duration,
    /// For the whole answer of a call that reads: 45 s. The API proxy gives up
    /// on its node after 30 s, and delays each refused log-in by 3 s; less
    /// than that makes sense only in tests.
    pub read: Duration,
    /// For the whole answer of a call that changes something or starts a task
    /// (not for the task itself): 45 s.
    pub task: Duration,
    /// For a whole upload: 1 h.
    pub upload: Duration,
    /// For a call with everything that belongs to it: a place in the queue,
    /// log-ins, other endpoints, retries. None: no limit beyond what these
    /// have themselves. Uploads, consoles and waits for tasks are not bound by
    /// it, only the single calls that they make.
    pub whole: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            read: Duration::from_secs(45),
            task: Duration::from_secs(45),
            upload: Duration::from_secs(3600),
            whole: None,
        }
    }
}

impl Timeouts {
    /// For a log-in, the wait for another call's log-in included.
    pub(crate) fn login(&self) -> Duration {
        self.connect.saturating_add(self.read)
    }
}
