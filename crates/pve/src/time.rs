//! Time as the client sees it: a monotonic clock and sleeping, both traits, so
//! that a test can make an hour pass at once.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

/// A monotonic clock. Used for the age of tickets and for the deadlines of
/// [`Client::wait_task`](crate::Client::wait_task); the timeouts of single
/// requests always run on the runtime's own clock.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Time since some fixed point in the past. Never goes back.
    fn now(&self) -> Duration;
}

/// Something that can wait.
pub trait Sleep: fmt::Debug + Send + Sync {
    /// A future that is ready once `duration` has passed.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The operating system's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Sleeps on tokio's timer.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioSleep;

impl Sleep for TokioSleep {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(duration))
    }
}
