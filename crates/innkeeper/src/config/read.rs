//! Reading: the file, the environment over it, and who said what.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::dot_env::Variables;
use super::visa::is_environment;
use super::{ACCESS_KEYS, Config, ConfigError};

/// How the variables begin that stand for a key: `INNKEEPER__STORE__READERS` is
/// `store.readers`, `INNKEEPER__PROVIDER__LAB__POOL` is `pool` of the provider
/// `lab`.
pub(super) const PREFIX: &str = "INNKEEPER__";

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// This line of the file.
    Line(usize),
    /// This environment variable.
    Variable(String),
}

/// Who said what, by the key's path.
pub(super) type Sources = BTreeMap<String, Source>;

impl Config {
    /// Reads and checks a configuration file with the environment over it.
    ///
    /// # Errors
    /// [`ConfigError`] naming the file or the key and what was expected.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Ok(Self::read_with(path, environment())?.0)
    }

    /// [`Config::read`] with these variables, and where each value comes from.
    pub(super) fn read_with(
        path: &Path,
        variables: BTreeMap<String, String>,
    ) -> Result<(Self, Sources), ConfigError> {
        if is_environment(path) {
            return Self::read_environment(path);
        }
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let parse = |message: String| ConfigError::Parse { path: path.to_owned(), message };
        let said = |error: toml::de::Error| parse(explained(error.to_string().trim_end()));
        let mut sources = lines(&text).map_err(said)?;
        let config: Self = if variables.is_empty() {
            toml::from_str(&text).map_err(said)?
        } else {
            let mut table: Table = text.parse().map_err(said)?;
            for (name, value) in &variables {
                let key = set(&mut table, name, value)?;
                sources.insert(key, Source::Variable(name.clone()));
            }
            let names: Vec<&str> = variables.keys().map(String::as_str).collect();
            table.try_into().map_err(|error: toml::de::Error| {
                let error = explained(error.to_string().trim_end());
                parse(format!("with {} of the environment: {error}", names.join(", ")))
            })?
        };
        config.check()?;
        Ok((config, sources))
    }
}

impl Config {
    /// Reads and checks the environment file of VISA's web provider for Proxmox,
    /// with the environment over it. A file that is not there says nothing.
    fn read_environment(path: &Path) -> Result<(Self, Sources), ConfigError> {
        let read = |source| ConfigError::Read { path: path.to_owned(), source };
        let parse = |message: String| ConfigError::Parse { path: path.to_owned(), message };
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text.map_err(read)?,
        };
        let variables = Variables::read(&text).map_err(parse)?;
        let mut table = super::visa::table(&variables)?;
        let mut sources = Sources::new();
        for (name, value) in variables.beginning(PREFIX) {
            let key = set(&mut table, &name, &value)?;
            sources.insert(key, Source::Variable(name));
        }
        let config: Self = table
            .try_into()
            .map_err(|error: toml::de::Error| parse(explained(error.to_string().trim_end())))?;
        config.check()?;
        Ok((config, sources))
    }
}

/// The variables that stand for a key.
pub(super) fn environment() -> BTreeMap<String, String> {
    std::env::vars().filter(|(name, _)| name.starts_with(PREFIX)).collect()
}

/// Puts a variable's value in its place, and says the key's path.
fn set(table: &mut Table, name: &str, value: &str) -> Result<String, ConfigError> {
    let wrong = |message: String| ConfigError::Value { field: name.to_owned(), message };
    let words: Vec<String> = name[PREFIX.len()..].split("__").map(str::to_lowercase).collect();
    let (place, path, key) = match words.as_slice() {
        [key] => (table, String::new(), key),
        [section, provider, key] if section == "provider" => {
            let (place, id) = provider_named(table, provider).map_err(wrong)?;
            (place, format!("provider.{id}."), key)
        }
        [section, key] => {
            let place = table.entry(section.clone()).or_insert_with(|| Table::new().into());
            let Value::Table(place) = place else {
                return Err(wrong(format!("expected {section} to be a table")));
            };
            (place, format!("{section}."), key)
        }
        _ => {
            let message = "expected INNKEEPER__KEY, INNKEEPER__SECTION__KEY or \
                           INNKEEPER__PROVIDER__NAME__KEY";
            return Err(wrong(message.to_owned()));
        }
    };
    place.insert(key.clone(), parsed(value).map_err(wrong)?);
    Ok(format!("{path}{key}"))
}

