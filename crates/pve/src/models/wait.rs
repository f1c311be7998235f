//! Waiting until something is so, by reading it again and again.

use std::time::Duration;

use crate::{Client, Error};

/// How often something is read again, and for how long.
///
/// The defaults are those of the fog family of libraries, which users of such
/// objects know: pauses of 1, 2, 4, … seconds, none longer than 60 s, for at
/// most 600 s in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polling {
    /// The first pause; each one is twice as long as the one before.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// Give up after this time.
    pub timeout: Duration,
}

impl Default for Polling {
    fn default() -> Self {
        Self {
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            timeout: Duration::from_secs(600),
        }
    }
}

impl Polling {
    /// The defaults, for at most `timeout`.
    pub fn within(timeout: Duration) -> Self {
        Self { timeout, ..Self::default() }
    }
}

/// The pauses of one wait.
pub(crate) struct Pauses<'a> {
    client: &'a Client,
    policy: Polling,
    begin: Duration,
    pause: Duration,
}

impl<'a> Pauses<'a> {
    pub fn new(client: &'a Client, policy: &Polling) -> Self {
        Self { client, policy: *policy, begin: client.now(), pause: policy.first_pause }
    }

    /// Sleeps for the next pause, or says that the time is over.
    pub async fn next(&mut self, what: &str) -> Result<(), Error> {
        let waited = self.client.now().saturating_sub(self.begin);
        let left = self.policy.timeout.saturating_sub(waited);
        if left.is_zero() {
            return Err(Error::TimedOut { what: what.to_owned(), waited });
        }
        // A pause of zero would ask the server as fast as it answers, and a
        // clock that a test holds still would never reach the end.
        let pause = self.pause.clamp(
            Duration::from_millis(10),
            self.policy.longest_pause.max(Duration::from_millis(10)),
        );
        self.client.sleep(pause.min(left)).await;
        self.pause = pause.saturating_mul(2);
        Ok(())
    }
}
