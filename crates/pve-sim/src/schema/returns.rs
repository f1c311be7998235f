//! Whether answers are what the API's published schema says of them.
//!
//! Proxmox does not check its own answers, and some of them contradict its
//! schema. So this is for tests: a simulator checks its answers when it was
//! told to ([`crate::Builder::check_answers`]), and only keeps a list.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::Value;

use super::{Table, Version, check};

/// How many elements of a list are looked at.
const ELEMENTS: usize = 1000;

/// One place where an answer is not what the schema says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mismatch {
    /// The release whose schema was looked at.
    pub version: Version,
    /// `GET`, `POST`, …
    pub verb: String,
    /// The path with its variables: `/nodes/{node}/qemu`.
    pub path: String,
    /// Where in `data`: `.` is all of it, `[].vmid` a key of a list's elements.
    pub at: String,
    /// What is wrong, with the first value that was.
    pub text: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, verb, path, at, text } = self;
        write!(out, "{version:?} {verb} {path} {at} {text}")
    }
}

/// What the schema says of a value.
#[derive(Debug, Default, Deserialize)]
struct Returns {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    optional: Value,
    #[serde(default)]
    properties: BTreeMap<String, Returns>,
    #[serde(default)]
    items: Option<Box<Returns>>,
    #[serde(default, rename = "enum")]
    values: Vec<String>,
    #[serde(default)]
    minimum: Option<f64>,
    #[serde(default)]
    maximum: Option<f64>,
    #[serde(default = "open", rename = "additionalProperties")]
    additional: Value,
    #[serde(default, rename = "oneOf")]
    one_of: Option<Value>,
}

fn open() -> Value {
    Value::from(1)
}

impl Returns {
    fn is_optional(&self) -> bool {
        check::scalar(&self.optional).is_some_and(|text| text == "1")
    }

    /// Adds what is wrong with a value: where, and what.
    fn check(&self, value: &Value, at: &str, found: &mut BTreeMap<String, String>) {
        let mut wrong = |text: String| {
            found.entry(if at.is_empty() { ".".into() } else { at.to_owned() }).or_insert(text);
        };
        if self.one_of.is_some() || self.kind == "any" || self.kind.is_empty() {
            return;
        }
        match (self.kind.as_str(), value) {
            ("null", Value::Null) => {}
            // An undefined value is an absent one.
            (_, Value::Null) if self.is_optional() => {}
            ("array", Value::Array(items)) => {
                if let Some(schema) = &self.items {
                    for item in items.iter().take(ELEMENTS) {
                        schema.check(item, &format!("{at}[]"), found);
                    }
                }
            }
            ("object", Value::Object(map)) => self.check_object(map, at, found),
            ("array" | "object" | "null", other) => {
                wrong(format!("expected {}, got {}", self.kind, shown(other)));
            }
            (_, scalar) => match check::scalar(scalar) {
                Some(text) if !scalar.is_null() => {
                    if let Err(text) = self.check_text(&text) {
                        wrong(text);
                    }
                }
                _ => wrong(format!("expected {}, got {}", self.kind, shown(scalar))),
            },
        }
    }

    fn check_object(
        &self,
        map: &serde_json::Map<String, Value>,
        at: &str,
        found: &mut BTreeMap<String, String>,
    ) {
        for (name, schema) in &self.properties {
            let at = format!("{at}.{name}");
            match map.get(name) {
                Some(value) => schema.check(value, &at, found),
                None if schema.is_optional() || name.ends_with("[n]") => {}
                None => {
                    found.entry(at).or_insert_with(|| "missing".into());
                }
            }
        }
        if check::scalar(&self.additional).is_some_and(|text| text == "0") {
            for name in map.keys().filter(|name| !self.has(name)) {
                found.entry(format!("{at}.{name}")).or_insert_with(|| "not in the schema".into());
            }
        }
    }

    fn has(&self, name: &str) -> bool {
        let indexed = super::split_index(name).map(|(stem, _)| format!("{stem}[n]"));
        self.properties.contains_key(name)
            || indexed.is_some_and(|name| self.properties.contains_key(&name))
    }

