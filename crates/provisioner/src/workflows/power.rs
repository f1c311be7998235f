//! Start, stop, shutdown and reboot: one plan of the provider.

use std::sync::Arc;

use engine::Kind;
use model::{Intent, PowerState};
use store::InstanceUpdate;

use super::by_intent::{ByIntent, IntentInput};
use super::runner::Runner;
use crate::house::Core;

/// The name and version of the workflow that changes an instance's power.
pub fn power_kind() -> Kind {
    Kind::new("instance.power", 1)
}

pub(super) fn workflow(core: &Arc<Core>) -> Arc<Runner<ByIntent>> {
    ByIntent::runner(core, power_kind(), done)
}

fn done(input: &IntentInput) -> InstanceUpdate {
    let power = match input.intent {
        Intent::Stop | Intent::Shutdown { .. } => PowerState::Stopped,
        _ => PowerState::Running,
    };
    InstanceUpdate { power: Some(power), ..InstanceUpdate::default() }
}
