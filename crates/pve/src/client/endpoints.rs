//! The endpoints of one cluster, and which is tried when.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{Client, Target};
use crate::error::{Call, Error, Sent};

/// The longest set-back is so many times the first one.
const LONGEST_SET_BACK: u32 = 32;

pub(super) struct Endpoints {
    bases: Vec<String>,
    /// Index of the endpoint that answered last.
    last_good: AtomicUsize,
    health: Vec<Mutex<Health>>,
    set_back: Duration,
}

/// How an endpoint did lately.
#[derive(Clone, Copy, Default)]
struct Health {
    /// Failures since the last answer.
    failures: u32,
    /// Tried last until then, by the client's clock.
    until: Duration,
}

impl Endpoints {
    pub fn new(bases: Vec<String>, set_back: Duration) -> Self {
        let health = bases.iter().map(|_| Mutex::default()).collect();
        Self { bases, last_good: AtomicUsize::new(0), health, set_back }
    }

    fn health(&self, index: usize) -> std::sync::MutexGuard<'_, Health> {
        // Plain numbers: whoever panicked with the lock left them whole.
        self.health[index].lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// All endpoints, the best first. A read begins with the first that is not
    /// set back, and so is what finds out whether a lost one has come back; a
    /// write begins with the one that answered last.
    fn order(&self, read: bool, now: Duration) -> Vec<usize> {
        let last_good = self.last_good.load(Ordering::Relaxed);
        let mut order: Vec<usize> = (0..self.bases.len()).collect();
        order.sort_by_key(|&index| {
            let until = self.health(index).until;
            // Those that are not set back are equal here.
            let until = if until > now { until } else { Duration::ZERO };
            (until, !read && index != last_good, index)
        });
        order
    }

    fn answered(&self, index: usize) {
        self.last_good.store(index, Ordering::Relaxed);
        *self.health(index) = Health::default();
    }

    fn failed(&self, index: usize, now: Duration) {
        let mut health = self.health(index);
        let factor = 1_u32.checked_shl(health.failures).unwrap_or(LONGEST_SET_BACK);
        health.failures = health.failures.saturating_add(1);
        let pause = self.set_back.saturating_mul(factor.min(LONGEST_SET_BACK));
        health.until = now.saturating_add(pause);
    }
}

/// One call's way along the endpoints.
pub(crate) struct Tour<'a> {
    client: &'a Client,
    call: &'a Call,
    order: std::vec::IntoIter<usize>,
    current: Option<usize>,
    /// May it go on only when the call was certainly not sent?
    once: bool,
    last: Option<Error>,
}

impl<'a> Tour<'a> {
    /// The first endpoint to try, and after each failure the next one.
    ///
    /// # Errors
    /// The last failure, when all have been tried.
    pub fn target(&mut self) -> Result<Target<'a>, Error> {
        self.current = self.order.next();
        match self.current {
            Some(index) => {
                Ok(Target { base: &self.client.endpoints().bases[index], call: self.call })
            }
            None => self.give_up(),
        }
    }

    /// What a tour ends with that cannot go on.
    ///
    /// # Errors
    /// Always: the last failure.
    pub fn give_up<T>(&mut self) -> Result<T, Error> {
        Err(self
            .last
            .take()
            .unwrap_or_else(|| Error::Config("endpoints: at least one is needed".into())))
    }

    /// The end of the tour; `None` when the next endpoint should be tried.
    pub fn judge<T>(&mut self, result: Result<T, Error>) -> Option<Result<T, Error>> {
        let (endpoints, index) = (self.client.endpoints(), self.current?);
        let Err(error) = result else {
            endpoints.answered(index);
            return Some(result);
        };
        if error.is_endpoint_down() {
            endpoints.failed(index, self.client.now());
        } else if error.was_sent() == Sent::Yes {
            endpoints.answered(index);
        }
        let unsent = error.was_sent() == Sent::No;
        if error.is_endpoint_fault() && (unsent || !self.once) {
            tracing::debug!(endpoint = endpoints.bases[index], %error, "endpoint failed");
            self.last = Some(error);
            return None;
        }
        Some(Err(error))
    }
}

impl Client {
    /// The way of `call`, which goes on after a lost answer unless `once`.
    pub(crate) fn tour<'a>(&'a self, call: &'a Call, once: bool) -> Tour<'a> {
        let read = call.is_read();
        let order = self.endpoints().order(read, self.now()).into_iter();
        Tour { client: self, call, order, current: None, once: once || !read, last: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn three() -> Endpoints {
        let bases = ["a", "b", "c"].map(str::to_owned).to_vec();
        Endpoints::new(bases, seconds(30))
    }

    #[test]
    fn reads_try_out_what_was_set_back_and_writes_stay_where_they_are() {
        let endpoints = three();
        endpoints.failed(0, seconds(0));
        endpoints.answered(1);
        assert_eq!(endpoints.order(true, seconds(29)), [1, 2, 0]);
        assert_eq!(endpoints.order(false, seconds(29)), [1, 2, 0]);
        assert_eq!(endpoints.order(true, seconds(30)), [0, 1, 2]);
        assert_eq!(endpoints.order(false, seconds(30)), [1, 0, 2]);
    }

    #[test]
    fn set_backs_grow_to_a_limit_and_end_with_an_answer() {
        let endpoints = three();
        let until = |endpoints: &Endpoints| endpoints.health(0).until;
        for pause in [30, 60, 120, 240, 480, 960, 960, 960] {
            endpoints.failed(0, seconds(0));
            assert_eq!(until(&endpoints), seconds(pause));
        }
        endpoints.answered(0);
        endpoints.failed(0, seconds(0));
        assert_eq!(until(&endpoints), seconds(30));
    }

    #[test]
    fn when_all_are_set_back_the_one_whose_time_ends_first_is_first() {
        let endpoints = three();
        endpoints.failed(1, seconds(0));
        endpoints.failed(2, seconds(1));
        endpoints.failed(0, seconds(2));
        assert_eq!(endpoints.order(true, seconds(3)), [1, 2, 0]);
    }
}