    /// Perl's view: a number and its text are the same.
    fn check_text(&self, text: &str) -> Result<(), String> {
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        let fits = match self.kind.as_str() {
            "integer" => number.is_some_and(|number| number.fract() == 0.0),
            "number" => number.is_some(),
            "boolean" => matches!(text, "0" | "1"),
            _ => true,
        };
        if !fits {
            return Err(format!("expected {}, got '{text}'", self.kind));
        }
        if !self.values.is_empty() && !self.values.iter().any(|value| value == text) {
            return Err(check::not_in(text, &self.values));
        }
        match number {
            Some(number) if self.minimum.is_some_and(|limit| number < limit) => {
                Err(format!("{text} is below the minimum"))
            }
            Some(number) if self.maximum.is_some_and(|limit| number > limit) => {
                Err(format!("{text} is above the maximum"))
            }
            _ => Ok(()),
        }
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    text.chars().take(60).collect()
}

#[derive(Deserialize)]
struct Raw {
    returns: Vec<Returns>,
    methods: Vec<RawMethod>,
}

#[derive(Deserialize)]
struct RawMethod {
    method: String,
    path: String,
    returns: usize,
}

struct Answers {
    returns: Vec<Returns>,
    methods: HashMap<(String, String), usize>,
}

impl Answers {
    #[allow(clippy::expect_used, reason = "the tables are part of the program; a test reads all")]
    fn read(text: &str) -> Self {
        let raw: Raw = serde_json::from_str(text).expect("the generated table is well-formed");
        let methods = raw.methods.into_iter();
        let methods = methods.map(|one| ((one.method, one.path), one.returns)).collect();
        Self { returns: raw.returns, methods }
    }

    /// Of a release; 8.4 stands in for 7.4. Parsed once per process, and not before it is needed.
    fn of(version: Version) -> &'static Self {
        static V8: OnceLock<Answers> = OnceLock::new();
        static V9: OnceLock<Answers> = OnceLock::new();
        match version {
            Version::V7_4 | Version::V8_4 => {
                V8.get_or_init(|| Self::read(include_str!("8.4.json")))
            }
            Version::V9_2 => V9.get_or_init(|| Self::read(include_str!("9.2.json"))),
        }
    }
}

/// What is not as the schema says in `data` of a successful answer to a request
/// (`path` below `/api2/json`, decoded); nothing for methods that are not known.
///
/// A number and its text are the same, as in Proxmox; of a list the first
/// thousand elements are looked at.
pub fn check_answer(version: Version, verb: &str, path: &str, data: &Value) -> Vec<Mismatch> {
    let table = Table::of(version);
    let Some((index, _)) = table.find(verb, path) else { return Vec::new() };
    let method = &table.methods[index];
    let answers = Answers::of(version);
    let Some(returns) = answers.methods.get(&(method.verb.clone(), method.path.clone())) else {
        return Vec::new();
    };
    let mut found = BTreeMap::new();
    answers.returns[*returns].check(data, "", &mut found);
    let (verb, path) = (&method.verb, &method.path);
    let mismatch =
        |(at, text)| Mismatch { version, verb: verb.clone(), path: path.clone(), at, text };
    found.into_iter().map(mismatch).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(path: &str, data: &Value) -> Vec<String> {
        let found = check_answer(Version::V8_4, "GET", path, data);
        found.into_iter().map(|one| format!("{} {}", one.at, one.text)).collect()
    }

    #[test]
    fn wrong_types_missing_keys_and_unknown_words_are_found() {
        let path = "/nodes/pve1/qemu";
        assert!(texts(path, &json!([{"vmid": "100", "status": "running"}])).is_empty());
        assert_eq!(
            texts(path, &json!([{"vmid": 1.5, "status": "asleep"}, {"status": "running"}])),
            [
                "[].status value 'asleep' does not have a value in the enumeration 'stopped, running'",
                "[].vmid expected integer, got '1.5'",
            ]
        );
        assert_eq!(texts(path, &json!([{"status": "running"}])), ["[].vmid missing"]);
        assert_eq!(texts(path, &Value::Null), [". expected array, got null"]);
        assert_eq!(texts(path, &json!([{"vmid": 99, "status": "stopped"}])).len(), 1);
    }

    #[test]
    fn every_table_of_answers_can_be_read() {
        for version in Version::ALL {
            assert!(Answers::of(version).methods.len() > 500);
        }
    }
}
