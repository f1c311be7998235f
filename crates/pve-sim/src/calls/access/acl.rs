//! `/access/acl`

use serde_json::{Value, json};

use crate::calls::Plain;
use crate::calls::sections::words;
use crate::engine::Call;
use crate::fail::Fail;
use crate::world::access::{Access, Entry};

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path) {
        ("GET", "/acl") => list,
        ("PUT", "/acl") => change,
        _ => return None,
    })
}

fn list(call: &mut Call<'_>) -> Result<Value, Fail> {
    let auditor = call.may("/access", "Sys.Audit");
    let seen = call.world.access.entries.iter();
    let seen = seen.filter(|entry| auditor || call.may(&entry.path, "Permissions.Modify"));
    let mut rows: Vec<Value> = seen
        .map(|entry| {
            let (kind, subject) = match entry.subject.strip_prefix('@') {
                Some(group) => ("group", group),
                None if entry.subject.contains('!') => ("token", entry.subject.as_str()),
                None => ("user", entry.subject.as_str()),
            };
            json!({
                "path": entry.path, "ugid": subject, "type": kind, "roleid": entry.role,
                "propagate": u8::from(entry.propagate),
            })
        })
        .collect();
    rows.sort_by_key(|row| row["path"].as_str().map(str::to_owned));
    Ok(Value::Array(rows))
}

/// Whether Proxmox has objects at this path. Source: `check_path` of its
/// access control.
fn is_acl_path(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let parts: Vec<&str> = if rest.is_empty() { Vec::new() } else { rest.split('/').collect() };
    if parts.iter().any(|part| part.is_empty()) {
        return false;
    }
    match parts.as_slice() {
        []
        | ["access" | "mapping" | "nodes" | "pool" | "sdn" | "storage" | "vms"]
        | ["access", "groups" | "realm" | "users" | "domains"]
        | ["access", "groups" | "realm", _]
        | ["mapping", "pci" | "usb" | "dir" | "notifications"]
        | ["mapping", "pci" | "usb" | "dir" | "notifications", _]
        | ["nodes" | "storage", _]
        | ["sdn", "zones" | "vnets" | "controllers" | "ipams" | "dns" | "fabrics"]
        | ["sdn", "zones" | "vnets" | "controllers" | "ipams" | "dns" | "fabrics", _]
        | ["sdn", "zones", _, _]
        | ["sdn", "zones", _, _, _] => true,
        ["pool", nested @ ..] => nested.len() <= 3,
        ["vms", vmid] => vmid.parse::<u32>().is_ok_and(|vmid| vmid >= 100),
        _ => false,
    }
}

/// The path as it is stored: one leading slash, none at the end.
fn normalise(path: &str) -> String {
    let mut folded = String::from("/");
    for part in path.split('/').filter(|part| !part.is_empty()) {
        if folded.len() > 1 {
            folded.push('/');
        }
        folded.push_str(part);
    }
    folded
}

fn check_subject(access: &Access, subject: &str) -> Result<(), Fail> {
    let failed = |text: String| Err(Fail::new(format!("ACL update failed: {text}")));
    if let Some(group) = subject.strip_prefix('@') {
        if !access.groups.contains_key(group) {
            return failed(format!("group '{group}' does not exist"));
        }
        return Ok(());
    }
    let (user, token) =
        subject.split_once('!').map_or((subject, None), |(user, token)| (user, Some(token)));
    let Some(found) = access.users.get(user) else {
        return failed(format!("user '{user}' does not exist"));
    };
    match token {
        Some(token) if !found.tokens.contains_key(token) => {
            failed(format!("no such token '{token}' for user '{user}'"))
        }
        _ => Ok(()),
    }
}

fn change(call: &mut Call<'_>) -> Result<Value, Fail> {
    let params = call.params;
    let list = |name: &str| words(params.text(name)).map(str::to_owned);
    if list("users").chain(list("tokens")).chain(list("groups")).next().is_none() {
        let text = "either 'users', 'groups' or 'tokens' is required.";
        return Err(Fail::parameters(
            ["users", "groups", "tokens"].map(|name| (name.to_owned(), text.to_owned())).into(),
        ));
    }
    let path = normalise(params.text("path"));
    if !is_acl_path(&path) {
        return Err(Fail::parameter("path", format!("invalid ACL path '{}'", params.text("path"))));
    }
    let subjects: Vec<String> = list("groups")
        .map(|group| format!("@{group}"))
        .chain(list("users"))
        .chain(list("tokens"))
        .collect();
    let propagate = params.get("propagate") != Some("0");
    // All or nothing: the file is written once, at the end.
    let access = &call.world.access;
    let mut entries = access.entries.clone();
    for role in list("roles") {
        if !access.roles.contains_key(&role) {
            return Err(Fail::new(format!("ACL update failed: role '{role}' does not exist")));
        }
        for subject in &subjects {
            check_subject(access, subject)?;
            entries.retain(|entry| {
                !(entry.path == path && entry.subject == *subject && entry.role == role)
            });
            if !params.flag("delete") {
                let (path, subject, role) = (path.clone(), subject.clone(), role.clone());
                entries.push(Entry { path, subject, role, propagate });
            }
        }
    }
    call.world.access.entries = entries;
    Ok(Value::Null)
}
