//! Another size: cores, memory, a larger root disk.

use std::sync::Arc;

use engine::Kind;
use model::{DiskSpec, Instance, Intent, Timestamp};
use store::InstanceUpdate;

use super::Next;
use super::by_intent::{ByIntent, Does};
use super::runner::Runner;
use crate::house::Core;

/// The name and version of the workflow that resizes an instance.
pub fn resize_kind() -> Kind {
    Kind::new("instance.resize", 1)
}

pub(super) fn workflow(core: &Arc<Core>) -> Arc<Runner<ByIntent>> {
    ByIntent::runner(core, Does { kind: resize_kind(), next, done: |_| InstanceUpdate::default() })
}

fn next(instance: &Instance, intent: &Intent, _now: Timestamp) -> Next {
    let Intent::Resize(resize) = intent else { return Next::default() };
    Next::spec(instance, |spec| {
        (spec.cores, spec.memory, spec.flavour) = (resize.cores, resize.memory, resize.flavour);
        if let Some(size) = resize.root_disk {
            match spec.disks.first_mut() {
                Some(root) => root.size = size,
                None => spec.disks.push(DiskSpec { size }),
            }
        }
    })
}
