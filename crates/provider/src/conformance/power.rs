//! Power.

use std::time::Duration;

use model::{Intent, PowerState};

use super::Harness;
use super::hand::{Made, same};

pub(super) async fn wishes_that_are_fulfilled_succeed(harness: &dyn Harness) {
    let timeout = Duration::from_secs(60);
    let shutdown = Intent::Shutdown { timeout, force: true };
    let mut made = Made::made(harness).await;
    for (intent, power) in [
        (Intent::Start, PowerState::Running),
        (Intent::Stop, PowerState::Stopped),
        (Intent::Stop, PowerState::Stopped),
        (shutdown.clone(), PowerState::Stopped),
        (Intent::Start, PowerState::Running),
        (Intent::Start, PowerState::Running),
        (Intent::Reboot { timeout }, PowerState::Running),
        (shutdown, PowerState::Stopped),
        (Intent::Start, PowerState::Running),
    ] {
        let was = power_of(harness, &made).await;
        let before = harness.dump().await;
        made.fulfil(harness, &intent).await;
        let name = intent.name();
        let is = power_of(harness, &made).await;
        assert!(is == power, "after {name} of a guest that was {was:?} it is {power:?}: {is:?}");
        if was == power && !matches!(intent, Intent::Reboot { .. }) {
            let fact = format!("{name} of a guest that is {was:?} changes nothing");
            same(&before, &harness.dump().await, &fact);
        }
    }
    made.destroy(harness).await;
}

async fn power_of(harness: &dyn Harness, made: &Made) -> PowerState {
    let provider = harness.provider();
    let batch = provider.observe().await;
    let Ok(batch) = batch else { panic!("the cloud can be observed: {batch:?}") };
    let key = provider.guest_key(&made.native);
    let seen = batch.guests.iter().find(|guest| Some(&guest.key) == key.as_ref());
    seen.map_or(PowerState::Unknown, |guest| guest.power)
}
