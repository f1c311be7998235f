//! `/cluster/sdn/lock` and `/cluster/sdn/rollback` (9.2): one client at a time
//! changes the virtual networks, and takes back what it has not applied.

use serde_json::{Value, json};

use crate::calls::Plain;
use crate::engine::Call;
use crate::fail::Fail;
use crate::world::World;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path) {
        ("POST", "/sdn/lock") => take,
        ("DELETE", "/sdn/lock") => give_back,
        ("POST", "/sdn/rollback") => rollback,
        _ => return None,
    })
}

/// Refuses a change while somebody else holds the lock.
pub(super) fn check(call: &Call<'_>) -> Result<(), Fail> {
    match (&call.world.sdn_lock, call.params.get("lock-token")) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(Fail::new("no lock token set, but a lock token was provided")),
        (Some(held), Some(given)) if held == given => Ok(()),
        (Some(_), Some(_)) => Err(Fail::new("invalid lock token provided")),
        (Some(_), None) => Err(Fail::new("SDN configuration is locked, no lock token provided")),
    }
}

/// Ends the lock of a call that says so, which is the default.
pub(super) fn release(call: &mut Call<'_>) {
    if call.params.get("release-lock").is_none() || call.params.flag("release-lock") {
        call.world.sdn_lock = None;
    }
}

fn take(call: &mut Call<'_>) -> Result<Value, Fail> {
    if call.world.sdn_lock.is_some() {
        return Err(Fail::new("SDN configuration is already locked"));
    }
    if call.world.sdn_pending && !call.params.flag("allow-pending") {
        return Err(Fail::new("configuration contains pending changes"));
    }
    let token = call.world.uuid();
    call.world.sdn_lock = Some(token.clone());
    Ok(json!(token))
}

fn give_back(call: &mut Call<'_>) -> Result<Value, Fail> {
    if !call.params.flag("force") {
        check(call)?;
    }
    call.world.sdn_lock = None;
    Ok(Value::Null)
}

fn rollback(call: &mut Call<'_>) -> Result<Value, Fail> {
    check(call)?;
    let World { sections, sdn_applied, .. } = &mut *call.world;
    sections.restore("sdn/", sdn_applied);
    call.world.sdn_pending = false;
    release(call);
    Ok(Value::Null)
}
