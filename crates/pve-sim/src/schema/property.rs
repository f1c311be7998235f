//! Property strings (`virtio=MAC,bridge=vmbr0,firewall=1`): parse, check, print.

use std::collections::BTreeMap;

use super::{Parameter, check};

/// A parsed property string: keys in Proxmox's own order of printing come from
/// [`print`]; the default key is stored under its real name.
pub(crate) type Properties = BTreeMap<String, String>;

/// A boolean inside a property string. Only there are words taken besides the
/// digits; a parameter of its own must be `0` or `1`.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "on" | "yes" | "true" => Some(true),
        "0" | "off" | "no" | "false" => Some(false),
        _ => None,
    }
}

/// The value as Proxmox keeps it: `1` and `0` for booleans.
pub(crate) fn normal(definition: Option<&Parameter>, value: &str) -> String {
    let flag = definition.filter(|definition| definition.kind == "boolean");
    flag.and_then(|_| boolean(value))
        .map_or_else(|| value.to_owned(), |flag| u8::from(flag).to_string())
}

/// Splits a property string into keys and values without checking the values.
/// Key aliases (`virtio=MAC` for `model=virtio,macaddr=MAC`) are resolved, and
/// booleans are normalised. A key that comes twice is an error.
pub(crate) fn parse(
    keys: &BTreeMap<String, Parameter>,
    text: &str,
) -> Result<Properties, BTreeMap<String, String>> {
    let mut found = Properties::new();
    let mut errors = BTreeMap::new();
    let twice = || "duplicate key in comma-separated list property".to_owned();
    let default =
        keys.iter().find(|(_, key)| key.default_key.is_some()).map(|(name, _)| name.clone());
    for part in text.split(',') {
        if part.trim().is_empty() {
            continue;
        }
        let Some((key, value)) = part.split_once('=') else {
            match &default {
                Some(key) if !found.contains_key(key) => {
                    found.insert(key.clone(), normal(keys.get(key), part));
                }
                Some(key) => {
                    errors.insert(key.clone(), twice());
                }
                None => {
                    errors.insert(
                        part.to_owned(),
                        "value without key, but schema does not define a default key".into(),
                    );
                }
            }
            continue;
        };
        match keys.get(key) {
            None => {
                errors.insert(key.to_owned(), check::UNDEFINED.into());
            }
            Some(definition) => {
                if let Some(real) = &definition.key_alias
                    && found.insert(real.clone(), key.to_owned()).is_some()
                {
                    errors.insert(real.clone(), twice());
                }
                let name = definition.alias.as_deref().unwrap_or(key);
                let value = normal(keys.get(name), value);
                if found.insert(name.to_owned(), value).is_some() {
                    errors.insert(name.to_owned(), twice());
                }
            }
        }
    }
    if errors.is_empty() { Ok(found) } else { Err(errors) }
}

/// Checks a property string; the error lists every key, prefixed with `name`.
pub(crate) fn check(
    keys: &BTreeMap<String, Parameter>,
    name: &str,
    text: &str,
) -> Result<(), String> {
    let errors = match parse(keys, text) {
        Err(errors) => errors,
        Ok(found) => {
            let mut errors = BTreeMap::new();
            for (key, value) in &found {
                if let Some(definition) = keys.get(key)
                    && let Err(text) = check::one(definition, &format!("{name}.{key}"), value)
                {
                    errors.insert(key.clone(), text);
                }
                if let Some(other) = keys.get(key).and_then(|known| known.requires.as_ref())
                    && !found.contains_key(other)
                {
                    errors.insert(other.clone(), check::requires(key));
                }
            }
            for (key, definition) in keys {
                if definition.optional == 0
                    && definition.alias.is_none()
                    && !found.contains_key(key)
                {
                    errors.insert(key.clone(), check::MISSING.into());
                }
            }
            errors
        }
    };
    if errors.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> =
        errors.iter().map(|(key, text)| format!("{name}.{key}: {text}")).collect();
    Err(format!("format error\n{}", lines.join("\n")))
}

/// Prints properties after a leading text, sorted by key.
pub(crate) fn print(lead: &str, properties: &Properties) -> String {
    let mut text = lead.to_owned();
    for (key, value) in properties {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(key);
        text.push('=');
        text.push_str(value);
    }
    text
}
