//! Generates the simulator's tables of API methods: reads the published schema
//! of a Proxmox VE release and writes, for every method, names, types, ranges,
//! patterns, permissions and the shape of the answer, without prose.
//!
//! Equal parameter definitions and equal answers are stored once
//! (`definitions`, `returns`) and referred to by index, because disk options
//! repeat dozens of times.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

/// Members of a definition that describe it to people only.
const PROSE: &[&str] = &[
    "default_is_prose",
    "description",
    "verbose_description",
    "typetext",
    "format_description",
    "renderer",
    "title",
];

/// Members that are numbers, which the schema sometimes writes as strings.
const NUMBERS: &[&str] = &["minimum", "maximum", "optional", "minLength", "maxLength"];

/// Reads `schema` (JSON) and writes the compact table for `version` to `output`.
pub fn generate(version: &str, schema: &Path, output: &Path) -> Result<()> {
    let text = fs::read_to_string(schema)
        .with_context(|| format!("cannot read the schema {}", schema.display()))?;
    let schema: Value = serde_json::from_str(&text).context("the schema is not JSON")?;
    let table = compact(version, &schema)?;
    fs::write(output, table).with_context(|| format!("cannot write {}", output.display()))
}

/// Texts that are stored once each.
#[derive(Default)]
struct Pool {
    texts: Vec<String>,
    index: BTreeMap<String, usize>,
}

impl Pool {
    fn add(&mut self, value: &Value) -> usize {
        let text = strip(value).to_string();
        let next = self.texts.len();
        *self.index.entry(text.clone()).or_insert_with(|| {
            self.texts.push(text);
            next
        })
    }
}

fn compact(version: &str, schema: &Value) -> Result<String> {
    let all = schema["methods"].as_array().context("the schema has no list `methods`")?;
    let mut definitions = Pool::default();
    let mut returns = Pool::default();
    let mut rows: BTreeMap<(String, String), String> = BTreeMap::new();
    for method in all {
        let key = (
            method["path"].as_str().unwrap_or_default().to_owned(),
            method["method"].as_str().unwrap_or_default().to_owned(),
        );
        let mut parameters = Map::new();
        for (name, definition) in method["parameters"].as_object().into_iter().flatten() {
            parameters.insert(name.clone(), json!(definitions.add(definition)));
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
        // Only a method that says 0 refuses parameters that it does not know.
        if method["additionalProperties"] != json!(0) {
            row.insert("open".into(), json!(1));
        }
        row.insert("parameters".into(), Value::Object(parameters));
        row.insert("returns".into(), json!(returns.add(&method["returns"])));
        rows.insert(key, Value::Object(row).to_string());
    }
    ensure!(!rows.is_empty(), "the schema has no methods");
    let rows: Vec<String> = rows.into_values().collect();
    Ok(format!(
        "{{\"version\":{},\n\"definitions\":[\n{}\n],\n\"returns\":[\n{}\n],\n\"methods\":[\n{}\n]}}\n",
        json!(version),
        definitions.texts.join(",\n"),
        returns.texts.join(",\n"),
        rows.join(",\n")
    ))
}

/// Drops prose, and makes numbers of limits that the schema writes as strings.
fn strip(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(strip).collect(),
        Value::Object(map) => {
            // A member is prose only when it is none of the described names: those hold objects.
            let kept = map.iter().filter(|(key, value)| {
                !value.is_null() && (!PROSE.contains(&key.as_str()) || value.is_object())
            });
            kept.map(|(key, value)| {
                let number = value
                    .as_str()
                    .filter(|_| NUMBERS.contains(&key.as_str()))
                    .and_then(|text| text.parse::<i64>().ok());
                (key.clone(), number.map_or_else(|| strip(value), |number| json!(number)))
            })
            .collect()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn equal_definitions_are_stored_once_and_prose_is_dropped() {
        let schema = json!({"methods": [
            {"path": "/a", "method": "GET", "additionalProperties": 0, "returns": {"type": "null"}, "parameters": {
                "x": {"type": "string", "description": "long", "minimum": "0"}, "y": {"type": "string", "minimum": 0}}},
            {"path": "/b", "method": "GET", "additionalProperties": 1, "returns": {"type": "null"}, "parameters": {}},
        ]});
        let text = compact("8.4", &schema).unwrap();
        let table: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(table["definitions"], json!([{"type": "string", "minimum": 0}]));
        assert_eq!(table["returns"], json!([{"type": "null"}]));
        assert_eq!(
            table["methods"],
            json!([
                {"method": "GET", "path": "/a", "parameters": {"x": 0, "y": 0}, "returns": 0},
                {"method": "GET", "path": "/b", "parameters": {}, "returns": 0, "open": 1},
            ])
        );
    }

    #[test]
    fn a_member_that_is_called_description_stays() {
        let members = json!({"description": {"type": "string", "description": "prose"}});
        let value = strip(&json!({"type": "object", "properties": members}));
        assert_eq!(value["properties"], json!({"description": {"type": "string"}}));
    }
}
