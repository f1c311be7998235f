//! `/access/permissions`

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::calls::Plain;
use crate::engine::Call;
use crate::fail::Fail;
use crate::world::access::Caller;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    (verb == "GET" && path == "/permissions").then_some(permissions)
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
