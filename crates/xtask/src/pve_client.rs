//! Generates the client's tables: the formats of property strings, and the
//! methods of the API. Both are committed; the data they come from is not.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

/// The groups of the data file by the client's names. A guest's configuration
/// has the same formats as its creation, which is checked.
const GROUPS: [(&str, &str); 5] = [
    ("qemu", "qemu"),
    ("lxc", "lxc"),
    ("storage", "storage"),
    ("node-config", "node"),
    ("cluster-options", "cluster"),
];
const TWINS: [(&str, &str); 2] = [("qemu", "qemu-config"), ("lxc", "lxc-config")];

/// The schemas that the data was made from, oldest first.
const RELEASES: [&str; 4] = ["6.4", "7.4", "8.4", "9.2"];

/// Members of a key's definition that the client uses.
const KEPT: [&str; 11] = [
    "type",
    "enum",
    "format",
    "pattern",
    "minimum",
    "maximum",
    "maxLength",
    "default",
    "alias",
    "keyAlias",
    "default_key",
];

/// Writes the table of formats: `input` is `pve-property-strings.json`.
pub fn formats(input: &Path, output: &Path) -> Result<()> {
    let data = read(input)?;
    for (one, other) in TWINS {
        ensure!(data[one] == data[other], "{one} and {other} have different formats");
    }
    let mut rows = Vec::new();
    for (group, name) in GROUPS {
        let options = data[group].as_object().with_context(|| format!("no group {group}"))?;
        for (option, format) in options {
            let option = option.trim_end_matches("[n]");
            rows.push(format_row(&format!("{name}/{option}"), format)?);
        }
    }
    let text = format!("{{\"formats\":[\n{}\n]}}\n", rows.join(",\n"));
    fs::write(output, text).with_context(|| format!("cannot write {}", output.display()))
}

fn read(path: &Path) -> Result<Value> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
}

fn format_row(name: &str, format: &Value) -> Result<String> {
    let all = format["versions"].clone();
    let keys = format["keys"].as_object().with_context(|| format!("{name} has no keys"))?;
    let mut lines = Vec::new();
    for (key, definition) in keys {
        let mut row = Map::new();
        for member in KEPT {
            if let Some(value) = definition.get(member) {
                row.insert(member.to_owned(), kept(member, value));
            }
        }
        if definition.get("optional").is_none() && definition.get("alias").is_none() {
            row.insert("required".to_owned(), json!(1));
        }
        if definition["in"] != all {
            span(&mut row, &definition["in"]).with_context(|| format!("{name}.{key}"))?;
        }
        lines.push(format!("{}:{}", json!(key), Value::Object(row)));
    }
    let mut head = Map::new();
    head.insert("name".to_owned(), json!(name));
    span(&mut head, &all).with_context(|| name.to_owned())?;
    let head = Value::Object(head).to_string();
    Ok(format!("{},\"keys\":{{\n {}}}}}", head.trim_end_matches('}'), lines.join(",\n ")))
}

/// Since and until which release: they follow each other without a gap.
fn span(row: &mut Map<String, Value>, releases: &Value) -> Result<()> {
    let names: Vec<&str> =
        releases.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let place = |name: &&str| RELEASES.iter().position(|release| release == name);
    let places: Option<Vec<usize>> = names.iter().map(place).collect();
    let places = places.context("an unknown release")?;
    let (Some(first), Some(last)) = (places.first(), places.last()) else {
        bail!("in no release at all");
    };
    ensure!(last - first + 1 == places.len(), "a gap between releases");
    if *first > 0 {
        row.insert("since".to_owned(), json!(RELEASES[*first]));
    }
    if last + 1 < RELEASES.len() {
        row.insert("until".to_owned(), json!(RELEASES[*last]));
    }
    Ok(())
}

