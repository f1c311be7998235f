//! `/access/users`, tokens, roles and the access control list.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::Plain;
use crate::engine::Call;
use crate::fail::Fail;
use crate::world::access::{Access, Entry, Token, User};

/// The handlers of this file.
pub(crate) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path.strip_prefix("/access")?) {
        ("GET", "/users") => list_users,
        ("POST", "/users") => create_user,
        ("GET", "/users/{userid}") => read_user,
        ("PUT", "/users/{userid}") => update_user,
        ("DELETE", "/users/{userid}") => delete_user,
        ("GET", "/users/{userid}/token") => list_tokens,
        ("GET", "/users/{userid}/token/{tokenid}") => read_token,
        ("POST", "/users/{userid}/token/{tokenid}") => create_token,
        ("PUT", "/users/{userid}/token/{tokenid}") => update_token,
        ("DELETE", "/users/{userid}/token/{tokenid}") => delete_token,
        ("GET", "/roles") => list_roles,
        ("POST", "/roles") => create_role,
        ("GET", "/roles/{roleid}") => read_role,
        ("PUT", "/roles/{roleid}") => update_role,
        ("DELETE", "/roles/{roleid}") => delete_role,
        ("GET", "/acl") => list_acl,
        ("PUT", "/acl") => change_acl,
        _ => return None,
    })
}

fn user<'a>(call: &'a Call<'_>) -> Result<&'a User, Fail> {
    let id = call.params.text("userid");
    call.world.access.users.get(id).ok_or_else(|| Fail::new(format!("no such user ('{id}')")))
}

fn realm_type(id: &str) -> &'static str {
    if id.ends_with("@pam") { "pam" } else { "pve" }
}

