//! `/access/users` and `/access/password`

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::tokens::{show_token, show_token_info};
use super::{Plain, domains};
use crate::calls::sections::words;
use crate::engine::Call;
use crate::fail::Fail;
use crate::world::access::User;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path) {
        ("GET", "/users") => list,
        ("POST", "/users") => create,
        ("GET", "/users/{userid}") => read,
        ("PUT", "/users/{userid}") => update,
        ("DELETE", "/users/{userid}") => delete,
        ("PUT", "/password") => change_password,
        _ => return None,
    })
}

/// The user that a call names.
pub(super) fn user<'a>(call: &'a Call<'_>) -> Result<&'a User, Fail> {
    let id = call.params.text("userid");
    call.world.access.users.get(id).ok_or_else(|| Fail::new(format!("no such user ('{id}')")))
}

fn realm_of(id: &str) -> &str {
    id.rsplit_once('@').map_or("", |(_, realm)| realm)
}

fn texts(user: &User) -> [(&'static str, &Option<String>); 5] {
    [
        ("comment", &user.comment),
        ("email", &user.email),
        ("firstname", &user.firstname),
        ("lastname", &user.lastname),
        ("keys", &user.keys),
    ]
}

/// Whether the caller may see a user: by rights on all groups or on one of the
/// user's own. A token is not its user and sees it only by such rights (recorded).
fn may_see(call: &Call<'_>, id: &str, user: &User) -> bool {
    let privileges = ["User.Modify", "Sys.Audit"];
    let on = |path: &str| call.world.may_any(call.caller, path, &privileges);
    id == call.caller.id()
        || on("/access/groups")
        || user.groups.iter().any(|group| on(&format!("/access/groups/{group}")))
}

fn list(call: &mut Call<'_>) -> Result<Value, Fail> {
    let full = call.params.flag("full");
    let enabled = call.params.get("enabled").map(|text| text == "1");
    let mut rows = Vec::new();
    for (id, user) in &call.world.access.users {
        if !may_see(call, id, user) || enabled.is_some_and(|wanted| wanted != user.enabled) {
            continue;
        }
        let mut row = json!({
            "userid": id, "enable": u8::from(user.enabled), "expire": user.expire,
            "realm-type": domains::kind(call.world, realm_of(id)),
        });
        for (key, text) in texts(user) {
            if let Some(text) = text {
                row[key] = json!(text);
            }
        }
        if full {
            let groups: Vec<&str> = user.groups.iter().map(String::as_str).collect();
            row["groups"] = json!(groups.join(","));
            row["tokens"] = user.tokens.iter().map(|(id, token)| show_token(id, token)).collect();
        }
        rows.push(row);
    }
    Ok(Value::Array(rows))
}

fn set(user: &mut User, call: &Call<'_>) {
    let text = |name: &str| call.params.get(name).map(str::to_owned);
    for (slot, name) in [
        (&mut user.comment, "comment"),
        (&mut user.email, "email"),
        (&mut user.firstname, "firstname"),
        (&mut user.lastname, "lastname"),
        (&mut user.keys, "keys"),
        (&mut user.password, "password"),
    ] {
        if let Some(text) = text(name) {
            *slot = Some(text);
        }
    }
    if call.params.get("enable").is_some() {
        user.enabled = call.params.flag("enable");
    }
    if let Some(expire) = call.params.number("expire") {
        user.expire = expire;
    }
    if let Some(groups) = call.params.get("groups") {
        let given: BTreeSet<String> = words(groups).map(str::to_owned).collect();
        if call.params.flag("append") {
            user.groups.extend(given);
        } else {
            user.groups = given;
        }
    }
}

/// Groups must exist.
fn check_groups(call: &Call<'_>, what: &str) -> Result<(), Fail> {
    let groups = &call.world.access.groups;
    match words(call.params.text("groups")).find(|name| !groups.contains_key(*name)) {
        Some(name) => Err(Fail::new(format!("{what} user failed: no such group '{name}'"))),
        None => Ok(()),
    }
}

fn create(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("userid").to_owned();
    let realm = realm_of(&id);
    if !domains::exists(call.world, realm) {
        return Err(Fail::new(format!("create user failed: auth domain '{realm}' does not exist")));
    }
    if call.world.access.users.contains_key(&id) {
        return Err(Fail::new(format!("create user failed: user '{id}' already exists")));
    }
    check_groups(call, "create")?;
    let mut user = User { enabled: true, ..User::default() };
    set(&mut user, call);
    call.world.access.users.insert(id, user);
    Ok(Value::Null)
}

fn read(call: &mut Call<'_>) -> Result<Value, Fail> {
    let user = user(call)?;
    let mut row =
        json!({"enable": u8::from(user.enabled), "expire": user.expire, "groups": user.groups});
    for (key, text) in texts(user) {
        if let Some(text) = text {
            row[key] = json!(text);
        }
    }
    let tokens: Map<String, Value> =
        user.tokens.iter().map(|(id, token)| (id.clone(), show_token_info(token))).collect();
    row["tokens"] = if tokens.is_empty() { Value::Null } else { Value::Object(tokens) };
    Ok(row)
}

fn update(call: &mut Call<'_>) -> Result<Value, Fail> {
    let mut changed =
        user(call).map_err(|fail| Fail::new(format!("update user failed: {}", fail.text)))?.clone();
    check_groups(call, "update")?;
    set(&mut changed, call);
    call.world.access.users.insert(call.params.text("userid").to_owned(), changed);
    Ok(Value::Null)
}

/// Removes a user with everything that refers to it. A missing one is no error
/// here (fact 82); the permission check refuses it to all but root.
fn delete(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("userid");
    let access = &mut call.world.access;
    // root is written into the file again whenever it is read.
    if id != "root@pam" {
        access.users.remove(id);
    }
    let token = format!("{id}!");
    access.entries.retain(|entry| entry.subject != id && !entry.subject.starts_with(&token));
    Ok(Value::Null)
}

/// Sets a password. Others than root confirm with their own, from 8.2 on.
fn change_password(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (id, caller) = (call.params.text("userid"), call.caller.user.clone());
    user(call)?;
    if id == "root@pam" && !call.caller.is_root() {
        return Err(Fail::denied(""));
    }
    if !call.caller.is_root() {
        let Some(given) = call.params.get("confirmation-password") else {
            let text = "confirmation-password is required to change a password";
            return Err(Fail::parameter("confirmation-password", text));
        };
        let own = call.world.access.users.get(&caller).and_then(|user| user.password.as_deref());
        if own != Some(given) {
            return Err(Fail::with(401, "authentication failure"));
        }
    }
    let kind = domains::kind(call.world, realm_of(id));
    if !matches!(kind.as_str(), "pam" | "pve") {
        return Err(Fail::new(format!("can't set password on auth type '{kind}'")));
    }
    let password = call.params.text("password").to_owned();
    if let Some(user) = call.world.access.users.get_mut(id) {
        user.password = Some(password);
    }
    Ok(Value::Null)
}
