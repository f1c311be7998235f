//! Repeating what may be repeated.

mod allocate;
mod task;

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

pub use allocate::{Allocated, AllocationError};

use crate::error::{Error, Kind, Sent, TransportKind};
use crate::{ExitStatus, TaskOutcome};

/// When and how often something is done again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Tries in all, the first one included: 5.
    pub attempts: u32,
    /// The longest pause before the second try: 1 s. Each further one is twice
    /// as long; a random part of it, up to a half, is left out, so that many
    /// clients do not come back at the same moment.
    pub first_pause: Duration,
    /// The longest pause: 15 s. A lock file is waited for by Proxmox itself
    /// for 10 s before it says `got timeout`.
    pub longest_pause: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 5,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(15),
        }
    }
}

impl RetryPolicy {
    /// May a call that failed like this be sent again?
    ///
    /// - Always: when a lock was held ([`Error::Busy`]), when a gateway had too
    ///   many requests (429), and when the server was not reached
    ///   ([`Error::NotSent`]; but trust does not come by waiting, nor does a
    ///   password become right).
    /// - A read also when its answer got lost or the node was not there
    ///   ([`Error::Unavailable`]: 595, 596, no quorum, a broken connection).
    /// - Never: a write whose outcome is unknown ([`Error::Ambiguous`]), and
    ///   what was refused for a reason that stays.
    pub fn allows(&self, error: &Error) -> bool {
        match error {
            Error::Busy { .. } => true,
            Error::NotSent { source, .. } => source.kind != TransportKind::Tls,
            Error::Unavailable { status: Some(429), .. } => true,
            Error::Unavailable { call, .. } => call.is_read(),
            _ => false,
        }
    }

    /// May a task that ended like this be started again? Only when all that
    /// went wrong is that a lock could not be had.
    pub fn allows_task(&self, exit: &ExitStatus) -> bool {
        matches!(exit.kind(), Some(Kind::Busy(_)))
    }

    /// The pauses between the tries.
    pub(crate) fn pauses(&self) -> impl Iterator<Item = Duration> + Send + use<> {
        let seed = RandomState::new();
        self.limits().enumerate().map(move |(index, longest)| {
            let chance = seed.hash_one(index) % 1024;
            let part = 0.5 + f64::from(u16::try_from(chance).unwrap_or_default()) / 2048.0;
            longest.mul_f64(part)
        })
    }

    /// The most that all pauses take.
    pub(crate) fn longest_pauses(&self) -> Duration {
        self.limits().fold(Duration::ZERO, Duration::saturating_add)
    }

    /// The longest that each pause can be.
    fn limits(&self) -> impl Iterator<Item = Duration> + Send + use<> {
        let (mut next, longest) = (self.first_pause.min(self.longest_pause), self.longest_pause);
        (1..self.attempts.min(1000)).map(move |_| {
            let pause = next;
            next = next.saturating_mul(2).min(longest);
            pause
        })
    }
}

/// What a call that may start a task came to, in the end.
pub(crate) enum End {
    /// Done when it was answered, or its task ended.
    Done(Option<TaskOutcome>),
    /// It did not start, as far as is known.
    Failed(Error),
    /// Its task started, and the end was not seen.
    Lost(Error),
}

impl End {
    /// What a failure says: the answer's text and parameters, or the task's.
    pub(crate) fn failure(&self) -> String {
        match self {
            Self::Done(Some(outcome)) if !outcome.is_success() => outcome.exit.to_string(),
            Self::Done(_) => String::new(),
            Self::Failed(error) if error.was_sent() == Sent::Yes => {
                let mut text = error.rejection().map_or("", |answer| answer.text()).to_owned();
                for (_, more) in error.invalid_parameters() {
                    text.push('\n');
                    text.push_str(more);
                }
                text
            }
            Self::Failed(_) | Self::Lost(_) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_are_shortened_by_chance() {
        let seconds = Duration::from_secs;
        let policy = RetryPolicy { attempts: 7, ..RetryPolicy::default() };
        let limits: Vec<Duration> = policy.limits().collect();
        assert_eq!(limits, [1, 2, 4, 8, 15, 15].map(seconds));
        assert_eq!(policy.longest_pauses(), seconds(45));
        for (pause, limit) in policy.pauses().zip(&limits) {
            assert!(pause <= *limit && pause >= *limit / 2, "{pause:?} of {limit:?}");
        }
        let once = RetryPolicy { attempts: 1, ..policy };
        assert_eq!(
            once.pauses().count() + RetryPolicy { attempts: 0, ..policy }.pauses().count(),
            0
        );
    }
}
