//! `/access/domains` (realms) and `/access/openid`.

use serde_json::{Value, json};

use crate::calls::Plain;
use crate::calls::sections::{Act, Spec};
use crate::engine::Call;
use crate::fail::Fail;
use crate::tasks::{Done, Step, Work};
use crate::world::World;
use crate::world::sections::Section;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path) {
        ("GET", "/domains") => list,
        ("POST", "/domains") => create,
        ("GET", "/domains/{realm}") => read,
        ("PUT", "/domains/{realm}") => update,
        ("DELETE", "/domains/{realm}") => delete,
        ("POST", "/domains/{realm}/sync") => sync,
        ("GET", "/openid") => |_| Ok(json!([{"subdir": "auth-url"}, {"subdir": "login"}])),
        ("POST", "/openid/auth-url") => auth_url,
        ("POST", "/openid/login") => |_| Err(Fail::with(401, "authentication failure")),
        _ => return None,
    })
}

/// The section file with the realms.
pub(super) const FILE: &str = "domains";

const REALMS: Spec = Spec {
    file: FILE,
    id: "realm",
    create: "/access/domains",
    kind: Some("type"),
    secret: &["password"],
    taken: |id| Fail::new(format!("add auth server failed: domain '{id}' already exists")),
    missing: |id, act| {
        Fail::new(match act {
            Act::Read => format!("domain '{id}' does not exist"),
            Act::Update => format!("update auth server failed: domain '{id}' does not exist"),
            Act::Delete => {
                format!("delete auth server failed: authentication domain '{id}' does not exist")
            }
        })
    },
};

/// The realms that every installation has.
const BUILT_IN: [(&str, &str); 2] =
    [("pam", "Linux PAM standard authentication"), ("pve", "Proxmox VE authentication server")];

/// A realm: built in (perhaps with changed options), or added.
fn find(world: &World, id: &str) -> Option<Section> {
    let stored = world.sections.get(FILE, id).cloned();
    let (name, comment) = match BUILT_IN.iter().find(|(name, _)| *name == id) {
        Some(found) => found,
        None => return stored,
    };
    let mut section = stored.unwrap_or_default();
    section.kind = (*name).to_owned();
    section.values.entry("comment".into()).or_insert_with(|| (*comment).to_owned());
    Some(section)
}

/// Whether there is a realm of this name.
pub(super) fn exists(world: &World, id: &str) -> bool {
    find(world, id).is_some()
}

/// The type of a realm, as user lists show it.
pub(super) fn kind(world: &World, id: &str) -> String {
    find(world, id).map(|realm| realm.kind).unwrap_or_default()
}

fn list(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    let added = world.sections.all(FILE).map(|(id, _)| id.as_str());
    let mut names: Vec<&str> = BUILT_IN.iter().map(|(id, _)| *id).chain(added).collect();
    names.sort_unstable();
    names.dedup();
    let mut rows = Vec::new();
    for id in names {
        let Some(realm) = find(world, id) else { continue };
        let mut row = json!({"realm": id, "type": realm.kind});
        if let Some(comment) = realm.values.get("comment") {
            row["comment"] = json!(comment);
        }
        if realm.values.get("default").is_some_and(|text| text == "1") {
            row["default"] = json!(1);
        }
        if let Some(tfa) = realm.values.get("tfa") {
            let kind = tfa.split(',').next().unwrap_or_default();
            row["tfa"] = json!(kind.strip_prefix("type=").unwrap_or(kind));
        }
        rows.push(row);
    }
    Ok(Value::Array(rows))
}

/// The options that a realm of a type cannot do without, in the order in which
/// Proxmox complains (its first complaint is recorded for `ldap`).
fn required(kind: &str) -> &'static [&'static str] {
    match kind {
        "ldap" => &["user_attr", "server1", "base_dn"],
        "ad" => &["domain", "server1"],
        "openid" => &["issuer-url", "client-id"],
        _ => &[],
    }
}

