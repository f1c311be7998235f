//! Generates the simulator's tables of API methods: reads the published schema
//! of a Proxmox VE release and writes, for the methods that the simulator
//! implements, names, types, ranges, patterns and permissions without prose.
//!
//! Equal parameter definitions are stored once (`definitions`) and referred to
//! by index, because disk options repeat dozens of times.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

/// Members of a parameter definition that describe it to people only.
const PROSE: &[&str] =
    &["default_is_prose", "description", "verbose_description", "typetext", "format_description"];

/// Reads `schema` (JSON) and the list `methods` (`METHOD /path` per line, `#`
/// comments), and writes the compact table for `version` to `output`.
///
/// Methods that this version of the schema does not have are left out: the
/// simulator answers 501 for them.
pub fn generate(version: &str, schema: &Path, methods: &Path, output: &Path) -> Result<()> {
    let text = fs::read_to_string(schema)
        .with_context(|| format!("cannot read the schema {}", schema.display()))?;
    let schema: Value = serde_json::from_str(&text).context("the schema is not JSON")?;
    let list = fs::read_to_string(methods)
        .with_context(|| format!("cannot read the list {}", methods.display()))?;
    let table = compact(version, &schema, &wanted(&list))?;
    fs::write(output, table).with_context(|| format!("cannot write {}", output.display()))
}

fn wanted(list: &str) -> BTreeSet<(String, String)> {
    list.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .map(|(method, path)| (path.to_owned(), method.to_owned()))
        .collect()
}

fn compact(version: &str, schema: &Value, wanted: &BTreeSet<(String, String)>) -> Result<String> {
    let all = schema["methods"].as_array().context("the schema has no list `methods`")?;
    let mut definitions: Vec<String> = Vec::new();
    let mut index: BTreeMap<String, usize> = BTreeMap::new();
    let mut rows: BTreeMap<(String, String), String> = BTreeMap::new();
    for method in all {
        let key = (
            method["path"].as_str().unwrap_or_default().to_owned(),
            method["method"].as_str().unwrap_or_default().to_owned(),
        );
        if !wanted.contains(&key) {
            continue;
        }
        let mut parameters = Map::new();
        for (name, definition) in method["parameters"].as_object().into_iter().flatten() {
            let text = strip(definition).to_string();
            let next = definitions.len();
            let position = *index.entry(text.clone()).or_insert_with(|| {
                definitions.push(text);
                next
            });
            parameters.insert(name.clone(), json!(position));
        }
        let mut row = Map::new();
        row.insert("method".into(), json!(key.1));
        row.insert("path".into(), json!(key.0));
        for flag in ["protected", "proxyto", "permissions"] {
            if let Some(value) = method.get(flag).filter(|value| !value.is_null()) {
                row.insert(flag.into(), value.clone());
            }
        }
        if method["allowtoken"] == json!(0) {
            row.insert("allowtoken".into(), json!(0));
        }
        row.insert("parameters".into(), Value::Object(parameters));
        rows.insert(key, Value::Object(row).to_string());
    }
    ensure!(!rows.is_empty(), "none of the wanted methods is in the schema");
    let rows: Vec<String> = rows.into_values().collect();
    Ok(format!(
        "{{\"version\":{},\n\"definitions\":[\n{}\n],\n\"methods\":[\n{}\n]}}\n",
        json!(version),
        definitions.join(",\n"),
        rows.join(",\n")
    ))
}

/// Drops prose, and makes numbers of limits that the schema writes as strings.
fn strip(value: &Value) -> Value {
    let Value::Object(map) = value else { return value.clone() };
    let kept = map.iter().filter(|(key, _)| !PROSE.contains(&key.as_str()));
    kept.map(|(key, value)| {
        let number = value
            .as_str()
            .filter(|_| key == "minimum" || key == "maximum")
            .and_then(|text| text.parse::<i64>().ok());
        (key.clone(), number.map_or_else(|| strip(value), |number| json!(number)))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn equal_definitions_are_stored_once_and_prose_is_dropped() {
        let schema = json!({"methods": [
            {"path": "/a", "method": "GET", "parameters": {
                "x": {"type": "string", "description": "long", "minimum": "0"}, "y": {"type": "string", "minimum": 0}}},
            {"path": "/b", "method": "GET", "parameters": {}},
        ]});
        let text = compact("8.4", &schema, &wanted("# comment\nGET /a\n")).unwrap();
        let table: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(table["definitions"], json!([{"type": "string", "minimum": 0}]));
        assert_eq!(
            table["methods"],
            json!([{"method": "GET", "path": "/a", "parameters": {"x": 0, "y": 0}}])
        );
    }
}
