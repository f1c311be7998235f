//! `/access/groups`

use serde_json::{Value, json};

use crate::calls::Plain;
use crate::engine::Call;
use crate::fail::Fail;
use crate::world::access::Access;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path) {
        ("GET", "/groups") => list,
        ("POST", "/groups") => create,
        ("GET", "/groups/{groupid}") => read,
        ("PUT", "/groups/{groupid}") => update,
        ("DELETE", "/groups/{groupid}") => delete,
        _ => return None,
    })
}

fn members<'a>(access: &'a Access, group: &str) -> Vec<&'a str> {
    let of_group = access.users.iter().filter(|(_, user)| user.groups.contains(group));
    of_group.map(|(id, _)| id.as_str()).collect()
}

fn list(call: &mut Call<'_>) -> Result<Value, Fail> {
    let privileges = ["User.Modify", "Sys.Audit", "Group.Allocate"];
    let mut rows = Vec::new();
    for (id, comment) in &call.world.access.groups {
        let path = format!("/access/groups/{id}");
        if !call.world.may_any(call.caller, &path, &privileges) {
            continue;
        }
        let mut row = json!({"groupid": id, "users": members(&call.world.access, id).join(",")});
        if let Some(comment) = comment {
            row["comment"] = json!(comment);
        }
        rows.push(row);
    }
    Ok(Value::Array(rows))
}

fn create(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("groupid").to_owned();
    if call.world.access.groups.contains_key(&id) {
        return Err(Fail::new(format!("create group failed: group '{id}' already exists")));
    }
    let comment = call.params.get("comment").map(str::to_owned);
    call.world.access.groups.insert(id, comment);
    Ok(Value::Null)
}

fn read(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("groupid");
    let found = call.world.access.groups.get(id);
    let comment = found.ok_or_else(|| Fail::new(format!("group '{id}' does not exist")))?;
    let mut row = json!({"members": members(&call.world.access, id)});
    if let Some(comment) = comment {
        row["comment"] = json!(comment);
    }
    Ok(row)
}

fn update(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("groupid");
    let found = call.world.access.groups.get_mut(id);
    let comment = found
        .ok_or_else(|| Fail::new(format!("update group failed: group '{id}' does not exist")))?;
    if let Some(text) = call.params.get("comment") {
        *comment = Some(text.to_owned());
    }
    Ok(Value::Null)
}

fn delete(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("groupid");
    let access = &mut call.world.access;
    if access.groups.remove(id).is_none() {
        return Err(Fail::new(format!("delete group failed: group '{id}' does not exist")));
    }
    for user in access.users.values_mut() {
        user.groups.remove(id);
    }
    let subject = format!("@{id}");
    access.entries.retain(|entry| entry.subject != subject);
    Ok(Value::Null)
}