/// The table of the provider whose name reads so in a variable, and its name.
fn provider_named<'a>(
    table: &'a mut Table,
    wanted: &str,
) -> Result<(&'a mut Table, String), String> {
    let mut known = Vec::new();
    let providers = table.get_mut("provider").and_then(Value::as_array_mut);
    for provider in providers.into_iter().flatten().filter_map(Value::as_table_mut) {
        let Some(name) = provider.get("name").and_then(Value::as_str).map(str::to_owned) else {
            continue;
        };
        if name.to_lowercase().replace('-', "_") == wanted {
            return Ok((provider, name));
        }
        known.push(name);
    }
    Err(format!(
        "expected the name of a [[provider]] of the file ({}), got {wanted}",
        known.join(", ")
    ))
}

/// A list, a table, a quoted text, a number or a truth value is read as TOML;
/// all else is text.
fn parsed(text: &str) -> Result<Value, String> {
    let is_toml = text.starts_with(['[', '{', '"', '\''])
        || matches!(text, "true" | "false")
        || text.parse::<i64>().is_ok()
        || text.parse::<f64>().is_ok_and(f64::is_finite);
    if !is_toml {
        return Ok(Value::String(text.to_owned()));
    }
    let read = format!("value = {text}").parse::<Table>();
    let value = read.ok().and_then(|mut table| table.remove("value"));
    value.ok_or_else(|| "expected a value as TOML writes it, or plain text".to_owned())
}

/// The line that each key of the file stands on.
fn lines(text: &str) -> Result<Sources, toml::de::Error> {
    let mut found = Sources::new();
    let table = DeTable::parse(text)?;
    let line = |at: usize| text[..at].matches('\n').count() + 1;
    collect(table.get_ref(), "", &line, &mut found);
    Ok(found)
}

fn collect(table: &DeTable<'_>, path: &str, line: &dyn Fn(usize) -> usize, found: &mut Sources) {
    for (key, value) in table {
        let name = format!("{path}{}", key.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) => collect(inner, &format!("{name}."), line, found),
            DeValue::Array(list) if name == "provider" => {
                for (index, provider) in list.iter().enumerate() {
                    let DeValue::Table(inner) = provider.get_ref() else { continue };
                    let id = inner.iter().find(|(key, _)| key.get_ref() == "name");
                    let id = id.and_then(|(_, value)| value.get_ref().as_str());
                    let id = id.map_or_else(|| index.to_string(), str::to_owned);
                    collect(inner, &format!("provider.{id}."), line, found);
                }
            }
            _ => {
                found.insert(name, Source::Line(line(key.span().start)));
            }
        }
    }
}

/// How alike two keys are at least for one to be taken for the other (of 1, by Jaro
/// and Winkler): swapped words pass, other words do not.
const ALIKE: f64 = 0.8;

/// A message about an unknown key, with the known key that is nearest to it.
fn explained(message: &str) -> String {
    let quoted = |text: &str| -> Vec<String> {
        text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let Some((_, rest)) = message.split_once("unknown field ") else { return message.to_owned() };
    let mut words = quoted(rest).into_iter();
    let Some(unknown) = words.next() else { return message.to_owned() };
    let mut known: Vec<String> = words.collect();
    // Two structs share a provider's table; serde names the keys of one.
    if known.iter().any(|key| key == "vmid_range") {
        known.extend(ACCESS_KEYS.map(str::to_owned));
        known.push("kind".to_owned());
    }
    let near = |key: &String| strsim::jaro_winkler(key, &unknown);
    let nearest = known.iter().max_by(|one, other| near(one).total_cmp(&near(other)));
    match nearest.filter(|key| near(key) >= ALIKE) {
        Some(key) => format!("{message}\ndid you mean `{key}`?"),
        None => message.to_owned(),
    }
}
