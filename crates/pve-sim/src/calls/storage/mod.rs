//! `/storage` and `/nodes/{node}/storage`: configuration, figures, volumes,
//! uploads and downloads.

use super::Plain;
use crate::engine::Call;

mod config;
mod content;
mod download;
mod figures;
mod kinds;
mod upload;

/// The handlers of this folder.
pub(crate) fn handler(verb: &str, path: &str) -> Option<Plain> {
    if let Some(rest) = path.strip_prefix("/nodes/{node}/storage") {
        return figures::handler(verb, rest)
            .or_else(|| content::handler(verb, rest))
            .or_else(|| upload::handler(verb, rest))
            .or_else(|| download::handler(verb, rest));
    }
    config::handler(verb, path)
}

/// Whether the caller may know about a storage.
fn may_see(call: &Call<'_>, id: &str) -> bool {
    call.world.may_any(
        call.caller,
        &format!("/storage/{id}"),
        &["Datastore.Audit", "Datastore.AllocateSpace"],
    )
}
