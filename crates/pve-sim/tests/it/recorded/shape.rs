//! What is compared of two answers: the shape of a body is its keys and the
//! types of their values; that of a list is the union of its elements' shapes.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::Value;

/// Texts that clients see and act on, so that they are compared as they are.
const TEXTS: &[&str] = &["message", "exitstatus"];

#[derive(Debug, Default, PartialEq, Eq)]
struct Shape {
    /// `number`, `string`, `null`, `boolean`, `list`, `object`.
    kinds: BTreeSet<&'static str>,
    members: BTreeMap<String, Shape>,
    /// Of all elements together.
    elements: Option<Box<Shape>>,
}

impl Shape {
    fn add(&mut self, value: &Value) {
        self.kinds.insert(match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "list",
            Value::Object(_) => "object",
        });
        match value {
            Value::Array(items) => {
                for item in items {
                    self.elements.get_or_insert_default().add(item);
                }
            }
            Value::Object(map) => {
                for (key, value) in map {
                    self.members.entry(key.clone()).or_default().add(value);
                }
            }
            _ => {}
        }
    }

    fn differences(&self, other: &Self, at: &str, found: &mut Vec<String>) {
        if self.kinds != other.kinds {
            found.push(format!("{at}: recorded {:?}, here {:?}", self.kinds, other.kinds));
        }
        let missing: Vec<&String> =
            self.members.keys().filter(|key| !other.members.contains_key(*key)).collect();
        if !missing.is_empty() {
            found.push(format!("{at}: missing {missing:?}"));
        }
        let extra: Vec<&String> =
            other.members.keys().filter(|key| !self.members.contains_key(*key)).collect();
        if !extra.is_empty() {
            found.push(format!("{at}: not recorded {extra:?}"));
        }
        for (key, shape) in &self.members {
            if let Some(other) = other.members.get(key) {
                shape.differences(other, &format!("{at}.{key}"), found);
            }
        }
        match (&self.elements, &other.elements) {
            (Some(own), Some(other)) => own.differences(other, &format!("{at}[]"), found),
            (Some(_), None) => found.push(format!("{at}: empty here")),
            (None, Some(_)) => found.push(format!("{at}: recorded as empty")),
            (None, None) => {}
        }
    }
}

/// Texts without places in Proxmox's own source, which change with every patch.
pub fn text(text: &str) -> String {
    let place = Regex::new(r" at (/usr/share/perl5/\S+|\(eval \d+\)) line \d+\.?").unwrap();
    place.replace_all(text.trim_end(), "").into_owned()
}

fn texts(value: &Value, found: &mut Vec<(String, String)>) {
    let Value::Object(map) = value else { return };
    for (key, value) in map {
        if TEXTS.contains(&key.as_str())
            && let Value::String(one) = value
        {
            found.push((key.clone(), text(one)));
        }
        if key == "errors" {
            for (name, value) in value.as_object().into_iter().flatten() {
                found.push((format!("errors.{name}"), text(value.as_str().unwrap_or_default())));
            }
        }
        if key == "data" {
            texts(value, found);
        }
    }
}

/// What differs between a recorded body and one of here.
pub fn compare(recorded: &str, here: &str) -> Vec<String> {
    let parse = |text: &str| serde_json::from_str::<Value>(text).ok();
    let (Some(recorded_json), Some(here_json)) = (parse(recorded), parse(here)) else {
        return if text(recorded) == text(here) {
            Vec::new()
        } else {
            vec![format!("body: recorded {recorded:?}, here {here:?}")]
        };
    };
    let mut found = Vec::new();
    let (mut own, mut other) = (Shape::default(), Shape::default());
    own.add(&recorded_json);
    other.add(&here_json);
    own.differences(&other, "body", &mut found);
    let (mut own, mut other) = (Vec::new(), Vec::new());
    texts(&recorded_json, &mut own);
    texts(&here_json, &mut other);
    own.sort();
    other.sort();
    if own != other {
        found.push(format!("texts: recorded {own:?}, here {other:?}"));
    }
    found
}

#[test]
fn shapes_tell_types_keys_and_empty_lists_apart() {
    assert!(compare(r#"{"data":[{"a":1},{"b":"x"}]}"#, r#"{"data":[{"b":"y","a":2}]}"#).is_empty());
    assert_eq!(
        compare(r#"{"data":[{"a":1}]}"#, r#"{"data":[{"a":"1","c":2}]}"#),
        [
            r#"body.data[]: not recorded ["c"]"#,
            r#"body.data[].a: recorded {"number"}, here {"string"}"#
        ]
    );
    assert_eq!(compare(r#"{"data":[1]}"#, r#"{"data":[]}"#), ["body.data: empty here"]);
    assert_eq!(compare(r#"{"message":"a\n"}"#, r#"{"message":"b"}"#).len(), 1);
    assert!(compare("x at /usr/share/perl5/A.pm line 1.\n", "x").is_empty());
}
