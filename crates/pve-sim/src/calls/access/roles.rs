//! `/access/roles`

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::calls::Plain;
use crate::calls::sections::words;
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::Version;
use crate::world::access::Access;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path) {
        ("GET", "/roles") => list_roles,
        ("POST", "/roles") => create_role,
        ("GET", "/roles/{roleid}") => read_role,
        ("PUT", "/roles/{roleid}") => update_role,
        ("DELETE", "/roles/{roleid}") => delete_role,
        _ => return None,
    })
}

fn list_roles(call: &mut Call<'_>) -> Result<Value, Fail> {
    let rows = call.world.access.roles.iter().map(|(id, privileges)| {
        let list: Vec<&str> = privileges.iter().map(String::as_str).collect();
        json!({"roleid": id, "privs": list.join(","), "special": u8::from(Access::is_builtin(id))})
    });
    Ok(rows.collect())
}

fn privileges(call: &Call<'_>) -> Result<BTreeSet<String>, Fail> {
    let text = call.params.text("privs");
    let found: BTreeSet<String> = words(text).map(str::to_owned).collect();
    match found.iter().find(|name| !call.world.access.privileges.contains(*name)) {
        Some(unknown) => Err(Fail::parameter(
            "privs",
            format!("invalid format - invalid privilege '{unknown}'\n"),
        )),
        None => Ok(found),
    }
}

fn create_role(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("roleid").to_owned();
    let found = privileges(call)?;
    // Before 8 such names were free (recorded on 6.2).
    if call.world.version >= Version::V8_4 && id.to_uppercase().starts_with("PVE") {
        let text = "cannot use role ID starting with the (case-insensitive) 'PVE' namespace";
        return Err(Fail::parameter("roleid", text));
    }
    if call.world.access.roles.contains_key(&id) {
        return Err(Fail::new(format!("create role failed: role '{id}' already exists")));
    }
    call.world.access.roles.insert(id, found);
    Ok(Value::Null)
}

fn read_role(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("roleid");
    let role = call
        .world
        .access
        .roles
        .get(id)
        .ok_or_else(|| Fail::new(format!("role '{id}' does not exist")))?;
    Ok(Value::Object(role.iter().map(|name| (name.clone(), json!(1))).collect()))
}

fn update_role(call: &mut Call<'_>) -> Result<Value, Fail> {
    let found = privileges(call)?;
    let id = call.params.text("roleid");
    let append = call.params.flag("append");
    if Access::is_builtin(id) {
        return Err(Fail::new(format!("auto-generated role '{id}' cannot be modified")));
    }
    let role = call.world.access.roles.get_mut(id);
    let role =
        role.ok_or_else(|| Fail::new(format!("update role failed: role '{id}' does not exist")))?;
    // Without `append` the privileges are replaced, also by none.
    if !append {
        role.clear();
    }
    role.extend(found);
    Ok(Value::Null)
}

fn delete_role(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("roleid");
    if Access::is_builtin(id) {
        return Err(Fail::new(format!("auto-generated role '{id}' cannot be deleted")));
    }
    let access = &mut call.world.access;
    if access.roles.remove(id).is_none() {
        return Err(Fail::new(format!("delete role failed: role '{id}' does not exist")));
    }
    access.entries.retain(|entry| entry.role != id);
    Ok(Value::Null)
}
