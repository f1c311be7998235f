//! Name, description, tags, protection, expiry.

use std::sync::Arc;

use engine::Kind;
use model::{Instance, Intent, Timestamp};
use store::InstanceUpdate;

use super::Next;
use super::by_intent::{ByIntent, Does};
use super::runner::Runner;
use crate::house::Core;

/// The name and version of the workflow that edits an instance.
pub fn edit_kind() -> Kind {
    Kind::new("instance.edit", 1)
}

pub(super) fn workflow(core: &Arc<Core>) -> Arc<Runner<ByIntent>> {
    ByIntent::runner(core, Does { kind: edit_kind(), next, done: |_| InstanceUpdate::default() })
}

fn next(instance: &Instance, intent: &Intent, _now: Timestamp) -> Next {
    let Intent::Edit(edit) = intent else { return Next::default() };
    let edit = edit.clone();
    Next::spec(instance, |spec| {
        spec.name = edit.name.unwrap_or(std::mem::take(&mut spec.name));
        spec.description = edit.description.unwrap_or(std::mem::take(&mut spec.description));
        spec.tags = edit.tags.unwrap_or(std::mem::take(&mut spec.tags));
        spec.protected = edit.protected.unwrap_or(spec.protected);
        spec.expires_at = edit.expires_at.unwrap_or(spec.expires_at);
        let groups = std::mem::take(&mut spec.security_groups);
        spec.security_groups = edit.security_groups.unwrap_or(groups);
    })
}
