//! The configuration: one TOML file. Unknown keys are refused by name.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use model::ProviderId;
use serde::Deserialize;

/// Everything that can be configured.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The folder that holds the data base, the key and the admin token.
    pub state: PathBuf,
    /// The data base.
    #[serde(default)]
    pub store: StoreConfig,
    /// The native door.
    #[serde(default)]
    pub native: NativeDoor,
    /// The metadata door; without it guests get no seed.
    #[serde(default)]
    pub metadata: Option<MetadataDoor>,
    /// The clusters.
    #[serde(default, rename = "provider")]
    pub providers: Vec<ProviderConfig>,
}

/// The data base: SQLite in the state folder, unless it says otherwise.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// A file for SQLite.
    pub sqlite: Option<PathBuf>,
    /// A PostgreSQL data base, which several replicas can share:
    /// `postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full`. Without a
    /// password.
    pub postgres: Option<String>,
    /// A file with PostgreSQL's password; otherwise the environment variable
    /// `INNKEEPER_STORE_PASSWORD` has it, or none is needed.
    pub password_file: Option<PathBuf>,
    /// The file with the key that secrets are sealed with (64 hexadecimal
    /// digits). SQLite: `secret.key` beside the data base, made at the first
    /// start. PostgreSQL: must be given, and be the same for all replicas.
    pub key_file: Option<PathBuf>,
    /// How many connections there are for reading PostgreSQL (1 to 100; 8).
    pub readers: Option<u32>,
    /// How long connecting to PostgreSQL may take, in seconds (1 to 60; 5).
    pub connect_timeout_s: Option<u64>,
    /// How long a statement of PostgreSQL may take, in seconds (1 to 300; 10).
    pub statement_timeout_s: Option<u64>,
}

impl StoreConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |field: &str, message: &str| {
            let message = message.to_owned();
            Err(ConfigError::Value { field: format!("store.{field}"), message })
        };
        let parsed = self.postgres.as_ref().map(|text| text.parse::<url::Url>());
        if let Some(url) = parsed {
            let Ok(url) = url else {
                return wrong("postgres", "expected postgres://USER@HOST:PORT/DATABASE");
            };
            if self.sqlite.is_some() {
                return wrong("sqlite", "expected either this or store.postgres, got both");
            }
            if !matches!(url.scheme(), "postgres" | "postgresql") {
                return wrong("postgres", "expected postgres://USER@HOST:PORT/DATABASE");
            }
            if url.password().is_some() {
                return wrong("postgres", "expected no password here: use store.password_file");
            }
            if self.key_file.is_none() {
                let message = "expected a file with 64 hexadecimal digits: with PostgreSQL the \
                               key is not made here (openssl rand -hex 32)";
                return wrong("key_file", message);
            }
        }
        if self.readers.is_some_and(|readers| !(1..=100).contains(&readers)) {
            return wrong("readers", "expected 1 to 100");
        }
        if self.connect_timeout_s.is_some_and(|seconds| !(1..=60).contains(&seconds)) {
            return wrong("connect_timeout_s", "expected 1 to 60");
        }
        if self.statement_timeout_s.is_some_and(|seconds| !(1..=300).contains(&seconds)) {
            return wrong("statement_timeout_s", "expected 1 to 300");
        }
        Ok(())
    }
}

/// Where the native door listens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NativeDoor {
    /// Address and port. Port 0 takes a free one.
    pub listen: SocketAddr,
}

impl Default for NativeDoor {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8007)) }
    }
}

/// Where the metadata door listens, and how guests reach it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetadataDoor {
    /// Address and port.
    pub listen: SocketAddr,
    /// The address that guests reach it at, for example `http://10.0.0.1:8008/`.
    pub url: String,
}

/// One provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ProviderConfig {
    /// A Proxmox VE cluster.
    Proxmox(Box<ProxmoxConfig>),
}

impl ProviderConfig {
    /// The provider's name.
    pub fn name(&self) -> &ProviderId {
        match self {
            Self::Proxmox(config) => &config.settings.name,
        }
    }
}

/// A Proxmox VE cluster: how to reach it, and what to do there.
#[derive(Clone, Debug)]
pub struct ProxmoxConfig {
    /// How to reach it.
    pub access: ProxmoxAccess,
    /// What to do there.
    pub settings: provider_pve::Settings,
}

/// How to reach a Proxmox VE cluster.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxmoxAccess {
    /// The API of one or several of its hosts, for example
    /// `https://pve1.example.org:8006`.
    pub endpoints: Vec<String>,
    /// The API token's id: `user@realm!name`.
    pub token_id: String,
    /// A file that holds the API token's secret.
    pub token_secret_file: PathBuf,
    /// SHA-256 fingerprints of the hosts' certificates, as Proxmox prints them.
    #[serde(default)]
    pub fingerprints: Vec<String>,
    /// A PEM file with the authority that signed the hosts' certificates.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

