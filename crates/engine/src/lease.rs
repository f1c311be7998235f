//! How long this executor may still send effects.

use std::sync::Mutex;
use std::time::Duration;

use crate::store::EpochId;

/// An executor's hold on its epoch, by the monotonic clock.
///
/// The store cannot fence a hypervisor. An effect is sent only while the age of
/// the last renewal leaves at least the time that the request may take.
#[derive(Debug)]
pub struct Lease {
    epoch: EpochId,
    ttl: Duration,
    renewed_at: Mutex<Option<Duration>>,
}

impl Lease {
    /// A lease that began at this reading of the monotonic clock: the reading
    /// *before* the store was asked, so that its age is never underestimated.
    pub fn begun(epoch: EpochId, ttl: Duration, asked_at: Duration) -> Self {
        Self { epoch, ttl, renewed_at: Mutex::new(Some(asked_at)) }
    }

    /// The epoch.
    pub fn epoch(&self) -> EpochId {
        self.epoch
    }

    /// Its length.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    fn renewed(&self) -> std::sync::MutexGuard<'_, Option<Duration>> {
        self.renewed_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The store has prolonged it; `asked_at` as for [`Lease::begun`].
    pub fn renew(&self, asked_at: Duration) {
        if let Some(renewed_at) = self.renewed().as_mut() {
            *renewed_at = asked_at.max(*renewed_at);
        }
    }

    /// The store says that it is over; it does not come back.
    pub fn lose(&self) {
        *self.renewed() = None;
    }

    /// Whether it has been lost.
    pub fn is_lost(&self) -> bool {
        self.renewed().is_none()
    }

    /// How long it still lasts.
    pub fn left(&self, now: Duration) -> Duration {
        let age = |at: Duration| now.saturating_sub(at);
        self.renewed().map_or(Duration::ZERO, |at| self.ttl.saturating_sub(age(at)))
    }

    /// Whether a request that may take `timeout` may be sent now.
    pub fn allows(&self, now: Duration, timeout: Duration) -> bool {
        let left = self.left(now);
        !left.is_zero() && left >= timeout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effect_is_allowed_only_while_its_timeout_fits_into_the_lease() {
        let lease = Lease::begun(EpochId(1), Duration::from_secs(90), Duration::from_secs(10));
        let timeout = Duration::from_secs(40);
        assert!(lease.allows(Duration::from_secs(60), timeout));
        assert!(!lease.allows(Duration::from_secs(61), timeout));
        lease.renew(Duration::from_secs(61));
        assert!(lease.allows(Duration::from_secs(61), timeout));
        lease.lose();
        lease.renew(Duration::from_secs(62));
        assert!(!lease.allows(Duration::from_secs(62), timeout));
    }
}
