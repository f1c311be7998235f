//! Power: start, stop, shut down, restart.

use std::time::Duration;

use model::{Caller, Error, InstanceId, Intent, OperationId};

use super::instances::Wish;
use crate::house::House;
use crate::workflows::power_kind;

/// How long a change of power may take beyond the guest's own time.
const POWER_DEADLINE: Duration = Duration::from_secs(600);
/// The longest that a guest may take to go down.
const SHUTDOWN_MOST: Duration = Duration::from_secs(3600);

/// A change of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerChange {
    /// On.
    Start,
    /// Off, hard.
    Stop,
    /// Ask the guest to shut down.
    Shutdown {
        /// How long it may take, 1 s to 1 h.
        timeout: Duration,
        /// Whether to power it off then.
        force: bool,
    },
    /// Ask the guest to restart.
    Reboot {
        /// How long it may take to go down, 1 s to 1 h.
        timeout: Duration,
    },
}

impl House {
    /// Accepts a change of power.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] when another operation is
    /// changing the instance or it does not exist as a guest;
    /// [`Error::InvalidRequest`]; [`Error::Forbidden`].
    pub async fn change_power(
        &self,
        caller: &Caller,
        id: InstanceId,
        change: PowerChange,
    ) -> Result<OperationId, Error> {
        let intent = power_intent(change)?;
        let wish = Wish { kind: power_kind(), deadline: POWER_DEADLINE + guest_time(&intent) };
        self.change(caller, id, wish, |_, _| Ok(intent)).await
    }
}

fn power_intent(change: PowerChange) -> Result<Intent, Error> {
    Ok(match change {
        PowerChange::Start => Intent::Start,
        PowerChange::Stop => Intent::Stop,
        PowerChange::Shutdown { timeout, force } => {
            Intent::Shutdown { timeout: guest_patience(timeout)?, force }
        }
        PowerChange::Reboot { timeout } => Intent::Reboot { timeout: guest_patience(timeout)? },
    })
}

/// How long a guest may take, within its bounds.
pub(super) fn guest_patience(timeout: Duration) -> Result<Duration, Error> {
    if (Duration::from_secs(1)..=SHUTDOWN_MOST).contains(&timeout) {
        return Ok(timeout);
    }
    Err(Error::invalid("timeout", format!("expected 1 s to 1 h, got {timeout:?}")))
}

fn guest_time(intent: &Intent) -> Duration {
    match intent {
        Intent::Shutdown { timeout, .. } | Intent::Reboot { timeout } => *timeout,
        _ => Duration::ZERO,
    }
}
