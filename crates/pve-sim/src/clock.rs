//! The simulator's time. Everything that takes time (tasks, delays, lock
//! waits, statistics rounds) goes through a [`Clock`], so that a test can step
//! it by hand.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where the simulator gets its time from.
pub trait Clock: Send + Sync + 'static {
    /// Time since the Unix epoch.
    fn now(&self) -> Duration;
    /// Moves the time to `to`, when the time of this clock is set by hand;
    /// answers whether it is. A time in the past is ignored.
    fn set(&self, to: Duration) -> bool;
}

/// Real time. It never goes backwards, even when the machine's clock is set.
#[derive(Debug)]
pub struct WallClock {
    epoch: Duration,
    started: Instant,
}

impl WallClock {
    /// A clock that shows this machine's time.
    pub fn new() -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { epoch, started: Instant::now() }
    }
}

impl Default for WallClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for WallClock {
    fn now(&self) -> Duration {
        self.epoch + self.started.elapsed()
    }

    fn set(&self, _to: Duration) -> bool {
        false
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(Mutex<Duration>);

impl ManualClock {
    /// A clock that stands at 2026-11-20 17:00:00 UTC.
    pub fn new() -> Self {
        Self::at(Duration::from_secs(1_795_194_000))
    }

    /// A clock that stands at this time since the Unix epoch.
    pub fn at(time: Duration) -> Self {
        Self(Mutex::new(time))
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn set(&self, to: Duration) -> bool {
        let mut now = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *now = to.max(*now);
        true
    }
}
