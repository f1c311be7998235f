//! Firewall rules and options of guests, and security groups of the cluster.

use serde_json::{Map, Value, json};

use super::Plain;
use crate::engine::{Call, Params};
use crate::fail::Fail;
use crate::world::firewall::{Group, Rule, check_digest, digest, position, show, show_all};

/// The handlers of this file.
pub(crate) fn handler(verb: &str, path: &str) -> Option<Plain> {
    if let Some(rest) = path.strip_prefix("/nodes/{node}/qemu/{vmid}/firewall") {
        return Some(match (verb, rest) {
            ("GET", "") => index,
            ("GET", "/options") => options,
            ("PUT", "/options") => set_options,
            ("GET", "/rules") => rules,
            ("POST", "/rules") => add,
            ("GET", "/rules/{pos}") => read,
            ("PUT", "/rules/{pos}") => change,
            ("DELETE", "/rules/{pos}") => delete,
            _ => return None,
        });
    }
    Some(match (verb, path.strip_prefix("/cluster/firewall/groups")?) {
        ("GET", "") => groups,
        ("POST", "") => create_group,
        ("DELETE", "/{group}") => delete_group,
        ("GET", "/{group}") => rules,
        ("POST", "/{group}") => add,
        ("GET", "/{group}/{pos}") => read,
        ("PUT", "/{group}/{pos}") => change,
        ("DELETE", "/{group}/{pos}") => delete,
        _ => return None,
    })
}

/// The rules that a call is about: those of a guest, or of a group.
fn rules_of<'a>(call: &'a mut Call<'_>) -> Result<&'a mut Vec<Rule>, Fail> {
    let params = call.params;
    if let Some(name) = params.get("group") {
        let group = call.world.groups.get_mut(name);
        return group
            .map(|group| &mut group.rules)
            .ok_or_else(|| Fail::new(format!("no such security group '{name}'")));
    }
    let guest = call.world.vm_mut(params.node(), params.vmid())?;
    Ok(&mut guest.firewall.rules)
}

fn index(_: &mut Call<'_>) -> Result<Value, Fail> {
    Ok(json!([{"name": "rules"}, {"name": "options"}]))
}

fn options(call: &mut Call<'_>) -> Result<Value, Fail> {
    let guest = call.world.vm(call.params.node(), call.params.vmid())?;
    let options = &guest.firewall.options;
    let mut row = Map::new();
    for (key, text) in options {
        let value = text.parse::<u64>().map_or_else(|_| json!(text), |number| json!(number));
        row.insert(key.clone(), value);
    }
    row.insert("digest".into(), json!(digest(options, options.is_empty())));
    Ok(Value::Object(row))
}

fn set_options(call: &mut Call<'_>) -> Result<Value, Fail> {
    let params = call.params;
    let guest = call.world.vm_mut(params.node(), params.vmid())?;
    let options = &mut guest.firewall.options;
    if params.get("digest").is_some_and(|given| given != digest(options, options.is_empty())) {
        return Err(Fail::new(
            "detected modified configuration - file changed by other user? Try again.",
        ));
    }
    for (key, value) in &params.texts {
        match key.as_str() {
            "node" | "vmid" | "digest" => {}
            "delete" => {
                for name in value.split([',', ';', ' ']) {
                    options.remove(name);
                }
            }
            _ => {
                options.insert(key.clone(), value.clone());
            }
        }
    }
    Ok(Value::Null)
}

fn rules(call: &mut Call<'_>) -> Result<Value, Fail> {
    Ok(show_all(rules_of(call)?))
}

fn given(params: &Params) -> Rule {
    let not_options = ["node", "vmid", "group", "pos", "digest", "moveto", "delete"];
    let kept = params.texts.iter().filter(|(key, _)| !not_options.contains(&key.as_str()));
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn check_rule(call: &Call<'_>, rule: &Rule) -> Result<(), Fail> {
    let action = rule.get("action").map_or("", String::as_str);
    match rule.get("type").map(String::as_str) {
        Some("group") if !call.world.groups.contains_key(action) => {
            Err(Fail::parameter("action", format!("no such security group '{action}'")))
        }
        Some("in" | "out" | "forward") if !matches!(action, "ACCEPT" | "DROP" | "REJECT") => {
            Err(Fail::parameter("action", format!("unknown action '{action}'")))
        }
        _ if rule.contains_key("dport")
            && !rule.contains_key("proto")
            && !rule.contains_key("macro") =>
        {
            Err(Fail::parameter("proto", "missing property - 'dport' requires this property"))
        }
        _ => Ok(()),
    }
}

fn add(call: &mut Call<'_>) -> Result<Value, Fail> {
    let rule = given(call.params);
    check_rule(call, &rule)?;
    let params = call.params;
    let at = params.number("pos").unwrap_or(0) as usize;
    let rules = rules_of(call)?;
    check_digest(rules, params.get("digest"))?;
    // A new rule goes to the top unless told otherwise.
    let at = at.min(rules.len());
    rules.insert(at, rule);
    Ok(Value::Null)
}

fn read(call: &mut Call<'_>) -> Result<Value, Fail> {
    let params = call.params;
    let rules = rules_of(call)?;
    let text = params.text("pos");
    let at = position(rules, text)?;
    Ok(show(&rules[at], json!(text), &digest(rules, false)))
}

fn change(call: &mut Call<'_>) -> Result<Value, Fail> {
    let params = call.params;
    let rules = rules_of(call)?;
    let at = position(rules, params.text("pos"))?;
    check_digest(rules, params.get("digest"))?;
    if let Some(to) = params.number("moveto") {
        let rule = rules.remove(at);
        let to = (to as usize).min(rules.len());
        rules.insert(to, rule);
        return Ok(Value::Null);
    }
    rules[at].extend(given(params));
    for name in params.text("delete").split([',', ';', ' ']) {
        rules[at].remove(name);
    }
    Ok(Value::Null)
}

fn delete(call: &mut Call<'_>) -> Result<Value, Fail> {
    let params = call.params;
    let rules = rules_of(call)?;
    let at = position(rules, params.text("pos"))?;
    check_digest(rules, params.get("digest"))?;
    rules.remove(at);
    Ok(Value::Null)
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
    if let Some(old) = call.params.get("rename") {
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
