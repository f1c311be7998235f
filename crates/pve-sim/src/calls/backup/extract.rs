//! `GET /nodes/{node}/vzdump/extractconfig`, and configurations as text.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::engine::Call;
use crate::fail::Fail;
use crate::world::guest::Config;

/// The configuration in a backup.
pub(super) fn extract(call: &mut Call<'_>) -> Result<Value, Fail> {
    let volume = call.params.text("volume");
    let storage = volume.split(':').next().unwrap_or_default();
    let (key, backup) = super::find(call.world, call.params.node(), volume)?;
    let owner = call.world.volumes.get(&key).and_then(|volume| volume.vmid);
    let path = format!("/storage/{storage}");
    if !call.may(&path, "Datastore.Allocate") {
        call.require(&path, "Datastore.AllocateSpace")?;
        if let Some(vmid) = owner {
            call.require(&format!("/vms/{vmid}"), "VM.Backup")?;
        }
    }
    Ok(json!(text(&backup.config)))
}

/// A configuration file: the description as comments, then the options.
pub(super) fn text(config: &Config) -> String {
    let mut text = String::new();
    for line in config.get("description").into_iter().flat_map(|text| text.lines()) {
        let _ = writeln!(text, "#{line}");
    }
    for (key, value) in config.iter().filter(|(key, _)| *key != "description") {
        let _ = writeln!(text, "{key}: {value}");
    }
    text
}
