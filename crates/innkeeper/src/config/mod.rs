//! The configuration: one TOML file, and environment variables over it. Unknown
//! keys are refused by name.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use model::ProviderId;
use serde::{Deserialize, Serialize};

mod check;
mod dot_env;
pub mod explain;
mod old_provider;
mod read;
mod secret;
#[cfg(test)]
mod tests;
mod visa;

pub use check::ConfigError;
pub use old_provider::OldTables;
pub use secret::SecretSource;
pub use visa::{LogWishes, VisaDoor};

/// Everything that can be configured.
#[derive(Clone, Debug, Deserialize, Serialize)]
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
    /// Instances that expire.
    #[serde(default)]
    pub expiry: ExpiryConfig,
    /// Where instances are put.
    #[serde(default)]
    pub placement: PlacementConfig,
    /// The VISA door.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visa: Option<VisaDoor>,
    /// The clusters.
    #[serde(default, rename = "provider")]
    pub providers: Vec<ProviderConfig>,
}

/// The data base: SQLite in the state folder, unless it says otherwise.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// A file for SQLite.
    pub sqlite: Option<PathBuf>,
    /// A PostgreSQL data base, which several replicas can share:
    /// `postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full`. Without a
    /// password.
    pub postgres: Option<String>,
    /// A file with PostgreSQL's password.
    pub password_file: Option<PathBuf>,
    /// The environment variable that holds PostgreSQL's password
    /// (`INNKEEPER_STORE_PASSWORD`, when that is set).
    pub password_env: Option<String>,
    /// The systemd credential that holds PostgreSQL's password.
    pub password_credential: Option<String>,
    /// The file with the key that secrets are sealed with (64 hexadecimal
    /// digits). SQLite: `secret.key` beside the data base, made at the first
    /// start. PostgreSQL: must be given, and be the same for all replicas.
    pub key_file: Option<PathBuf>,
    /// The systemd credential with that key.
    pub key_credential: Option<String>,
    /// How many connections there are for reading PostgreSQL (1 to 100; 8).
    pub readers: Option<u32>,
    /// How long connecting to PostgreSQL may take, in seconds (1 to 60; 5).
    pub connect_timeout_s: Option<u64>,
    /// How long a statement of PostgreSQL may take, in seconds (1 to 300; 10).
    pub statement_timeout_s: Option<u64>,
}

impl StoreConfig {
    /// Where PostgreSQL's password comes from.
    pub fn password(&self) -> SecretSource<'_> {
        SecretSource {
            key: "store.password",
            file: self.password_file.as_deref(),
            env: self.password_env.as_deref(),
            credential: self.password_credential.as_deref(),
        }
    }

    /// Where the key comes from that secrets are sealed with.
    pub fn key(&self) -> SecretSource<'_> {
        SecretSource {
            key: "store.key",
            file: self.key_file.as_deref(),
            env: None,
            credential: self.key_credential.as_deref(),
        }
    }
}

/// Where the native door listens.
#[derive(Clone, Debug, Deserialize, Serialize)]
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

/// Instances that expire.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExpiryConfig {
    /// How many hours before people are warned (1 to 8760; 24).
    pub warn_before_h: u64,
}

impl Default for ExpiryConfig {
    fn default() -> Self {
        Self { warn_before_h: 24 }
    }
}

impl ExpiryConfig {
    /// How long before people are warned.
    pub fn warn_before(&self) -> Duration {
        Duration::from_secs(self.warn_before_h.saturating_mul(3600))
    }
}

/// Where instances are put.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlacementConfig {
    /// Hosts are compared by the cores that are left, where so many bytes of
    /// memory that are left count as one core (at least 1 MiB). Unset: by the
    /// memory that is left in proportion, then by cores.
    pub bytes_per_core: Option<u64>,
}

impl PlacementConfig {
    /// How hosts are compared.
    pub fn preference(&self) -> provisioner::Preference {
        match self.bytes_per_core {
            Some(bytes) => provisioner::Preference::BytesPerCore(bytes),
            None => provisioner::Preference::Proportion,
        }
    }
}

/// Where the metadata door listens, and how guests reach it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MetadataDoor {
    /// Address and port.
    pub listen: SocketAddr,
    /// The address that guests reach it at, for example `http://10.0.0.1:8008/`.
    pub url: String,
}

/// One provider.
#[derive(Clone, Debug, Deserialize, Serialize)]
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
#[derive(Clone, Debug, Serialize)]
pub struct ProxmoxConfig {
    /// How to reach it.
    #[serde(flatten)]
    pub access: ProxmoxAccess,
    /// What to do there.
    #[serde(flatten)]
    pub settings: provider_pve::Settings,
}

/// How to reach a Proxmox VE cluster.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ProxmoxAccess {
    /// The API of one or several of its hosts, for example
    /// `https://pve1.example.org:8006`.
    pub endpoints: Vec<String>,
    /// The API token's id: `user@realm!name`.
    pub token_id: String,
    /// A file that holds the API token's secret.
    #[serde(default)]
    pub token_secret_file: Option<PathBuf>,
    /// The environment variable that holds it.
    #[serde(default)]
    pub token_secret_env: Option<String>,
    /// The systemd credential that holds it.
    #[serde(default)]
    pub token_secret_credential: Option<String>,
    /// SHA-256 fingerprints of the hosts' certificates, as Proxmox prints them.
    #[serde(default)]
    pub fingerprints: Vec<String>,
    /// A PEM file with the authority that signed the hosts' certificates.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
}

impl ProxmoxAccess {
    /// Where the API token's secret comes from.
    pub fn token_secret(&self) -> SecretSource<'_> {
        SecretSource {
            key: "token_secret",
            file: self.token_secret_file.as_deref(),
            env: self.token_secret_env.as_deref(),
            credential: self.token_secret_credential.as_deref(),
        }
    }
}

/// The keys of [`ProxmoxAccess`]; all others are [`provider_pve::Settings`].
const ACCESS_KEYS: [&str; 7] = [
    "endpoints",
    "token_id",
    "token_secret_file",
    "token_secret_env",
    "token_secret_credential",
    "fingerprints",
    "ca_file",
];

impl<'de> Deserialize<'de> for ProxmoxConfig {
    /// Two structs share one table. `serde(flatten)` would let unknown keys
    /// pass, so the keys are dealt out by hand.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let table = toml::Table::deserialize(deserializer)?;
        let (access, settings): (toml::Table, toml::Table) =
            table.into_iter().partition(|(key, _)| ACCESS_KEYS.contains(&key.as_str()));
        // The settings first: a misspelt key is among them, and says more than the
        // key that is missing for it.
        let settings = settings.try_into().map_err(D::Error::custom)?;
        Ok(Self { access: access.try_into().map_err(D::Error::custom)?, settings })
    }
}
