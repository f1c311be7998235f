//! Aliases: names for networks.

use serde_json::{Value, json};

use super::{check_digest, scope};
use crate::calls::Plain;
use crate::engine::Call;
use crate::fail::Fail;
use crate::world::firewall::{Alias, digest, ip_version};

/// The handlers of this file.
pub(super) fn handler(verb: &str, rest: &str) -> Option<Plain> {
    Some(match (verb, rest) {
        ("GET", "/aliases") => list,
        ("POST", "/aliases") => create,
        ("GET", "/aliases/{name}") => read,
        ("PUT", "/aliases/{name}") => update,
        ("DELETE", "/aliases/{name}") => delete,
        _ => return None,
    })
}

fn show(name: &str, alias: &Alias) -> Value {
    let mut row = json!({"name": name, "cidr": alias.cidr});
    if let Some(version) = ip_version(&alias.cidr) {
        row["ipversion"] = json!(version);
    }
    if let Some(comment) = &alias.comment {
        row["comment"] = json!(comment);
    }
    row
}

fn missing(name: &str) -> Fail {
    Fail::parameter("name", format!("no such alias '{name}'"))
}

/// Names of aliases do not depend on the case of letters.
fn name(call: &Call<'_>) -> String {
    call.params.text("name").to_lowercase()
}

fn list(call: &mut Call<'_>) -> Result<Value, Fail> {
    let aliases = &scope(call)?.aliases;
    let digest = digest(aliases, aliases.is_empty());
    let rows = aliases.iter().map(|(name, alias)| {
        let mut row = show(name, alias);
        row["digest"] = json!(digest);
        row
    });
    Ok(rows.collect())
}

fn create(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (params, name) = (call.params, name(call));
    let aliases = &mut scope(call)?.aliases;
    if aliases.contains_key(&name) {
        return Err(Fail::parameter("name", format!("alias '{name}' already exists")));
    }
    let comment = params.get("comment").map(str::to_owned);
    aliases.insert(name, Alias { cidr: params.text("cidr").to_owned(), comment });
    Ok(Value::Null)
}

fn read(call: &mut Call<'_>) -> Result<Value, Fail> {
    let name = name(call);
    let aliases = &scope(call)?.aliases;
    aliases.get(&name).map(|alias| show(&name, alias)).ok_or_else(|| missing(&name))
}

fn update(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (params, name) = (call.params, name(call));
    let aliases = &mut scope(call)?.aliases;
    check_digest(params.get("digest"), &digest(aliases, aliases.is_empty()))?;
    let old = aliases.get(&name).cloned().ok_or_else(|| missing(&name))?;
    let comment = params.get("comment").map(str::to_owned).or(old.comment);
    let alias = Alias { cidr: params.text("cidr").to_owned(), comment };
    let target = params.get("rename").map_or_else(|| name.clone(), str::to_lowercase);
    if target != name && aliases.contains_key(&target) {
        return Err(Fail::parameter("name", format!("alias '{target}' already exists")));
    }
    aliases.remove(&name);
    aliases.insert(target, alias);
    Ok(Value::Null)
}

fn delete(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (params, name) = (call.params, name(call));
    let aliases = &mut scope(call)?.aliases;
    check_digest(params.get("digest"), &digest(aliases, aliases.is_empty()))?;
    aliases.remove(&name);
    Ok(Value::Null)
}