fn create(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("realm").to_owned();
    let section = REALMS.given(call);
    if exists(call.world, &id) {
        return Err((REALMS.taken)(&id));
    }
    let failed = |text: String| Fail::new(format!("add auth server failed: {text}"));
    if matches!(section.kind.as_str(), "pam" | "pve") {
        return Err(Fail::parameter(
            "type",
            format!("unable to create builtin type '{}'", section.kind),
        ));
    }
    let missing = required(&section.kind).iter().find(|name| !section.values.contains_key(**name));
    if let Some(name) = missing {
        return Err(failed(format!("missing value for required option '{name}'")));
    }
    unset_default(call.world, &section);
    REALMS.insert(call, &id, section)
}

/// At most one realm is the default.
fn unset_default(world: &mut World, section: &Section) {
    if section.values.get("default").is_none_or(|text| text != "1") {
        return;
    }
    let names: Vec<String> = world.sections.all(FILE).map(|(id, _)| id.clone()).collect();
    for name in names {
        if let Some(realm) = world.sections.get_mut(FILE, &name) {
            realm.values.remove("default");
        }
    }
}

fn read(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("realm");
    let realm = find(call.world, id).ok_or_else(|| (REALMS.missing)(id, Act::Read))?;
    let mut row = REALMS.show(call.world, id, &realm);
    let built_in = BUILT_IN.iter().any(|(name, _)| *name == id);
    if let Some(map) = row.as_object_mut() {
        map.remove("realm");
        if built_in {
            let plugin = if id == "pam" { "PVE::Auth::PAM" } else { "PVE::Auth::PVE" };
            map.insert("plugin".into(), json!(plugin));
        }
    }
    Ok(row)
}

fn update(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("realm").to_owned();
    if let Some(realm) = find(call.world, &id)
        && call.world.sections.get(FILE, &id).is_none()
    {
        call.world.sections.insert(FILE, &id, realm);
    }
    let given = REALMS.given(call);
    unset_default(call.world, &given);
    REALMS.update(call)
}

fn delete(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("realm");
    if BUILT_IN.iter().any(|(name, _)| *name == id) {
        let text = format!(
            "delete auth server failed: builtin authentication domain '{id}' cannot be deleted"
        );
        return Err(Fail::new(text));
    }
    REALMS.delete(call)
}

/// There is no directory server behind a realm here: a synchronisation finds nobody.
struct Sync {
    realm: String,
}

impl Work for Sync {
    fn finish(
        &mut self,
        _world: &mut World,
        log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        log.push(format!("starting sync for realm {}", self.realm));
        log.push("got data from server, updating users".into());
        log.push("successfully updated users configuration".into());
        Ok(Step::Done)
    }
}

fn sync(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("realm").to_owned();
    let realm = find(call.world, &id).ok_or_else(|| (REALMS.missing)(&id, Act::Read))?;
    if !matches!(realm.kind.as_str(), "ldap" | "ad") {
        return Err(Fail::new(format!(
            "Only LDAP/AD realms can be synced, this is {}",
            realm.kind
        )));
    }
    let scope = call.params.get("scope").map(str::to_owned);
    let default = realm.values.get("sync-defaults-options").map(String::as_str).unwrap_or_default();
    if scope.is_none() && !default.contains("scope=") {
        let text = "missing value for required sync option 'scope'";
        return Err(Fail::parameter("scope", text));
    }
    let id_of_task = if call.params.flag("dry-run") { format!("{id}-test") } else { id.clone() };
    Ok(call.task("auth-realm-sync", &id_of_task, Sync { realm: id }))
}

fn auth_url(call: &mut Call<'_>) -> Result<Value, Fail> {
    let id = call.params.text("realm");
    let realm = find(call.world, id).ok_or_else(|| (REALMS.missing)(id, Act::Read))?;
    if realm.kind != "openid" {
        return Err(Fail::parameter("realm", format!("wrong realm type '{}'", realm.kind)));
    }
    let text = |name: &str| realm.values.get(name).map(String::as_str).unwrap_or_default();
    Ok(json!(format!(
        "{}/authorize?response_type=code&client_id={}&redirect_uri={}",
        text("issuer-url").trim_end_matches('/'),
        text("client-id"),
        call.params.text("redirect-url"),
    )))
}
