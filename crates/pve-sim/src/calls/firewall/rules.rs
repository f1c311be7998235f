//! Rules of a firewall, and of security groups.

use serde_json::{Value, json};

use super::scope;
use crate::calls::Plain;
use crate::engine::{Call, Params};
use crate::fail::Fail;
use crate::world::firewall::{Rule, check_digest, digest, position, show, show_all};

/// The handlers of this file.
pub(super) fn handler(verb: &str, rest: &str) -> Option<Plain> {
    Some(match (verb, rest) {
        ("GET", "/rules") => rules,
        ("POST", "/rules") => add,
        ("GET", "/rules/{pos}") => read,
        ("PUT", "/rules/{pos}") => change,
        ("DELETE", "/rules/{pos}") => delete,
        _ => return None,
    })
}

/// The rules that a call is about: those of a security group, or of a firewall.
fn rules_of<'a>(call: &'a mut Call<'_>) -> Result<&'a mut Vec<Rule>, Fail> {
    let params = call.params;
    if let Some(name) = params.get("group") {
        let group = call.world.groups.get_mut(name);
        return group
            .map(|group| &mut group.rules)
            .ok_or_else(|| Fail::new(format!("no such security group '{name}'")));
    }
    Ok(&mut scope(call)?.rules)
}

/// `GET …/rules`, and of a group.
pub(super) fn rules(call: &mut Call<'_>) -> Result<Value, Fail> {
    Ok(show_all(rules_of(call)?))
}

fn given(params: &Params) -> Rule {
    let not_options = ["node", "vmid", "vnet", "group", "pos", "digest", "moveto", "delete"];
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
        _ if rule.get("macro").is_some_and(|name| !super::cluster::is_macro(name)) => {
            let name = rule.get("macro").map_or("", String::as_str);
            Err(Fail::parameter("macro", format!("unknown macro '{name}'")))
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

/// One rule, of a firewall or a group.
pub(super) fn add(call: &mut Call<'_>) -> Result<Value, Fail> {
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

/// One rule, of a firewall or a group.
pub(super) fn read(call: &mut Call<'_>) -> Result<Value, Fail> {
    let params = call.params;
    let rules = rules_of(call)?;
    let text = params.text("pos");
    let at = position(rules, text)?;
    Ok(show(&rules[at], json!(text), &digest(rules, false)))
}

/// One rule, of a firewall or a group.
pub(super) fn change(call: &mut Call<'_>) -> Result<Value, Fail> {
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

/// One rule, of a firewall or a group.
pub(super) fn delete(call: &mut Call<'_>) -> Result<Value, Fail> {
    let params = call.params;
    let rules = rules_of(call)?;
    let at = position(rules, params.text("pos"))?;
    check_digest(rules, params.get("digest"))?;
    rules.remove(at);
    Ok(Value::Null)
}
