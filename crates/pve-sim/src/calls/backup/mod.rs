//! Backups: `vzdump`, restoring, pruning.

use std::time::Duration;

use serde_json::{Value, json};

use super::Plain;
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::Version;
use crate::tasks::Op;
use crate::world::World;
use crate::world::guest::Kind;
use crate::world::storage::{Backup, Key, Volume, volid};

mod dump;
mod extract;
mod member;
mod names;
mod prune;
pub(crate) mod restore_lxc;
pub(crate) mod restore_qemu;
mod select;

/// The handlers of this folder.
pub(crate) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path.strip_prefix("/nodes/{node}")?) {
        ("POST", "/vzdump") => dump::dump,
        ("GET", "/vzdump/defaults") => defaults,
        ("GET", "/vzdump/extractconfig") => extract::extract,
        ("GET", "/storage/{storage}/prunebackups") => prune::preview,
        ("DELETE", "/storage/{storage}/prunebackups") => prune::prune,
        _ => return None,
    })
}

/// `GET /nodes/{node}/vzdump/defaults`
fn defaults(call: &mut Call<'_>) -> Result<Value, Fail> {
    let storage = call.params.get("storage").unwrap_or("local");
    let found = call.world.storage_on(call.params.node(), storage)?;
    let rules = found.options.get("prune-backups").map_or(prune::KEEP_ALL, String::as_str);
    let mut row = json!({
        "all": 0, "bwlimit": 0, "compress": "0", "dumpdir": format!("{}/dump", found.path()),
        "fleecing": {"enabled": 0}, "ionice": 7, "lockwait": 180, "mailnotification": "always",
        "mode": "snapshot", "notification-mode": "auto",
        "performance": {"max-workers": 16, "pbs-entries-max": 1_048_576}, "pigz": 0,
        "prune-backups": rules, "quiet": 0, "remove": 1, "stdexcludes": 1, "stop": 0,
        "stopwait": 10, "storage": storage, "zstd": 1,
    });
    if call.world.version == Version::V8_4 {
        row["notification-policy"] = json!("always");
    }
    Ok(row)
}

/// A backup by its volume id.
fn find(world: &World, node: &str, volume: &str) -> Result<(Key, Backup), String> {
    let (key, found) = world.volume_at(node, volume)?;
    match &found.backup {
        Some(backup) => Ok((key, (**backup).clone())),
        None => Err(format!("'{volume}' is not a backup of a guest")),
    }
}

/// What the backend frees with a volume: a backup's disks lie beside its archive.
pub(crate) fn frees(key: &Key, volume: &Volume) -> Vec<Op> {
    let archive = volid(key);
    let Some(backup) = &volume.backup else { return vec![Op::Free { volume: archive }] };
    let disks = backup.disks.iter();
    disks.map(|disk| Op::Free { volume: member::name(&archive, &disk.device) }).collect()
}

/// Fills in what the name of a seeded backup says: guest, time and format. Its
/// guest had a name and nothing else.
pub(crate) fn plant(name: &str, volume: &mut Volume) {
    let Some(found) = name.strip_prefix("backup/").and_then(names::parse) else { return };
    let key = if found.kind == Kind::Qemu { "name" } else { "hostname" };
    let config = [(key.to_owned(), format!("guest{}", found.vmid))].into();
    volume.vmid = Some(found.vmid);
    volume.created = Duration::from_secs(found.time);
    volume.format = found.format;
    let kind = found.kind;
    volume.backup = Some(Box::new(Backup { kind, config, disks: Vec::new(), boot: None }));
}

/// Refuses to remove a protected backup.
pub(crate) fn check_removal(key: &Key, volume: &Volume) -> Result<(), String> {
    if !volume.protected {
        return Ok(());
    }
    Err(format!("cannot remove protected volume '{}' on '{}'", key.2, key.0))
}
