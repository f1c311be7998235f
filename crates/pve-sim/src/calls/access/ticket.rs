//! `/access/ticket` and `/access/vncticket`

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Plain, tfa};
use crate::calls::sections::words;
use crate::engine::{Call, authenticate};
use crate::fail::Fail;
use crate::world::World;
use crate::world::access::Caller;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path) {
        ("GET", "/ticket") => |_| Ok(Value::Null),
        ("POST", "/ticket") => login,
        ("POST", "/vncticket") => verify_vnc_ticket,
        _ => return None,
    })
}

/// What came of the credentials of a log-in.
enum Proof {
    /// Everything that was asked for.
    Full,
    /// The password; a second factor is asked for.
    Password(String),
}

/// A password, or a ticket: one's own to renew it, root's for anybody (fact
/// 24), or the answer to a challenge for a second factor.
fn login(call: &mut Call<'_>) -> Result<Value, Fail> {
    let refused = || Fail::with(401, "authentication failure");
    let mut user = call.params.text("username").to_owned();
    if let Some(realm) = call.params.get("realm")
        && !user.contains('@')
    {
        user = format!("{user}@{realm}");
    }
    let proof = prove(call, &user).ok_or_else(refused)?;
    let world = &*call.world;
    let caller = Caller { user: user.clone(), token: None };
    if let Proof::Password(challenge) = proof {
        let (ticket, csrf) = authenticate::issue_challenge(world, &user, &challenge);
        let mut row = json!({
            "ticket": ticket, "CSRFPreventionToken": csrf, "username": user, "NeedTFA": 1,
        });
        add_cluster(world, &mut row);
        return Ok(row);
    }
    if let Some(path) = call.params.get("path") {
        let path = format!("/{}", path.trim_matches('/'));
        let mut privileges = words(call.params.text("privs"));
        if let Some(missing) = privileges.find(|privilege| !world.may(&caller, &path, privilege)) {
            return Err(Fail::denied(format!("{path}, {missing}")));
        }
        // A question about privileges is answered without a ticket.
        let mut row = json!({"username": user, "cap": capabilities(world, &caller)});
        add_cluster(world, &mut row);
        return Ok(row);
    }
    let (ticket, csrf) = authenticate::issue(world, &user);
    let mut row = json!({
        "ticket": ticket, "CSRFPreventionToken": csrf, "username": user, "cap": capabilities(world, &caller),
    });
    add_cluster(world, &mut row);
    Ok(row)
}

fn add_cluster(world: &World, row: &mut Value) {
    if let Some(name) = &world.cluster_name {
        row["clustername"] = json!(name);
    }
}

/// Checks what a log-in gives; `None` is a refusal, which never says why.
fn prove(call: &mut Call<'_>, user: &str) -> Option<Proof> {
    let password = call.params.text("password").to_owned();
    if !call.world.access.is_active(user, call.world.now) {
        return None;
    }
    if let Some(ticket) = call.params.get("tfa-challenge") {
        authenticate::verify_challenge(call.world, user, ticket)?;
        return tfa::check(call.world, user, &password).then_some(Proof::Full);
    }
    let owner = authenticate::verify(call.world, &password);
    if owner.is_some_and(|owner| owner == user || owner == "root@pam") {
        return Some(Proof::Full);
    }
    let known = call.world.access.users.get(user)?;
    if known.password.as_deref() != Some(password.as_str()) {
        return None;
    }
    let Some(challenge) = tfa::challenge(known) else { return Some(Proof::Full) };
    match call.params.get("otp") {
        // The old way: both in one request.
        Some(code) => {
            let code = format!("totp:{code}");
            tfa::check(call.world, user, &code).then_some(Proof::Full)
        }
        None => Some(Proof::Password(challenge)),
    }
}

/// Whether a ticket for a console is good for a path and its privileges.
fn verify_vnc_ticket(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (user, path) = (call.params.text("authid"), call.params.text("path"));
    let world = &*call.world;
    let caller = match user.split_once('!') {
        Some((user, token)) => Caller { user: user.into(), token: Some(token.into()) },
        None => Caller { user: user.into(), token: None },
    };
    let port = call.params.number("port");
    let good = authenticate::verify_console(
        world,
        call.params.text("vncticket"),
        &caller.id(),
        path,
        port,
    ) && world.access.is_active(&caller.user, world.now)
        && words(call.params.text("privs")).all(|privilege| world.may(&caller, path, privilege));
    if good { Ok(Value::Null) } else { Err(Fail::with(401, "authentication failure")) }
}

/// Privileges by area, as the web interface uses them: what the caller may do
/// anywhere in an area. Source: `compute_api_permission` of Proxmox.
fn capabilities(world: &World, caller: &Caller) -> Value {
    let areas: [(&str, &[&str]); 7] = [
        ("vms", &["VM.", "Permissions.Modify"]),
        ("storage", &["Datastore.", "Permissions.Modify"]),
        ("access", &["User.", "Group.", "Permissions.Modify"]),
        ("nodes", &["Sys.", "Permissions.Modify"]),
        ("sdn", &["SDN.", "Permissions.Modify"]),
        ("dc", &["Sys.Audit", "Sys.Modify", "SDN."]),
        ("mapping", &["Mapping.", "Permissions.Modify"]),
    ];
    let mut found: BTreeMap<&str, BTreeSet<String>> =
        areas.iter().map(|(area, _)| (*area, BTreeSet::new())).collect();
    let tops = ["/", "/nodes", "/access/groups", "/vms", "/storage", "/sdn", "/mapping"];
    let listed = world.access.entries.iter().map(|entry| entry.path.as_str());
    let paths: BTreeSet<&str> = tops.into_iter().chain(listed).collect();
    for path in paths {
        let top = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        for privilege in world.privileges(caller, path).into_keys() {
            // A pool gives rights on its guests and storages.
            let fits = |(area, stems): &&(&str, &[&str])| {
                let here = match top {
                    "" => *area == "dc",
                    "pool" => matches!(*area, "vms" | "storage"),
                    top => *area == top,
                };
                here && stems.iter().any(|stem| privilege.starts_with(stem))
            };
            for (area, _) in areas.iter().filter(fits) {
                found.entry(area).or_default().insert(privilege.clone());
            }
        }
    }
    let shown = found.into_iter().map(|(area, privileges)| {
        let row: Map<String, Value> =
            privileges.into_iter().map(|privilege| (privilege, json!(1))).collect();
        (area.to_owned(), Value::Object(row))
    });
    Value::Object(shown.collect())
}
