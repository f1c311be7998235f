//! The permission rules of the schema, checked as Proxmox checks them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::fail::Fail;
use crate::schema::Permission;
use crate::world::World;
use crate::world::access::Caller;

/// Refuses a caller who may not call a method with these parameters.
pub(crate) fn check(
    world: &World,
    permission: &Permission,
    caller: &Caller,
    given: &BTreeMap<String, String>,
) -> Result<(), Fail> {
    if caller.is_root() {
        return Ok(());
    }
    match permission {
        Permission::World | Permission::All => Ok(()),
        Permission::RootOnly => Err(Fail::denied("user != root@pam")),
        Permission::Check(rule) => evaluate(world, rule, caller, given),
    }
}

fn strings(value: Option<&Value>) -> Vec<&str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

fn evaluate(
    world: &World,
    rule: &Value,
    caller: &Caller,
    given: &BTreeMap<String, String>,
) -> Result<(), Fail> {
    let parts = rule.as_array().map(Vec::as_slice).unwrap_or_default();
    let kind = parts.first().and_then(Value::as_str).unwrap_or_default();
    match kind {
        "and" => parts[1..].iter().try_for_each(|part| evaluate(world, part, caller, given)),
        "or" => {
            let fits = parts[1..].iter().any(|part| evaluate(world, part, caller, given).is_ok());
            if fits { Ok(()) } else { Err(Fail::denied("")) }
        }
        "perm" => {
            let options = strings_after(parts, 3);
            if let Some(required) = options.get("require_param")
                && !given.contains_key(required)
            {
                return Err(Fail::denied(""));
            }
            let path = fill(parts.get(1).and_then(Value::as_str).unwrap_or_default(), given);
            let privileges = strings(parts.get(2));
            let any = options.contains_key("any");
            require(world, caller, &path, &privileges, any)
        }
        "userid-param" => {
            let user = given.get("userid").map_or("", String::as_str);
            if parts.get(1).and_then(Value::as_str) == Some("self") {
                return if user == caller.user { Ok(()) } else { Err(Fail::denied("")) };
            }
            let realm = user.rsplit_once('@').map_or("", |(_, realm)| realm);
            require(
                world,
                caller,
                &format!("/access/realm/{realm}"),
                &["Realm.AllocateUser"],
                false,
            )
        }
        "userid-group" => userid_group(world, caller, parts, given),
        "perm-modify" => {
            let path = given.get("path").map_or("/", String::as_str);
            require(world, caller, path, &["Permissions.Modify"], false)
        }
        _ => Err(Fail::denied("")),
    }
}

/// Rights on all groups, or on a group of the user that the call is about (and
/// on every group that it puts the user into).
fn userid_group(
    world: &World,
    caller: &Caller,
    parts: &[Value],
    given: &BTreeMap<String, String>,
) -> Result<(), Fail> {
    let privileges = strings(parts.get(1));
    let text = |name: &str| given.get(name).map(String::as_str).unwrap_or_default();
    let groups_param = parts.get(3).and_then(Value::as_str);
    let user = world.access.users.get(text("userid"));
    if groups_param != Some("create") && user.is_none() {
        return Err(Fail::new(format!("no such user ('{}')", text("userid"))));
    }
    if world.may_any(caller, "/access/groups", &privileges) {
        return Ok(());
    }
    let on = |group: &str| world.may_any(caller, &format!("/access/groups/{group}"), &privileges);
    if groups_param.is_some() {
        let given: Vec<&str> =
            text("groups").split([',', ';', ' ']).filter(|name| !name.is_empty()).collect();
        if given.is_empty() {
            return require(world, caller, "/access/groups", &privileges, true);
        }
        for group in given.into_iter().filter(|group| !on(group)) {
            require(world, caller, &format!("/access/groups/{group}"), &privileges, true)?;
        }
    }
    match user {
        Some(user) if !user.groups.iter().any(|group| on(group)) => {
            require(world, caller, "/access/groups", &privileges, true)
        }
        _ => Ok(()),
    }
}

/// The options behind a `perm` rule: alternating names and values.
fn strings_after(parts: &[Value], from: usize) -> BTreeMap<String, String> {
    let rest = parts.get(from..).unwrap_or_default();
    rest.chunks(2)
        .filter_map(|pair| {
            let name = pair.first()?.as_str()?;
            let value = pair
                .get(1)
                .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            Some((name.to_owned(), value.unwrap_or_default()))
        })
        .collect()
}

fn fill(template: &str, given: &BTreeMap<String, String>) -> String {
    let mut path = template.to_owned();
    for (name, value) in given {
        path = path.replace(&format!("{{{name}}}"), value);
    }
    path
}

/// Requires privileges on a path: all of them, or any. The texts are Proxmox's.
pub(crate) fn require(
    world: &World,
    caller: &Caller,
    path: &str,
    privileges: &[&str],
    any: bool,
) -> Result<(), Fail> {
    if any {
        if world.may_any(caller, path, privileges) {
            return Ok(());
        }
        return Err(Fail::denied(format!("{path}, {}", privileges.join("|"))));
    }
    match privileges.iter().find(|privilege| !world.may(caller, path, privilege)) {
        Some(missing) => Err(Fail::denied(format!("{path}, {missing}"))),
        None => Ok(()),
    }
}
