//! Reading the configuration of either kind of guest: `…/config` and `…/pending`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::Family;
use crate::calls::{lxc, qemu};
use crate::engine::Call;
use crate::fail::Fail;
use crate::world::World;
use crate::world::guest::{Config, Guest, Kind};

fn guest<'a, F: Family>(call: &'a Call<'_>) -> Result<&'a Guest, Fail> {
    call.world.guest_at(F::KIND, call.params.node(), call.params.vmid())
}

/// An option as the API shows it.
fn shown(world: &World, kind: Kind, key: &str, text: &str) -> Value {
    match kind {
        Kind::Qemu => qemu::options::shown(world, key, text),
        Kind::Lxc => lxc::options::shown(world, key, text),
    }
}

/// A configuration as the API shows it.
pub(crate) fn show(world: &World, kind: Kind, config: &Config) -> Map<String, Value> {
    config.iter().map(|(key, text)| (key.clone(), shown(world, kind, key, text))).collect()
}

/// `GET …/config`: pending values unless `current=1` (fact 52).
pub(crate) fn read<F: Family>(call: &mut Call<'_>) -> Result<Value, Fail> {
    let guest = guest::<F>(call)?;
    let mut config = guest.config.clone();
    if let Some(name) = call.params.get("snapshot") {
        return of_snapshot::<F>(call, guest, name);
    }
    if !call.params.flag("current") {
        for (key, value) in &guest.pending {
            match value {
                Some(value) => config.insert(key.clone(), value.clone()),
                None => config.remove(key),
            };
        }
    }
    let mut row = show(call.world, F::KIND, &config);
    if let Some(parent) = &guest.parent {
        row.insert("parent".into(), json!(parent));
    }
    row.insert("digest".into(), json!(guest.digest()));
    Ok(Value::Object(row))
}

/// `GET …/config?snapshot=…`: the section of the snapshot, with its own parent,
/// time and description.
fn of_snapshot<F: Family>(call: &Call<'_>, guest: &Guest, name: &str) -> Result<Value, Fail> {
    if call.params.flag("current") {
        let mut fail = Fail::parameter("snapshot", CURRENT);
        fail.errors.insert("current".into(), CURRENT.into());
        return Err(fail);
    }
    let snapshot = guest.snapshots.get(name);
    let snapshot =
        snapshot.ok_or_else(|| Fail::new(format!("snapshot '{name}' does not exist")))?;
    let mut row = show(call.world, F::KIND, &snapshot.config);
    row.insert("snaptime".into(), json!(snapshot.time.as_secs()));
    if let Some(parent) = &snapshot.parent {
        row.insert("parent".into(), json!(parent));
    }
    if !snapshot.description.is_empty() {
        row.insert("description".into(), json!(snapshot.description));
    }
    row.insert("digest".into(), json!(guest.digest()));
    Ok(Value::Object(row))
}

/// From memory of Proxmox's text.
const CURRENT: &str = "cannot use 'snapshot' parameter with 'current'";

/// `GET …/pending`
pub(crate) fn pending<F: Family>(call: &mut Call<'_>) -> Result<Value, Fail> {
    let guest = guest::<F>(call)?;
    let keys: BTreeSet<&String> = guest.config.keys().chain(guest.pending.keys()).collect();
    let mut rows = Vec::new();
    for key in keys {
        let mut row = json!({"key": key});
        if let Some(text) = guest.config.get(key) {
            row["value"] = shown(call.world, F::KIND, key, text);
        }
        match guest.pending.get(key) {
            Some(Some(text)) => row["pending"] = shown(call.world, F::KIND, key, text),
            Some(None) => row["delete"] = json!(1),
            None => {}
        }
        rows.push(row);
    }
    rows.push(json!({"key": "digest", "value": guest.digest()}));
    Ok(Value::Array(rows))
}

/// The names in a list parameter.
pub(crate) fn list(text: Option<&str>) -> Vec<String> {
    text.unwrap_or_default()
        .split([',', ';', ' ', '\0'])
        .filter(|key| !key.is_empty())
        .map(str::to_owned)
        .collect()
}
