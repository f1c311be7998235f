//! What only the cluster's firewall has: security groups and macros.

use serde_json::{Value, json};

use super::{check_digest, rules};
use crate::calls::Plain;
use crate::engine::Call;
use crate::fail::Fail;
use crate::world::firewall::{Group, digest};

/// The handlers of this file.
pub(super) fn handler(verb: &str, rest: &str) -> Option<Plain> {
    Some(match (verb, rest) {
        ("GET", "/macros") => macros,
        ("GET", "/groups") => groups,
        ("POST", "/groups") => create_group,
        ("DELETE", "/groups/{group}") => delete_group,
        ("GET", "/groups/{group}") => rules::rules,
        ("POST", "/groups/{group}") => rules::add,
        ("GET", "/groups/{group}/{pos}") => rules::read,
        ("PUT", "/groups/{group}/{pos}") => rules::change,
        ("DELETE", "/groups/{group}/{pos}") => rules::delete,
        _ => return None,
    })
}

/// Name and description of each macro. Source: the list of a running 8.4.21.
const MACROS: &str = include_str!("macros.txt");

/// Whether there is a macro of this name; letters may be of any case.
pub(super) fn is_macro(name: &str) -> bool {
    let mut names = MACROS.lines().filter_map(|line| line.split(' ').next());
    names.any(|known| known.eq_ignore_ascii_case(name))
}

fn macros(_: &mut Call<'_>) -> Result<Value, Fail> {
    let lines = MACROS.lines().filter_map(|line| line.split_once(' '));
    Ok(lines.map(|(name, description)| json!({"macro": name, "descr": description})).collect())
}

fn groups(call: &mut Call<'_>) -> Result<Value, Fail> {
    let digest = digest(&call.world.groups, false);
    let rows = call.world.groups.iter().map(|(name, group)| match &group.comment {
        Some(comment) => json!({"group": name, "comment": comment, "digest": digest}),
        None => json!({"group": name, "digest": digest}),
    });
    Ok(rows.collect())
}

fn create_group(call: &mut Call<'_>) -> Result<Value, Fail> {
    let name = call.params.text("group").to_owned();
    let comment = call.params.get("comment").map(str::to_owned);
    check_digest(call.params.get("digest"), &digest(&call.world.groups, false))?;
    if let Some(old) = call.params.get("rename") {
        if old != name && call.world.groups.contains_key(&name) {
            let text = format!("Security group '{name}' already exists");
            return Err(Fail::parameter("group", text));
        }
        let group = call.world.groups.remove(old);
        let mut group = group.ok_or_else(|| {
            Fail::parameter("group", format!("Security group '{old}' does not exist"))
        })?;
        group.comment = comment.or(group.comment);
        call.world.groups.insert(name, group);
        return Ok(Value::Null);
    }
    if call.world.groups.contains_key(&name) {
        return Err(Fail::parameter("group", format!("Security group '{name}' already exists")));
    }
    call.world.groups.insert(name, Group { comment, rules: Vec::new() });
    Ok(Value::Null)
}

fn delete_group(call: &mut Call<'_>) -> Result<Value, Fail> {
    let name = call.params.text("group");
    let group = call
        .world
        .groups
        .get(name)
        .ok_or_else(|| Fail::new(format!("no such security group '{name}'")))?;
    if !group.rules.is_empty() {
        return Err(Fail::new(format!("Security group '{name}' is not empty")));
    }
    call.world.groups.remove(name);
    Ok(Value::Null)
}