/// Numbers for limits that the schema writes as texts, and patterns in the
/// syntax that others than Perl know.
fn kept(member: &str, value: &Value) -> Value {
    match (member, value) {
        ("minimum" | "maximum", Value::String(text)) => {
            text.parse::<i64>().map_or_else(|_| value.clone(), |number| json!(number))
        }
        ("pattern", Value::String(text)) => json!(portable(text)),
        _ => value.clone(),
    }
}

/// Anchored as a whole by whoever uses it, and in ASCII.
fn portable(pattern: &str) -> String {
    let plain = pattern.replace("(?^:", "(?:").replace("(?^u:", "(?:");
    let plain = plain.replace("(?^i:", "(?i:").replace("{,", "{0,");
    let plain = plain.strip_prefix('^').unwrap_or(&plain);
    let last = plain.strip_suffix('$').filter(|rest| !rest.ends_with('\\'));
    let plain = last.unwrap_or(plain).replace("(?:^", "(?:").replace("$)", ")");
    let mut out = String::new();
    let mut in_class = false;
    let mut letters = plain.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '[' => in_class = true,
            ']' => in_class = false,
            _ => {}
        }
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        match (letters.next(), in_class) {
            (Some('d'), true) => out.push_str("0-9"),
            (Some('d'), false) => out.push_str("[0-9]"),
            (Some('w'), true) => out.push_str("A-Za-z0-9_"),
            (Some('w'), false) => out.push_str("[A-Za-z0-9_]"),
            (Some('0'), _) => out.push_str("\\x00"),
            (Some(other), _) => out.extend(['\\', other]),
            (None, _) => out.push('\\'),
        }
    }
    out
}

/// Writes the table of methods from the schemas of two releases.
pub fn methods(older: &Path, newer: &Path, output: &Path) -> Result<()> {
    let schemas = [("8.4", read(older)?), ("9.2", read(newer)?)];
    let mut pool = Pool::default();
    let mut rows: BTreeMap<(String, String), BTreeMap<&str, String>> = BTreeMap::new();
    for (release, schema) in &schemas {
        let all = schema["methods"].as_array().context("the schema has no list `methods`")?;
        for method in all {
            let text = |name: &str| method[name].as_str().unwrap_or_default().to_owned();
            let key = (text("path"), text("method"));
            let row = method_row(method, &mut pool);
            rows.entry(key).or_default().insert(release, row);
        }
    }
    let mut lines = Vec::new();
    for ((path, verb), versions) in rows {
        let head = format!("{{\"verb\":{},\"path\":{}", json!(verb), json!(path));
        let (older, newer) = (versions.get("8.4"), versions.get("9.2"));
        lines.push(match (older, newer) {
            (Some(older), Some(newer)) if older == newer => format!("{head},\"both\":{older}}}"),
            _ => {
                let part = |name: &str, row: Option<&String>| {
                    row.map(|row| format!(",\"{name}\":{row}")).unwrap_or_default()
                };
                format!("{head}{}{}}}", part("8.4", older), part("9.2", newer))
            }
        });
    }
    let text = format!(
        "{{\"definitions\":[\n{}\n],\n\"methods\":[\n{}\n]}}\n",
        pool.texts.join(",\n"),
        lines.join(",\n")
    );
    fs::write(output, text).with_context(|| format!("cannot write {}", output.display()))
}

/// Equal definitions are stored once.
#[derive(Default)]
struct Pool {
    texts: Vec<String>,
    places: BTreeMap<String, usize>,
}

impl Pool {
    fn place(&mut self, text: String) -> usize {
        let next = self.texts.len();
        *self.places.entry(text.clone()).or_insert_with(|| {
            self.texts.push(text);
            next
        })
    }
}

