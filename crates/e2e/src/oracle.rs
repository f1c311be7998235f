//! The oracle: the whole world, store and hypervisor, as values that can be
//! compared.

use model::{Instance, Phase};
use serde_json::{Value, json};

use crate::bench::Bench;

/// Everything that could leak or be lost: the dumps of store and world, with
/// the ids that chance or a retry gives replaced by words.
///
/// # Errors
/// When the store fails.
pub async fn everything(bench: &Bench) -> anyhow::Result<Value> {
    let store = bench.store().dump().await?;
    let mut everything = json!({ "store": store, "world": bench.world.dump() });
    for instance in bench.store().instances(&store::InstanceFilter::default()).await? {
        for (found, word) in chance(&instance) {
            replace(&mut everything, &found, &format!("{word}-{}", instance.spec.name));
        }
    }
    Ok(everything)
}

/// Replaces a text in all texts, names and numbers of a value.
fn replace(value: &mut Value, found: &str, word: &str) {
    match value {
        Value::Object(map) => {
            *map = std::mem::take(map)
                .into_iter()
                .map(|(key, mut value)| {
                    replace(&mut value, found, word);
                    (key.replace(found, word), value)
                })
                .collect();
        }
        Value::Array(list) => list.iter_mut().for_each(|value| replace(value, found, word)),
        Value::String(text) if text.contains(found) => *text = text.replace(found, word),
        Value::Number(number) if number.to_string() == found => *value = word.into(),
        _ => {}
    }
}

/// The word that stands for an instance's id.
fn named(instance: &Instance) -> String {
    format!("INSTANCE-{}", instance.spec.name)
}

/// What differs between two runs of the same creation.
fn chance(instance: &Instance) -> Vec<(String, &'static str)> {
    let mut found =
        vec![(instance.attempt.to_string(), "ATTEMPT"), (instance.id.to_string(), "INSTANCE")];
    if let Value::Object(native) = &instance.native {
        for value in native.values() {
            match value {
                Value::Number(number) if number.as_u64().is_some_and(|n| n >= 1000) => {
                    found.push((number.to_string(), "ID"));
                }
                Value::String(text) if text.len() == 36 => {
                    found.push((text.clone(), "GUEST-UUID"));
                }
                _ => {}
            }
        }
    }
    found
}

/// What a failed creation may leave: the world before, and the failed row.
///
/// # Errors
/// A text that says what is left over or missing.
pub fn check_unwound(before: &Value, after: &Value, instance: &Instance) -> Result<(), String> {
    if instance.phase != Phase::Failed {
        return Err(format!("the row is {:?}, not failed", instance.phase));
    }
    if instance.fault.is_none() || !instance.native.is_null() {
        return Err(format!("the row has no fault or still a guest: {instance:?}"));
    }
    same("world", &before["world"], &after["world"])?;
    let mut store = after["store"].clone();
    if let Value::Object(tables) = &mut store {
        for (name, table) in tables.iter_mut() {
            let id = named(instance);
            let of_it = |row: &Value| row.to_string().contains(&id);
            if matches!(name.as_str(), "instances" | "operations" | "workflows")
                && let Value::Array(rows) = table
            {
                rows.retain(|row| !of_it(row));
            }
        }
    }
    same("store", &before["store"], &store)
}

/// Two values that should be the same, with the first difference named.
///
/// # Errors
/// A text that names the first difference.
pub fn same(what: &str, expected: &Value, found: &Value) -> Result<(), String> {
    match (expected, found) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()) {
                let none = Value::Null;
                let (a, b) = (a.get(key).unwrap_or(&none), b.get(key).unwrap_or(&none));
                same(&format!("{what}.{key}"), a, b)?;
            }
            Ok(())
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                same(&format!("{what}[{index}]"), a, b)?;
            }
            Ok(())
        }
        (a, b) if a == b => Ok(()),
        (a, b) => Err(format!("{what}: expected {a}, found {b}")),
    }
}