fn texts(user: &User) -> [(&'static str, &Option<String>); 4] {
    [
        ("comment", &user.comment),
        ("email", &user.email),
        ("firstname", &user.firstname),
        ("lastname", &user.lastname),
    ]
}

fn show_token(id: &str, token: &Token) -> Value {
    let mut row = show_token_info(token);
    row["tokenid"] = json!(id);
    row
}

fn show_token_info(token: &Token) -> Value {
    let mut row = json!({"privsep": u8::from(token.privilege_separation), "expire": token.expire});
    if let Some(comment) = &token.comment {
        row["comment"] = json!(comment);
    }
    row
}

fn list_users(call: &mut Call<'_>) -> Result<Value, Fail> {
    let all = call.may("/access/groups", "User.Modify") || call.may("/access/groups", "Sys.Audit");
    let full = call.params.flag("full");
    let mut rows = Vec::new();
    for (id, user) in
        call.world.access.users.iter().filter(|(id, _)| all || **id == call.caller.user)
    {
        let mut row = json!({
            "userid": id, "enable": u8::from(user.enabled), "expire": user.expire, "realm-type": realm_type(id),
        });
        for (key, text) in texts(user) {
            if let Some(text) = text {
                row[key] = json!(text);
            }
        }
        if full {
            row["groups"] = json!("");
            row["tokens"] = user.tokens.iter().map(|(id, token)| show_token(id, token)).collect();
        }
        rows.push(row);
    }
    Ok(Value::Array(rows))
}

fn set_user(user: &mut User, call: &Call<'_>) {
    let text = |name: &str| call.params.get(name).map(str::to_owned);
    for (slot, name) in [
        (&mut user.comment, "comment"),
        (&mut user.email, "email"),
        (&mut user.firstname, "firstname"),
        (&mut user.lastname, "lastname"),
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
}

fn create_user(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("userid").to_owned();
    let realm = id.rsplit_once('@').map_or("", |(_, realm)| realm);
    if !matches!(realm, "pam" | "pve") {
        return Err(Fail::new(format!("create user failed: auth domain '{realm}' does not exist")));
    }
    if call.world.access.users.contains_key(&id) {
        return Err(Fail::new(format!("create user failed: user '{id}' already exists")));
    }
    let mut user = User { enabled: true, ..User::default() };
    set_user(&mut user, call);
    call.world.access.users.insert(id, user);
    Ok(Value::Null)
}

fn read_user(call: &mut Call<'_>) -> Result<Value, Fail> {
    let user = user(call)?;
    let mut row = json!({"enable": u8::from(user.enabled), "expire": user.expire, "groups": []});
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

fn update_user(call: &mut Call<'_>) -> Result<Value, Fail> {
    let mut changed =
        user(call).map_err(|fail| Fail::new(format!("update user failed: {}", fail.text)))?.clone();
    set_user(&mut changed, call);
    call.world.access.users.insert(call.params.text("userid").to_owned(), changed);
    Ok(Value::Null)
}

fn delete_user(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("userid");
    if call.world.access.users.remove(id).is_none() && !call.caller.is_root() {
        return Err(Fail::new(format!("delete user failed: user '{id}' does not exist")));
    }
    let token = format!("{id}!");
    call.world
        .access
        .entries
        .retain(|entry| entry.subject != id && !entry.subject.starts_with(&token));
    Ok(Value::Null)
}

fn list_tokens(call: &mut Call<'_>) -> Result<Value, Fail> {
    Ok(user(call)?.tokens.iter().map(|(id, token)| show_token(id, token)).collect())
}

fn no_token(call: &Call<'_>) -> Fail {
    Fail::new(format!(
        "no such token '{}' for user '{}'",
        call.params.text("tokenid"),
        call.params.text("userid")
    ))
}

fn read_token(call: &mut Call<'_>) -> Result<Value, Fail> {
    let found = user(call)?.tokens.get(call.params.text("tokenid"));
    found.map(show_token_info).ok_or_else(|| no_token(call))
}

fn create_token(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (user_id, id) =
        (call.params.text("userid").to_owned(), call.params.text("tokenid").to_owned());
    if user(call)?.tokens.contains_key(&id) {
        return Err(Fail::parameter("tokenid", "Token already exists."));
    }
    let secret = call.world.uuid();
    // What was given is echoed as it was sent (fact 17).
    let mut info = Map::new();
    for name in ["comment", "expire", "privsep"] {
        if let Some(text) = call.params.get(name) {
            info.insert(name.into(), json!(text));
        }
    }
    info.entry("privsep").or_insert(json!(1));
    let token = Token {
        secret: secret.clone(),
        privilege_separation: call.params.get("privsep") != Some("0"),
        expire: call.params.number("expire").unwrap_or(0),
        comment: call.params.get("comment").map(str::to_owned),
    };
    if let Some(user) = call.world.access.users.get_mut(&user_id) {
        user.tokens.insert(id.clone(), token);
    }
    Ok(json!({"full-tokenid": format!("{user_id}!{id}"), "value": secret, "info": info}))
}

fn update_token(call: &mut Call<'_>) -> Result<Value, Fail> {
    let params = call.params;
    let missing = no_token(call);
    let user = call.world.access.users.get_mut(params.text("userid"));
    let token = user.and_then(|user| user.tokens.get_mut(params.text("tokenid"))).ok_or(missing)?;
    if params.get("privsep").is_some() {
        token.privilege_separation = params.flag("privsep");
    }
    if let Some(expire) = params.number("expire") {
        token.expire = expire;
    }
    if let Some(comment) = params.get("comment") {
        token.comment = Some(comment.to_owned());
    }
    Ok(show_token_info(token))
}

fn delete_token(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (user_id, id) = (call.params.text("userid"), call.params.text("tokenid"));
    let missing = no_token(call);
    let user = call.world.access.users.get_mut(user_id);
    user.and_then(|user| user.tokens.remove(id)).ok_or(missing)?;
    let subject = format!("{user_id}!{id}");
    call.world.access.entries.retain(|entry| entry.subject != subject);
    Ok(Value::Null)
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
    let found: BTreeSet<String> =
        text.split([',', ';', ' ']).filter(|name| !name.is_empty()).map(str::to_owned).collect();
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
    if id.to_uppercase().starts_with("PVE") {
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
    let gone = call.world.access.roles.remove(id);
    gone.map(|_| Value::Null)
        .ok_or_else(|| Fail::new(format!("delete role failed: role '{id}' does not exist")))
}

fn list_acl(call: &mut Call<'_>) -> Result<Value, Fail> {
    let seen = call.world.access.entries.iter().filter(|entry| {
        call.may(&entry.path, "Permissions.Modify") || call.may("/access", "Sys.Audit")
    });
    let rows = seen.map(|entry| {
        let kind = if entry.subject.contains('!') { "token" } else { "user" };
        json!({
            "path": entry.path, "ugid": entry.subject, "type": kind, "roleid": entry.role,
            "propagate": u8::from(entry.propagate),
        })
    });
    Ok(rows.collect())
}

fn is_acl_path(path: &str) -> bool {
    let areas = ["access", "mapping", "nodes", "pool", "sdn", "storage", "vms"];
    path == "/"
        || path
            .strip_prefix('/')
            .is_some_and(|rest| areas.contains(&rest.split('/').next().unwrap_or_default()))
}

fn change_acl(call: &mut Call<'_>) -> Result<Value, Fail> {
    let params = call.params;
    let list = |name: &str| -> Vec<String> {
        params
            .text(name)
            .split([',', ';', ' '])
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let mut path = params.text("path").to_owned();
    if path.len() > 1 {
        path = path.trim_end_matches('/').to_owned();
    }
    if !is_acl_path(&path) {
        return Err(Fail::parameter("path", format!("invalid ACL path '{path}'")));
    }
    let subjects: Vec<String> = list("users").into_iter().chain(list("tokens")).collect();
    if subjects.is_empty() {
        let text = "either 'users', 'groups' or 'tokens' is required.";
        return Err(Fail::parameters(
            ["users", "groups", "tokens"].map(|name| (name.to_owned(), text.to_owned())).into(),
        ));
    }
    let propagate = params.get("propagate") != Some("0");
    for role in list("roles") {
        if !call.world.access.roles.contains_key(&role) {
            return Err(Fail::new(format!("ACL update failed: role '{role}' does not exist")));
        }
        for subject in &subjects {
            let (user, token) = subject
                .split_once('!')
                .map_or((subject.as_str(), None), |(user, token)| (user, Some(token)));
            let Some(found) = call.world.access.users.get(user) else {
                return Err(Fail::new(format!("ACL update failed: user '{user}' does not exist")));
            };
            if let Some(token) = token.filter(|token| !found.tokens.contains_key(*token)) {
                return Err(Fail::new(format!(
                    "ACL update failed: no such token '{token}' for user '{user}'"
                )));
            }
            let entries = &mut call.world.access.entries;
            entries.retain(|entry| {
                !(entry.path == path && entry.subject == *subject && entry.role == role)
            });
            if !params.flag("delete") {
                entries.push(Entry {
                    path: path.clone(),
                    subject: subject.clone(),
                    role: role.clone(),
                    propagate,
                });
            }
        }
    }
    Ok(Value::Null)
}
