//! How a task is watched: pauses, outages, deadlines.

use std::time::Duration;

use super::WaitPolicy;
use crate::{Client, Error, Upid};

/// The state of one wait.
pub(super) struct Patience {
    policy: WaitPolicy,
    begin: Duration,
    last_answer: Duration,
    pause: Duration,
}

impl Patience {
    pub fn new(client: &Client, policy: &WaitPolicy) -> Self {
        let begin = client.now();
        Self { policy: *policy, begin, last_answer: begin, pause: policy.first_pause }
    }

    /// The node answered.
    pub fn answered(&mut self, client: &Client) {
        self.last_answer = client.now();
    }

    /// Something new came: look again soon.
    pub fn hurry(&mut self) {
        self.pause = self.policy.first_pause;
    }

    /// Is this failure one that may pass?
    pub fn endure(&self, client: &Client, upid: &Upid, error: Error) -> Result<(), Error> {
        let outage = client.now().saturating_sub(self.last_answer);
        if !error.is_retryable_read() || outage >= self.policy.longest_outage {
            return Err(error);
        }
        tracing::debug!(%upid, %error, "task not known for the moment");
        Ok(())
    }

    /// Waits before the next look.
    pub async fn rest(&mut self, client: &Client, upid: &Upid) -> Result<(), Error> {
        let waited = client.now().saturating_sub(self.begin);
        let left = self.policy.deadline.map(|deadline| deadline.saturating_sub(waited));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(Error::TaskRunning { upid: Box::new(upid.clone()), waited });
        }
        client.sleep(left.map_or(self.pause, |left| self.pause.min(left))).await;
        self.pause = self.pause.mul_f64(1.5).min(self.policy.longest_pause);
        Ok(())
    }
}
