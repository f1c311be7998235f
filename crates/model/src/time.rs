//! Time behind traits: the wall clock, the monotonic clock and sleeping.
//!
//! Timers of the engine are rows in the store; a [`ManualClock`] advances them
//! in tests.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970-01-01 00:00 UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The point this many milliseconds after the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This much later. Saturates.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds, for example `2026-11-21T10:54:37.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, millis) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        let (year, month, day) = civil_from_days(days);
        let (seconds, fraction) = (millis / 1000, millis % 1000);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z")
    }
}

/// Year, month and day of the proleptic Gregorian calendar, from days since
/// the epoch. The era arithmetic (400-year cycles of 146,097 days, years that
/// begin in March) is the usual closed form for that calendar.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// The wall clock. May jump.
    fn now(&self) -> Timestamp;

    /// Time since an arbitrary start, never going back. Lease ages are measured
    /// with it, because a wall clock that jumps must not prolong a lease.
    fn monotonic(&self) -> Duration;
}

/// A boxed future that can be sent between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Waiting for a while.
pub trait Sleep: Send + Sync {
    /// Completes after this long, by the clock that belongs to this sleeper.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic reading starts at zero now.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

#[derive(Debug, Default)]
struct ManualState {
    now: i64,
    elapsed: Duration,
    next_key: u64,
    /// Sleepers by the reading of the monotonic clock at which they wake.
    sleepers: BTreeMap<(Duration, u64), Option<Waker>>,
}

/// A clock that moves only when it is told to, and the sleeper that goes with
/// it. Clones share the time.
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<Mutex<ManualState>>);

impl ManualClock {
    /// A clock that shows this time.
    pub fn at(now: Timestamp) -> Self {
        let clock = Self::default();
        clock.state().now = now.0;
        clock
    }

    fn state(&self) -> MutexGuard<'_, ManualState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the time on and wakes whoever has slept long enough.
    pub fn advance(&self, duration: Duration) {
        let mut wake = Vec::new();
        {
            let mut state = self.state();
            state.now = Timestamp(state.now).plus(duration).0;
            state.elapsed += duration;
            let elapsed = state.elapsed;
            for ((_, _), waker) in state.sleepers.range_mut(..=(elapsed, u64::MAX)) {
                wake.extend(waker.take());
            }
        }
        wake.into_iter().for_each(Waker::wake);
    }

    /// The time until the next sleeper wakes; `None` when nobody sleeps.
    pub fn next_wake(&self) -> Option<Duration> {
        let state = self.state();
        let ((at, _), _) = state.sleepers.first_key_value()?;
        Some(at.saturating_sub(state.elapsed))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.state().now)
    }

    fn monotonic(&self) -> Duration {
        self.state().elapsed
    }
}

impl Sleep for ManualClock {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let mut state = self.state();
        let key = (state.elapsed + duration, state.next_key);
        state.next_key += 1;
        state.sleepers.insert(key, None);
        Box::pin(ManualSleep { clock: self.clone(), key })
    }
}

struct ManualSleep {
    clock: ManualClock,
    key: (Duration, u64),
}

impl Future for ManualSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.clock.state();
        if state.elapsed >= self.key.0 {
            return Poll::Ready(());
        }
        state.sleepers.insert(self.key, Some(context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for ManualSleep {
    fn drop(&mut self) {
        self.clock.state().sleepers.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_print_as_rfc_3339() {
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            Timestamp::from_millis(1_795_258_477_123).to_string(),
            "2026-11-21T10:54:37.123Z"
        );
        assert_eq!(Timestamp::from_millis(951_782_400_000).to_string(), "2000-02-29T00:00:00.000Z");
        assert_eq!(Timestamp::from_millis(-1).to_string(), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn a_sleeper_wakes_when_the_manual_clock_reaches_its_time() {
        let clock = ManualClock::at(Timestamp::from_millis(5));
        let mut sleep = clock.sleep(Duration::from_secs(2));
        let mut context = Context::from_waker(Waker::noop());
        assert!(sleep.as_mut().poll(&mut context).is_pending());
        assert_eq!(clock.next_wake(), Some(Duration::from_secs(2)));
        clock.advance(Duration::from_secs(1));
        assert!(sleep.as_mut().poll(&mut context).is_pending());
        clock.advance(Duration::from_secs(1));
        assert!(sleep.as_mut().poll(&mut context).is_ready());
        drop(sleep);
        assert_eq!(clock.next_wake(), None);
        assert_eq!(clock.now(), Timestamp::from_millis(2_005));
    }
}
