//! Snapshots: take one, go back to one, delete one.

use std::sync::Arc;

use engine::Kind;
use model::{Instance, InstanceSpec, Intent, Snapshot, Timestamp};
use store::InstanceUpdate;

use super::Next;
use super::by_intent::{ByIntent, Does};
use super::runner::Runner;
use crate::house::Core;

/// The name and version of the workflow that works on an instance's snapshots.
pub fn snapshot_kind() -> Kind {
    Kind::new("instance.snapshot", 1)
}

pub(super) fn workflow(core: &Arc<Core>) -> Arc<Runner<ByIntent>> {
    ByIntent::runner(core, Does { kind: snapshot_kind(), next, done })
}

fn next(instance: &Instance, intent: &Intent, now: Timestamp) -> Next {
    let mut snapshots = instance.snapshots.clone();
    let mut next = Next::default();
    match intent {
        Intent::TakeSnapshot { name, description, memory, .. } => snapshots.add(Snapshot {
            name: name.clone(),
            description: description.clone(),
            memory: *memory,
            parent: None,
            created_at: now,
            spec: Box::new(instance.spec.clone()),
        }),
        Intent::RollBack { name } => {
            snapshots.current = Some(name.clone());
            if let Some(snapshot) = instance.snapshots.get(name) {
                next = Next::spec(instance, |spec| go_back(spec, &snapshot.spec));
            }
        }
        Intent::DropSnapshot { name } => snapshots.remove(name),
        _ => {}
    }
    next.snapshots = Some(snapshots);
    next
}

/// Labels and description are no part of a snapshot.
fn go_back(spec: &mut InstanceSpec, then: &InstanceSpec) {
    let (labels, description) =
        (std::mem::take(&mut spec.labels), std::mem::take(&mut spec.description));
    *spec = InstanceSpec { labels, description, ..then.clone() };
}

fn done(intent: &Intent) -> InstanceUpdate {
    // What waited for a start is gone with the rest.
    let pending = matches!(intent, Intent::RollBack { .. }).then(Vec::new);
    InstanceUpdate { pending, ..InstanceUpdate::default() }
}
