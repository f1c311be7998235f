//! `/access/ticket` and `/access/permissions`

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::Plain;
use crate::engine::{Call, authenticate};
use crate::fail::Fail;
use crate::world::World;
use crate::world::access::Caller;

/// The handlers of this file.
pub(crate) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path) {
        ("GET", "/access/ticket") => |_| Ok(Value::Null),
        ("POST", "/access/ticket") => login,
        ("GET", "/access/permissions") => permissions,
        _ => return None,
    })
}

/// A password, or a ticket: one's own to renew it, root's for anybody (fact 24).
fn login(call: &mut Call<'_>) -> Result<Value, Fail> {
    let mut user = call.params.text("username").to_owned();
    if let Some(realm) = call.params.get("realm")
        && !user.contains('@')
    {
        user = format!("{user}@{realm}");
    }
    let password = call.params.text("password");
    let world = &*call.world;
    let known = world.access.users.get(&user);
    let by_password =
        known.and_then(|user| user.password.as_deref()).is_some_and(|known| known == password);
    let by_ticket = authenticate::verify(world, password)
        .is_some_and(|owner| owner == user || owner == "root@pam");
    if !(world.access.is_active(&user, world.now) && (by_password || by_ticket)) {
        return Err(Fail::with(401, "authentication failure"));
    }
    let caller = Caller { user: user.clone(), token: None };
    if let Some(path) = call.params.get("path") {
        let mut privileges = call.params.text("privs").split([',', ' ', ';']);
        if let Some(missing) = privileges.find(|privilege| !world.may(&caller, path, privilege)) {
            return Err(Fail::denied(format!("{path}, {missing}")));
        }
    }
    if call.params.get("path").is_some() {
        // A question about privileges is answered without a ticket.
        return Ok(json!({"username": user, "cap": capabilities(world, &caller)}));
    }
    let (ticket, csrf) = authenticate::issue(world, &user);
    let mut row = json!({
        "ticket": ticket, "CSRFPreventionToken": csrf, "username": user, "cap": capabilities(world, &caller),
    });
    if let Some(name) = &world.cluster_name {
        row["clustername"] = json!(name);
    }
    Ok(row)
}

/// Privileges by area, as the web interface uses them.
fn capabilities(world: &World, caller: &Caller) -> Value {
    let areas = [
        ("vms", "/vms", "VM."),
        ("storage", "/storage", "Datastore."),
        ("access", "/access", "User."),
        ("nodes", "/nodes", "Sys."),
        ("sdn", "/sdn", "SDN."),
        ("dc", "/", "Sys."),
        ("mapping", "/mapping", "Mapping."),
    ];
    let mut found = Map::new();
    for (area, path, stem) in areas {
        let all = world.privileges(caller, path);
        let of_area = all
            .keys()
            .filter(|privilege| privilege.starts_with(stem) || *privilege == "Permissions.Modify");
        found.insert(
            area.into(),
            Value::Object(of_area.map(|privilege| (privilege.clone(), json!(1))).collect()),
        );
    }
    Value::Object(found)
}

fn permissions(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    let mut caller = call.caller.clone();
    if let Some(wanted) = call.params.get("userid")
        && wanted != caller.id()
    {
        call.require("/access", "Sys.Audit")?;
        let (user, token) = wanted
            .split_once('!')
            .map_or((wanted, None), |(user, token)| (user, Some(token.to_owned())));
        caller = Caller { user: user.to_owned(), token };
    }
    let paths: BTreeSet<String> = match call.params.get("path") {
        Some(path) => BTreeSet::from([path.to_owned()]),
        None => {
            let mut paths: BTreeSet<String> =
                ["/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"]
                    .map(str::to_owned)
                    .into();
            paths.extend(world.access.entries.iter().map(|entry| entry.path.clone()));
            for (id, pool) in &world.pools {
                paths.insert(format!("/pool/{id}"));
                paths.extend(pool.guests.iter().map(|vmid| format!("/vms/{vmid}")));
            }
            paths
        }
    };
    let single = call.params.get("path").is_some();
    let mut rows: BTreeMap<String, Value> = BTreeMap::new();
    for path in paths {
        let found: Map<String, Value> = world
            .privileges(&caller, &path)
            .into_iter()
            .map(|(privilege, propagates)| (privilege, json!(u8::from(propagates))))
            .collect();
        if single || !found.is_empty() {
            rows.insert(path, Value::Object(found));
        }
    }
    Ok(json!(rows))
}
