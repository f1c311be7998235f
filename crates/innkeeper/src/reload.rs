//! SIGHUP: tokens and certificates are read again without a restart.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use model::ProviderId;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, ProviderConfig};
use crate::providers::Connected;

/// What can be read again.
pub struct Reload {
    providers: BTreeMap<ProviderId, Connected>,
    config: Mutex<Config>,
}

impl Reload {
    /// For these providers, which this configuration has made.
    pub fn new(providers: BTreeMap<ProviderId, Connected>, config: Config) -> Self {
        Self { providers, config: Mutex::new(config) }
    }

    /// Takes over the access of every provider: all of it or, when a file cannot be
    /// read, nothing. Answers the keys that have changed and need a restart.
    ///
    /// # Errors
    /// When a file that the configuration names cannot be read or makes no sense.
    pub fn apply(&self, config: &Config) -> Result<Vec<String>> {
        let mut reconnections = Vec::new();
        for provider in &config.providers {
            if let Some(connected) = self.providers.get(provider.name()) {
                reconnections.push(connected.reconnection(provider)?);
            }
        }
        for reconnect in reconnections {
            reconnect();
        }
        let serving = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        changed(&serving, config)
    }

    /// Reads the configuration again whenever the process gets SIGHUP. Never ends.
    pub async fn on_signals(&self, path: &Path) {
        let Ok(mut hangups) = signal(SignalKind::hangup()) else {
            tracing::warn!("SIGHUP cannot be received; changes need a restart");
            return std::future::pending().await;
        };
        while hangups.recv().await.is_some() {
            let read = Config::read(path).map_err(anyhow::Error::from);
            match read.and_then(|config| self.apply(&config)) {
                Ok(later) if later.is_empty() => {
                    tracing::info!("tokens and certificates have been read again");
                }
                Ok(later) => tracing::warn!(
                    keys = later.join(", "),
                    "tokens and certificates have been read again; other changes need a restart"
                ),
                Err(error) => {
                    tracing::error!(error = format!("{error:#}"), "everything stays as it was");
                }
            }
        }
    }
}

/// The keys that differ, without those that a reload takes over.
fn changed(serving: &Config, read: &Config) -> Result<Vec<String>> {
    let (serving, read) = (settled(serving)?, settled(read)?);
    let mut keys = Vec::new();
    compare("", &serving, &read, &mut keys);
    Ok(keys)
}

/// A configuration as values, the providers by name, without their access.
fn settled(config: &Config) -> Result<Value> {
    let mut whole = serde_json::to_value(config)?;
    let table = whole.as_object_mut().context("a configuration is a table")?;
    let providers = config.providers.iter().map(|provider| {
        let ProviderConfig::Proxmox(proxmox) = provider;
        Ok((provider.name().to_string(), serde_json::to_value(&proxmox.settings)?))
    });
    let providers: Result<serde_json::Map<_, _>> = providers.collect();
    table.insert("provider".to_owned(), Value::Object(providers?));
    Ok(whole)
}

fn compare(path: &str, one: &Value, other: &Value, keys: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let names: std::collections::BTreeSet<_> = one.keys().chain(other.keys()).collect();
            for name in names {
                let (one, other) = (one.get(name), other.get(name));
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let null = Value::Null;
                compare(&path, one.unwrap_or(&null), other.unwrap_or(&null), keys);
            }
        }
        (one, other) if one != other => keys.push(path.to_owned()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn config(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    const LAB: &str = "state = '/s'\n[[provider]]\nkind = 'proxmox'\nname = 'lab'\n\
        endpoints = ['https://a:8006']\ntoken_id = 'a@pve!b'\ntoken_secret_file = '/x'\n";

    #[test]
    fn what_needs_a_restart_is_named_and_access_does_not() {
        let serving = config(LAB);
        let access = LAB.replace("a:8006", "b:8006").replace("'/x'", "'/y'");
        assert_eq!(changed(&serving, &config(&access)).unwrap(), Vec::<String>::new());
        let other = format!("{}pool = 'desktops'\n", LAB.replace("'/s'", "'/t'"));
        assert_eq!(changed(&serving, &config(&other)).unwrap(), ["provider.lab.pool", "state"]);
        let gone = changed(&serving, &config("state = '/s'")).unwrap();
        assert_eq!(gone, ["provider.lab"]);
    }
}
