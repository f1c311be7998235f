//! `innkeeper config explain`: every key, its value, and who said it.

use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;

use super::read::{Source, Sources, environment};
use super::{Config, ProviderConfig};

/// What is done with configurations.
#[derive(Subcommand, Clone, Debug)]
pub enum ConfigCommand {
    /// Show every key with its value and where the value comes from
    ///
    /// Checks the configuration on the way. Reads no secret and reaches no
    /// cluster: `innkeeper doctor` does.
    Explain(Explain),
}

/// Which configuration, and how it is shown.
#[derive(Args, Clone, Debug)]
pub struct Explain {
    /// The configuration
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
    /// Print JSON: a list of objects with `key`, `value` and `from`
    #[arg(long)]
    json: bool,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Line {
    key: String,
    value: Value,
    from: String,
}

/// Prints it.
///
/// # Errors
/// When the configuration cannot be read.
pub fn run(options: &Explain) -> Result<()> {
    let (config, sources) = Config::read_with(&options.config, environment())?;
    let name = options.config.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let lines = lines(&config, &sources, &name)?;
    let text = match options.json {
        true => format!("{}\n", serde_json::to_string_pretty(&lines)?),
        false => table(&lines),
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever reads it has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot print"),
    }
}

fn table(lines: &[Line]) -> String {
    let rows: Vec<_> =
        lines.iter().map(|line| (line.key.as_str(), shown(&line.value), &line.from)).collect();
    let keys = rows.iter().map(|row| row.0.len()).max().unwrap_or(0);
    let values = rows.iter().map(|row| row.1.chars().count()).max().unwrap_or(0).min(48);
    rows.iter()
        .map(|(key, value, from)| format!("{key:keys$}  {value:values$}  {from}\n"))
        .collect()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "(not set)".to_owned(),
        value => value.to_string(),
    }
}

fn lines(config: &Config, sources: &Sources, file: &str) -> Result<Vec<Line>> {
    let mut whole = serde_json::to_value(config)?;
    let whole = whole.as_object_mut().context("a configuration is a table")?;
    let mut lines = Vec::new();
    let providers = whole.remove("provider");
    for (key, value) in whole.iter() {
        flatten(key, value, sources, file, &mut lines);
    }
    let tables = providers.iter().filter_map(Value::as_array).flatten();
    for (table, provider) in tables.zip(&config.providers) {
        let ProviderConfig::Proxmox(_) = provider;
        flatten(&format!("provider.{}", provider.name()), table, sources, file, &mut lines);
    }
    Ok(lines)
}

/// The keys below one; a table that is set as a whole is one line.
fn flatten(key: &str, value: &Value, sources: &Sources, file: &str, lines: &mut Vec<Line>) {
    match value {
        Value::Object(inner) if !sources.contains_key(key) && !inner.is_empty() => {
            for (name, value) in inner {
                flatten(&format!("{key}.{name}"), value, sources, file, lines);
            }
        }
        value => {
            let from = match sources.get(key) {
                Some(Source::Line(line)) => format!("{file}:{line}"),
                Some(Source::Variable(name)) => name.clone(),
                None => "default".to_owned(),
            };
            lines.push(Line { key: key.to_owned(), value: value.clone(), from });
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::tests::GOOD;

    #[test]
    fn each_value_says_who_said_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("innkeeper.toml");
        std::fs::write(&path, GOOD.replace("vmid_range", "limits = { requests = 8 }\nvmid_range"))
            .unwrap();
        let variables = [
            ("INNKEEPER__STORE__READERS".to_owned(), "12".to_owned()),
            ("INNKEEPER__PROVIDER__LAB__POOL".to_owned(), "desktops".to_owned()),
        ];
        let (config, sources) = Config::read_with(&path, variables.into()).unwrap();
        let lines = lines(&config, &sources, "innkeeper.toml").unwrap();
        let from = |key: &str| {
            let line = lines.iter().find(|line| line.key == key);
            let line = line.unwrap_or_else(|| panic!("{key} of {lines:#?}"));
            (shown(&line.value), line.from.clone())
        };
        let both = |value: &str, from: &str| (value.to_owned(), from.to_owned());
        assert_eq!(from("state"), both("\"/var/lib/innkeeper\"", "innkeeper.toml:2"));
        assert_eq!(from("native.listen"), both("\"127.0.0.1:8007\"", "default"));
        assert_eq!(from("store.sqlite"), both("(not set)", "default"));
        assert_eq!(from("store.readers"), both("12", "INNKEEPER__STORE__READERS"));
        let pool = both("\"desktops\"", "INNKEEPER__PROVIDER__LAB__POOL");
        assert_eq!(from("provider.lab.pool"), pool);
        assert_eq!(from("provider.lab.limits.requests"), both("8", "innkeeper.toml:12"));
        assert_eq!(from("provider.lab.limits.clones_per_host").1, "default");
        assert_eq!(from("provider.lab.bridge"), both("\"vmbr0\"", "default"));
    }

    #[test]
    fn every_key_stands_in_the_reference() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("innkeeper.toml");
        std::fs::write(&path, GOOD).unwrap();
        let (config, sources) = Config::read_with(&path, [].into()).unwrap();
        let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
        let read = |name: &str| std::fs::read_to_string(docs.join(name)).unwrap();
        let (house, proxmox) = (read("configuration.md"), read("proxmox.md"));
        for line in lines(&config, &sources, "innkeeper.toml").unwrap() {
            let (page, key) = match line.key.strip_prefix("provider.lab.") {
                // A table's keys stand in its row.
                Some(key) => (&proxmox, key.rsplit('.').next().unwrap_or(key)),
                None => (&house, line.key.as_str()),
            };
            assert!(page.contains(key), "{} is not in the reference", line.key);
        }
    }
}