fn method_row(method: &Value, pool: &mut Pool) -> String {
    let mut parameters = Map::new();
    for (name, definition) in method["parameters"].as_object().into_iter().flatten() {
        let mut row = Map::new();
        for member in KEPT.into_iter().chain(["requires"]) {
            match definition.get(member) {
                Some(Value::Object(_)) if member == "format" => {
                    row.insert("format".to_owned(), json!("property-string"));
                }
                Some(value) if member != "default" => {
                    row.insert(member.to_owned(), kept(member, value));
                }
                _ => {}
            }
        }
        let optional = definition.get("optional").is_some_and(|flag| *flag != json!(0));
        if !optional {
            row.insert("required".to_owned(), json!(1));
        }
        let place = pool.place(Value::Object(row).to_string());
        parameters.insert(name.clone(), json!(place));
    }
    let mut row = Map::new();
    row.insert("parameters".to_owned(), Value::Object(parameters));
    row.insert("returns".to_owned(), returns(&method["returns"]));
    if let Some(rule) = permission(&method["permissions"]) {
        row.insert("permissions".to_owned(), json!(rule));
    }
    for flag in ["protected", "download_allowed"] {
        if method.get(flag).is_some_and(|flag| *flag == json!(1)) {
            row.insert(flag.to_owned(), json!(1));
        }
    }
    if method["allowtoken"] == json!(0) {
        row.insert("allowtoken".to_owned(), json!(0));
    }
    if method["additionalProperties"].as_i64() != Some(0) {
        row.insert("open".to_owned(), json!(1));
    }
    Value::Object(row).to_string()
}

/// `null`, `string`, `object`, `array`, …; optional ones end with `?`.
fn returns(schema: &Value) -> Value {
    let kind = schema["type"].as_str().unwrap_or("any");
    let optional = schema.get("optional").is_some_and(|flag| *flag != json!(0));
    json!(format!("{kind}{}", if optional { "?" } else { "" }))
}

/// The rule as people write it: `and(perm /vms/{vmid} VM.Audit, …)`.
fn permission(rule: &Value) -> Option<String> {
    if let Some(user) = rule.get("user").and_then(Value::as_str) {
        return Some(format!("user {user}"));
    }
    rule.get("check").map(words)
}

fn words(rule: &Value) -> String {
    let Value::Array(items) = rule else {
        return rule.as_str().map_or_else(|| rule.to_string(), str::to_owned);
    };
    let head = items.first().and_then(Value::as_str).unwrap_or_default();
    if matches!(head, "and" | "or") {
        let rest: Vec<String> = items[1..].iter().map(words).collect();
        return format!("{head}({})", rest.join(", "));
    }
    let flat = items.iter().map(|item| match item {
        Value::Array(list) => list.iter().map(words).collect::<Vec<_>>().join("|"),
        other => words(other),
    });
    flat.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn spans_name_only_what_is_not_always() {
        let mut row = Map::new();
        span(&mut row, &json!(["7.4", "8.4"])).unwrap();
        assert_eq!(Value::Object(row), json!({"since": "7.4", "until": "8.4"}));
        let mut row = Map::new();
        span(&mut row, &json!(["6.4", "7.4", "8.4", "9.2"])).unwrap();
        assert!(row.is_empty());
        assert!(span(&mut row, &json!(["6.4", "8.4"])).is_err());
    }

    #[test]
    fn patterns_lose_what_only_perl_knows() {
        assert_eq!(portable(r"(?^:^(0x)[0-9a-f]{16})"), r"(?:(0x)[0-9a-f]{16})");
        assert_eq!(portable("(?^i:a)[b]{,16}"), "(?i:a)[b]{0,16}");
        assert_eq!(portable(r"^(?^u:a)\$$"), r"(?:a)\$");
        assert_eq!(portable(r"\d+[-.\w]\-"), r"[0-9]+[-.A-Za-z0-9_]\-");
    }

    #[test]
    fn permissions_become_one_line() {
        let rule = json!({"check": ["or", ["perm", "/a", ["X", "Y"]], ["perm", "/b", ["Z"]]]});
        assert_eq!(permission(&rule).unwrap(), "or(perm /a X|Y, perm /b Z)");
        assert_eq!(permission(&json!({"user": "all"})).unwrap(), "user all");
        assert_eq!(permission(&Value::Null), None);
    }
}