/// The keys of [`ProxmoxAccess`]; all others are [`provider_pve::Settings`].
const ACCESS_KEYS: [&str; 5] =
    ["endpoints", "token_id", "token_secret_file", "fingerprints", "ca_file"];

impl<'de> Deserialize<'de> for ProxmoxConfig {
    /// Two structs share one table. `serde(flatten)` would let unknown keys
    /// pass, so the keys are dealt out by hand.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let table = toml::Table::deserialize(deserializer)?;
        let (access, settings): (toml::Table, toml::Table) =
            table.into_iter().partition(|(key, _)| ACCESS_KEYS.contains(&key.as_str()));
        Ok(Self {
            access: access.try_into().map_err(D::Error::custom)?,
            settings: settings.try_into().map_err(D::Error::custom)?,
        })
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text is not as expected.
    #[error("{path}: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where, what was expected, what was found.
        message: String,
    },
    /// A value is not as expected.
    #[error("{field}: {message}")]
    Value {
        /// The key.
        field: String,
        /// What was expected and what was found.
        message: String,
    },
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// [`ConfigError`] naming the file or the key and what was expected.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let config: Self = toml::from_str(&text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let wrong = |field: String, message: String| Err(ConfigError::Value { field, message });
        self.store.check()?;
        if let Some(metadata) = &self.metadata
            && !(metadata.url.starts_with("http://") && metadata.url.ends_with('/'))
        {
            let message = format!("expected http://HOST:PORT/, got {:?}", metadata.url);
            return wrong("metadata.url".to_owned(), message);
        }
        for (index, provider) in self.providers.iter().enumerate() {
            let field = |key: &str| format!("provider[{index}].{key}");
            if self.providers[..index].iter().any(|other| other.name() == provider.name()) {
                let message = format!("the name {} is taken", provider.name());
                return wrong(field("name"), message);
            }
            let ProviderConfig::Proxmox(proxmox) = provider;
            if proxmox.access.endpoints.is_empty() {
                let message = "expected at least one address, got none".to_owned();
                return wrong(field("endpoints"), message);
            }
            for endpoint in &proxmox.access.endpoints {
                if !endpoint.parse::<url::Url>().is_ok_and(|url| url.scheme() == "https") {
                    let message = format!("expected https://HOST:PORT, got {endpoint:?}");
                    return wrong(field("endpoints"), message);
                }
            }
            if let Err(error) = proxmox.settings.check() {
                return wrong(field(error.field), error.message);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("innkeeper.toml");
        std::fs::write(&path, text).unwrap();
        Config::read(&path)
    }

    const GOOD: &str = r#"
        state = "/var/lib/innkeeper"
        [metadata]
        listen = "0.0.0.0:8008"
        url = "http://192.0.2.1:8008/"
        [[provider]]
        kind = "proxmox"
        name = "lab"
        endpoints = ["https://pve1.example.org:8006"]
        token_id = "innkeeper@pve!main"
        token_secret_file = "/etc/innkeeper/lab.secret"
        vmid_range = [5000, 5999]
    "#;

    #[test]
    fn a_provider_is_read_with_its_access_and_its_settings() {
        let config = read(GOOD).unwrap();
        let ProviderConfig::Proxmox(lab) = &config.providers[0];
        assert_eq!(lab.settings.vmid_range, [5000, 5999]);
        assert_eq!(lab.access.token_id, "innkeeper@pve!main");
        assert_eq!(config.native.listen.port(), 8007);
    }

    #[test]
    fn an_unknown_key_is_named() {
        for (from, to, named) in [
            ("vmid_range", "vmid_rage", "vmid_rage"),
            ("state =", "sate = 1\nstate =", "sate"),
            ("listen =", "lisen = 1\nlisten =", "lisen"),
        ] {
            let error = read(&GOOD.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn a_bad_value_names_its_key_and_what_was_expected() {
        let error = read(&GOOD.replace("8008/", "8008")).unwrap_err().to_string();
        assert!(error.starts_with("metadata.url: expected http://"), "{error}");
        for (store, expected) in [
            ("postgres = \"mysql://db/house\"", "store.postgres: expected postgres://"),
            (
                "postgres = \"postgres://a:hunter2@db/house\"",
                "store.postgres: expected no password",
            ),
            ("postgres = \"postgres://a@db/house\"", "store.key_file: expected a file"),
            ("readers = 0", "store.readers: expected 1 to 100"),
        ] {
            let text = GOOD.replacen("[metadata]", &format!("[store]\n{store}\n[metadata]"), 1);
            let error = read(&text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let error = read(&GOOD.replace("[5000, 5999]", "[1, 2]")).unwrap_err().to_string();
        assert!(error.starts_with("provider[0].vmid_range: expected"), "{error}");
    }
}
