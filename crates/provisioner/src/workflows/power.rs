//! Start, stop, shutdown and reboot: one plan of the provider.

use std::sync::Arc;

use engine::Kind;
use model::{Intent, PowerState};
use store::InstanceUpdate;

use super::Next;
use super::by_intent::{ByIntent, Does};
use super::runner::Runner;
use crate::house::Core;

/// The name and version of the workflow that changes an instance's power.
pub fn power_kind() -> Kind {
    Kind::new("instance.power", 1)
}

pub(super) fn workflow(core: &Arc<Core>) -> Arc<Runner<ByIntent>> {
    let next = |_: &_, _: &_, _| Next::default();
    ByIntent::runner(core, Does { kind: power_kind(), next, done })
}

fn done(intent: &Intent) -> InstanceUpdate {
    match intent {
        Intent::Stop | Intent::Shutdown { .. } => {
            InstanceUpdate { power: Some(PowerState::Stopped), ..InstanceUpdate::default() }
        }
        // With the start comes what waited for it.
        _ => InstanceUpdate {
            power: Some(PowerState::Running),
            pending: Some(Vec::new()),
            ..InstanceUpdate::default()
        },
    }
}
