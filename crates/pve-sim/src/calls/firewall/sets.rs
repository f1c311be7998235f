//! Sets of networks.

use serde_json::{Value, json};

use super::{check_digest, put, scope};
use crate::calls::Plain;
use crate::engine::Call;
use crate::fail::Fail;
use crate::world::firewall::{IpSet, digest};

/// The handlers of this file.
pub(super) fn handler(verb: &str, rest: &str) -> Option<Plain> {
    Some(match (verb, rest) {
        ("GET", "/ipset") => list,
        ("POST", "/ipset") => create,
        ("DELETE", "/ipset/{name}") => delete,
        ("GET", "/ipset/{name}") => entries,
        ("POST", "/ipset/{name}") => add,
        ("GET", "/ipset/{name}/{cidr}") => read,
        ("PUT", "/ipset/{name}/{cidr}") => change,
        ("DELETE", "/ipset/{name}/{cidr}") => remove,
        _ => return None,
    })
}

fn set<'a>(call: &'a mut Call<'_>) -> Result<&'a mut IpSet, Fail> {
    let name = call.params.text("name");
    let set = scope(call)?.sets.get_mut(name);
    set.ok_or_else(|| Fail::new(format!("no such IPSet '{name}'")))
}

fn digest_of(set: &IpSet) -> String {
    digest(&set.entries, set.entries.is_empty())
}

fn list(call: &mut Call<'_>) -> Result<Value, Fail> {
    let sets = &scope(call)?.sets;
    let digest = digest(sets, sets.is_empty());
    let rows = sets.iter().map(|(name, set)| {
        let mut row = json!({"name": name, "digest": digest});
        if let Some(comment) = &set.comment {
            row["comment"] = json!(comment);
        }
        row
    });
    Ok(rows.collect())
}

/// Makes a set; `rename` changes one that is there.
fn create(call: &mut Call<'_>) -> Result<Value, Fail> {
    let params = call.params;
    let name = params.text("name").to_owned();
    let comment = params.get("comment").map(str::to_owned);
    let sets = &mut scope(call)?.sets;
    check_digest(params.get("digest"), &digest(sets, sets.is_empty()))?;
    let taken = Fail::parameter("name", format!("IPSet '{name}' already exists"));
    if let Some(old) = params.get("rename") {
        if old != name && sets.contains_key(&name) {
            return Err(taken);
        }
        let set = sets.remove(old);
        let mut set =
            set.ok_or_else(|| Fail::parameter("name", format!("IPSet '{old}' does not exist")))?;
        set.comment = comment.or(set.comment);
        sets.insert(name, set);
        return Ok(Value::Null);
    }
    if sets.contains_key(&name) {
        return Err(taken);
    }
    sets.insert(name, IpSet { comment, ..IpSet::default() });
    Ok(Value::Null)
}

fn delete(call: &mut Call<'_>) -> Result<Value, Fail> {
    let params = call.params;
    let name = params.text("name");
    if !set(call)?.entries.is_empty() && !params.flag("force") {
        return Err(Fail::new(format!("IPSet '{name}' is not empty")));
    }
    scope(call)?.sets.remove(name);
    Ok(Value::Null)
}

fn show(set: &IpSet, cidr: &str) -> Option<Value> {
    let options = set.entries.get(cidr)?;
    let mut row = json!({"cidr": cidr, "digest": digest_of(set)});
    for (key, text) in options {
        row[key] = if key == "nomatch" { json!(1) } else { json!(text) };
    }
    Some(row)
}

fn entries(call: &mut Call<'_>) -> Result<Value, Fail> {
    let set = set(call)?;
    Ok(set.entries.keys().filter_map(|cidr| show(set, cidr)).collect())
}

fn add(call: &mut Call<'_>) -> Result<Value, Fail> {
    let params = call.params;
    let cidr = params.text("cidr").to_owned();
    let set = set(call)?;
    if set.entries.contains_key(&cidr) {
        return Err(Fail::parameter("cidr", format!("address '{cidr}' already exists")));
    }
    let entry = set.entries.entry(cidr).or_default();
    put(entry, "comment", params.get("comment"));
    put(entry, "nomatch", params.get("nomatch").filter(|text| *text == "1"));
    Ok(Value::Null)
}

fn missing() -> Fail {
    Fail::parameter("cidr", "no such IP/Network")
}

fn read(call: &mut Call<'_>) -> Result<Value, Fail> {
    let cidr = call.params.text("cidr");
    let set = set(call)?;
    show(set, cidr).ok_or_else(missing)
}

fn change(call: &mut Call<'_>) -> Result<Value, Fail> {
    let params = call.params;
    let set = set(call)?;
    check_digest(params.get("digest"), &digest_of(set))?;
    let entry = set.entries.get_mut(params.text("cidr")).ok_or_else(missing)?;
    put(entry, "comment", params.get("comment"));
    put(entry, "nomatch", params.get("nomatch").filter(|text| *text == "1"));
    Ok(Value::Null)
}

fn remove(call: &mut Call<'_>) -> Result<Value, Fail> {
    let params = call.params;
    let set = set(call)?;
    check_digest(params.get("digest"), &digest_of(set))?;
    set.entries.remove(params.text("cidr"));
    Ok(Value::Null)
}
