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

/// What Proxmox's `verify_rule` says, at creations and at changes.
fn check_rule(call: &mut Call<'_>, rule: &Rule) -> Result<(), Fail> {
    let get = |name: &str| rule.get(name).map_or("", String::as_str);
    let action = get("action");
    match get("type") {
        "group" if !call.world.groups.contains_key(action) => {
            let text = format!("no such security group '{action}'");
            return Err(Fail::parameter("action", text));
        }
        "in" | "out" | "forward" if !matches!(action, "ACCEPT" | "DROP" | "REJECT") => {
            return Err(Fail::parameter("action", format!("unknown action '{action}'")));
        }
        _ => {}
    }
    if rule.contains_key("macro") && !super::cluster::is_macro(get("macro")) {
        return Err(Fail::parameter("macro", format!("unknown macro '{}'", get("macro"))));
    }
    for port in ["dport", "sport"] {
        if rule.contains_key(port) && !rule.contains_key("proto") && !rule.contains_key("macro") {
            let text = format!("missing property - '{port}' requires this property");
            return Err(Fail::parameter("proto", text));
        }
    }
    if call.params.get("vmid").is_some()
        && rule.contains_key("iface")
        && crate::schema::split_index(get("iface")).is_none_or(|(stem, _)| stem != "net")
    {
        let text = r"value does not match the regex pattern 'net\d+'";
        return Err(Fail::parameter("iface", text));
    }
    for side in ["source", "dest"] {
        for item in get(side).split(',').filter(|item| !item.is_empty()) {
            super::check_reference(call, item).map_err(|text| Fail::parameter(side, text))?;
        }
    }
    Ok(())
}

/// One rule, of a firewall or a group. A new rule goes to the top: `pos` is
/// taken and not heeded (Ansible's module says so of Proxmox, too).
pub(super) fn add(call: &mut Call<'_>) -> Result<Value, Fail> {
    let rule = given(call.params);
    check_rule(call, &rule)?;
    let params = call.params;
    let rules = rules_of(call)?;
    check_digest(rules, params.get("digest"))?;
    rules.insert(0, rule);
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
        // It comes before the rule that is there now.
        let to = (to as usize).min(rules.len());
        let rule = rules.remove(at);
        rules.insert(if to > at { to - 1 } else { to }, rule);
        return Ok(Value::Null);
    }
    let mut rule = rules[at].clone();
    rule.extend(given(params));
    for name in params.text("delete").split([',', ';', ' ']) {
        rule.remove(name);
    }
    check_rule(call, &rule)?;
    if let Some(place) = rules_of(call)?.get_mut(at) {
        *place = rule;
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
