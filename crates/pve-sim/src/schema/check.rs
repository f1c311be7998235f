//! Checks the parameters of a call as Proxmox does: every error at once, with
//! Proxmox's texts.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Format, Method, Parameter, formats, property};
use crate::fail::Fail;

/// Checks all parameters of a call.
pub(crate) fn parameters(method: &Method, given: &BTreeMap<String, Value>) -> Result<(), Fail> {
    let mut errors = BTreeMap::new();
    for (name, value) in given {
        match method.parameter(name) {
            None if method.open => {}
            None => {
                errors.insert(name.clone(), UNDEFINED.to_owned());
            }
            Some(parameter) => {
                let before = errors.len();
                value_of(parameter, name, value, &mut errors);
                if errors.len() == before
                    && let Some(other) = &parameter.requires
                    && !given.contains_key(other)
                {
                    errors.insert(other.clone(), requires(name));
                }
            }
        }
    }
    for name in method.required() {
        if !name.ends_with("[n]") && !given.contains_key(name) {
            errors.insert(name.to_owned(), MISSING.to_owned());
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Fail::parameters(errors)) }
}

/// The text for a name that the schema does not have.
pub(crate) const UNDEFINED: &str =
    "property is not defined in schema and the schema does not allow additional properties";
/// The text for a required name that was not given.
pub(crate) const MISSING: &str = "property is missing and it is not optional";

/// The text of a scalar; `None` for lists and objects.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(u8::from(*flag).to_string()),
        Value::Null => Some(String::new()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Several values of a text that is a list (`content=iso&content=backup`): one text.
fn list(parameter: &Parameter, value: &Value) -> Option<String> {
    let Value::Array(items) = value else { return None };
    match &parameter.format {
        Some(Format::Named(format)) if format.ends_with("-list") => {
            let items: Option<Vec<String>> = items.iter().map(scalar).collect();
            items.map(|items| items.join(","))
        }
        _ => None,
    }
}

/// The text for a missing name that `name` needs beside it.
pub(crate) fn requires(name: &str) -> String {
    format!("missing property - '{name}' requires this property")
}

fn value_of(
    parameter: &Parameter,
    name: &str,
    value: &Value,
    errors: &mut BTreeMap<String, String>,
) {
    if parameter.kind == "array" {
        // A single value stands for a list of one.
        let items = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
        if let Some(item) = &parameter.items {
            for (index, value) in items.iter().enumerate() {
                value_of(item, &format!("{name}[{index}]"), value, errors);
            }
        }
        return;
    }
    let checked = match list(parameter, value).or_else(|| scalar(value)) {
        Some(text) => one(parameter, name, &text),
        None => Err(format!("type check ('{}') failed - got {}", parameter.kind, kind_of(value))),
    };
    if let Err(text) = checked {
        errors.insert(name.to_owned(), text);
    }
}

fn kind_of(value: &Value) -> &'static str {
    if value.is_array() { "ARRAY" } else { "HASH" }
}

/// Checks one value; `name` prefixes the keys of property strings in errors.
pub(crate) fn one(parameter: &Parameter, name: &str, text: &str) -> Result<(), String> {
    type_of(&parameter.kind, text)?;
    if let Some(format) = &parameter.format {
        match format {
            Format::Named(format) => {
                formats::named(format, name, text)
                    .map_err(|text| format!("invalid format - {text}\n"))?;
            }
            Format::Keys(keys) => {
                property::check(keys, name, text)
                    .map_err(|text| format!("invalid format - {text}\n"))?;
            }
        }
    }
    if let Some(regex) = parameter.regex()
        && !regex.is_match(text)
    {
        return Err("value does not match the regex pattern".into());
    }
    if let Some(limit) = parameter.max_length
        && text.chars().count() > limit
    {
        return Err(format!("value may only be {limit} characters long"));
    }
    if let Some(limit) = parameter.min_length
        && text.chars().count() < limit
    {
        return Err(format!("value must be at least {limit} characters long"));
    }
    if let Ok(number) = text.parse::<f64>() {
        if let Some(limit) = parameter.minimum
            && number < limit
        {
            return Err(format!("value must have a minimum value of {limit}"));
        }
        if let Some(limit) = parameter.maximum
            && number > limit
        {
            return Err(format!("value must have a maximum value of {limit}"));
        }
    }
    if !parameter.values.is_empty() && !parameter.values.iter().any(|known| known == text) {
        return Err(not_in(text, &parameter.values));
    }
    Ok(())
}

/// The text for a value outside an enumeration.
pub(crate) fn not_in(text: &str, values: &[impl AsRef<str>]) -> String {
    let list: Vec<&str> = values.iter().map(AsRef::as_ref).collect();
    format!("value '{text}' does not have a value in the enumeration '{}'", list.join(", "))
}

fn type_of(kind: &str, text: &str) -> Result<(), String> {
    let fits = match kind {
        "integer" => {
            let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
            !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
        }
        "number" => text.parse::<f64>().is_ok_and(f64::is_finite),
        "boolean" => text == "0" || text == "1",
        _ => true,
    };
    if fits { Ok(()) } else { Err(format!("type check ('{kind}') failed - got '{text}'")) }
}
