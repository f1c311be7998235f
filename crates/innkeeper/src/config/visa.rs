//! The VISA door's table, and the environment file of VISA's web provider for
//! Proxmox as a configuration: `.env` in place of a TOML file.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};
use url::Url;

use super::dot_env::Variables;
use super::{ConfigError, SecretSource};
use crate::log_time::LogTime;

/// The VISA door.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct VisaDoor {
    /// Address and port.
    pub listen: SocketAddr,
    /// The project of its instances.
    #[serde(default = "project")]
    pub project: model::ProjectId,
    /// A file with the token that VISA sends.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// The environment variable that holds it.
    #[serde(default)]
    pub token_env: Option<String>,
    /// The systemd credential that holds it.
    #[serde(default)]
    pub token_credential: Option<String>,
    /// Lets everybody in, without a token.
    #[serde(default)]
    pub open: bool,
    /// `project_id` in the guests' meta-data.
    #[serde(default)]
    pub project_id: Option<String>,
    /// How many instances there can be, as VISA is told (1,000,000).
    #[serde(default)]
    pub instance_limit: Option<u64>,
    /// How many virtual cores a core gives, as VISA is told (1).
    #[serde(default)]
    pub cores_per_core: Option<f64>,
    /// Seconds that a guest has to shut down or restart, 1 to 3,600 (300).
    #[serde(default)]
    pub shutdown_timeout_s: Option<u64>,
    /// The same for one that is deleted while it runs, 1 to 3,600 (60).
    #[serde(default)]
    pub delete_grace_s: Option<u64>,
}

#[allow(clippy::expect_used, reason = "visa is a name")]
fn project() -> model::ProjectId {
    "visa".parse().expect("visa is a name")
}

impl VisaDoor {
    /// Where the token comes from.
    pub fn token(&self) -> SecretSource<'_> {
        SecretSource {
            key: "visa.token",
            file: self.token_file.as_deref(),
            env: self.token_env.as_deref(),
            credential: self.token_credential.as_deref(),
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let wrong = |field: &str, message: String| {
            Err(ConfigError::Value { field: format!("visa.{field}"), message })
        };
        if let Err(message) = self.token().check(!self.open) {
            let hint = "to let everybody in, say visa.open = true";
            return wrong("token_file", format!("{message}; {hint}"));
        }
        if self.open && self.token().is_given() {
            return wrong("open", "expected either this or a token, got both".to_owned());
        }
        if self.cores_per_core.is_some_and(|cores| !(cores > 0.0 && cores <= 64.0)) {
            return wrong("cores_per_core", "expected more than 0, and at most 64".to_owned());
        }
        let seconds = [
            ("shutdown_timeout_s", self.shutdown_timeout_s),
            ("delete_grace_s", self.delete_grace_s),
        ];
        for (field, value) in seconds {
            if value.is_some_and(|seconds| !(1..=3_600).contains(&seconds)) {
                return wrong(field, "expected 1 to 3600".to_owned());
            }
        }
        Ok(())
    }
}

/// The bytes of memory that the old provider took for worth a core.
const SELECT_COEFF: i64 = 4 << 30;
/// How often the old provider said that it tries a start again.
const START_RETRIES: i64 = 10;
/// The variable that says otherwise; it has no prefix of the provider's.
const MAX_START_RETRY: &str = "VISA_CLOUD_SERVER_MAX_START_RETRY";

/// How the variables of VISA's web provider begin.
const PREFIX: &str = "VISA_WEB_PROVIDER_PROXMOX_";

/// What cannot be taken over from a variable.
pub(super) fn wrong(name: &str, message: impl Into<String>) -> ConfigError {
    ConfigError::Value { field: format!("{PREFIX}{name}"), message: message.into() }
}

/// The variables with the provider's prefix.
pub(super) struct Seed<'a>(pub(super) &'a Variables);

impl Seed<'_> {
    /// One that says something: an empty one is as good as none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(&format!("{PREFIX}{name}")).filter(|value| !value.is_empty())
    }

    pub(super) fn needed(&self, name: &str) -> Result<&str, ConfigError> {
        self.get(name).ok_or_else(|| wrong(name, "expected a value, got none"))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, ConfigError> {
        let parse = |text: &str| {
            text.parse().map_err(|_| wrong(name, format!("expected a whole number, got {text:?}")))
        };
        self.get(name).map(parse).transpose()
    }

    fn truth(&self, name: &str) -> Result<bool, ConfigError> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(wrong(name, format!("expected true or false, got {other:?}"))),
        }
    }

    fn address(&self, host: &str, port: i64) -> Result<String, ConfigError> {
        let port = u16::try_from(port).map_err(|_| wrong("SERVER_PORT", "expected a port"))?;
        let found = (host, port).to_socket_addrs().ok().and_then(|mut all| all.next());
        let unknown = || wrong("SERVER_HOST", format!("expected an address, got {host:?}"));
        Ok(found.ok_or_else(unknown)?.to_string())
    }
}

/// The configuration that these variables describe, as the file would say it.
pub(super) fn table(variables: &Variables) -> Result<Table, ConfigError> {
    let seed = Seed(variables);
    let mut table = Table::new();
    table.insert("state".into(), "/var/lib/innkeeper".into());
    table.insert("visa".into(), door(&seed)?.into());
    table.insert("provider".into(), Value::Array(vec![provider(&seed, variables)?.into()]));
    let bytes = seed.number("SELECT_COEFF")?.unwrap_or(SELECT_COEFF);
    let placement = Table::from_iter([("bytes_per_core".to_owned(), Value::from(bytes))]);
    table.insert("placement".into(), placement.into());
    if let Some(name) = seed.get("LOG_TIMEZONE") {
        LogTime::parse(name).map_err(|message| wrong("LOG_TIMEZONE", message))?;
    }
    if let Some(url) = seed.get("METADATA_SERVER") {
        table.insert("metadata".into(), metadata(&seed, url)?.into());
    }
    if seed.get("CONNECTOR_HOST").is_some() {
        table.insert("store".into(), store(&seed)?.into());
    }
    Ok(table)
}

fn door(seed: &Seed<'_>) -> Result<Table, ConfigError> {
    let mut door = Table::new();
    let (host, port) =
        (seed.get("SERVER_HOST").unwrap_or("localhost"), seed.number("SERVER_PORT")?);
    door.insert("listen".into(), seed.address(host, port.unwrap_or(4000))?.into());
    let open = seed.truth("SERVER_OPEN")?;
    match seed.get("SERVER_AUTH_TOKEN") {
        Some(_) => {
            door.insert("token_env".into(), format!("{PREFIX}SERVER_AUTH_TOKEN").into());
        }
        None if open => {
            door.insert("open".into(), true.into());
        }
        None => {
            let message = format!(
                "expected the token that VISA sends, got none; to let everybody in, set \
                 {PREFIX}SERVER_OPEN=true"
            );
            return Err(wrong("SERVER_AUTH_TOKEN", message));
        }
    }
    if let Some(id) = seed.get("PROJECT_ID") {
        door.insert("project_id".into(), id.into());
    }
    if let Some(limit) = seed.number("INSTANCE_LIMIT")? {
        door.insert("instance_limit".into(), limit.into());
    }
    Ok(door)
}

fn provider(seed: &Seed<'_>, variables: &Variables) -> Result<Table, ConfigError> {
    let endpoint = seed.needed("ENDPOINT")?;
    let url: Url = endpoint.parse().map_err(|_| {
        wrong("ENDPOINT", format!("expected https://HOST:8006/api2/json/, got {endpoint:?}"))
    })?;
    let mut provider = Table::new();
    provider.insert("kind".into(), "proxmox".into());
    provider.insert("name".into(), "proxmox".into());
    let origin = url.origin().ascii_serialization();
    provider.insert("endpoints".into(), Value::Array(vec![origin.into()]));
    provider.insert("token_id".into(), seed.needed("USER")?.into());
    seed.needed("PASSWORD")?;
    provider.insert("token_secret_env".into(), format!("{PREFIX}PASSWORD").into());
    if let Some(pins) = seed.get("FINGERPRINTS") {
        let pins = pins.split(',').map(|pin| pin.trim().into()).collect();
        provider.insert("fingerprints".into(), Value::Array(pins));
    } else if let Some(file) = variables.get("NODE_EXTRA_CA_CERTS").filter(|file| !file.is_empty())
    {
        provider.insert("ca_file".into(), file.into());
    } else if variables.get("NODE_TLS_REJECT_UNAUTHORIZED") == Some("0") {
        let message = "certificates are always checked: NODE_TLS_REJECT_UNAUTHORIZED=0 has no \
                       effect; expected the SHA-256 fingerprints of the hosts' certificates here \
                       (separated by commas), or NODE_EXTRA_CA_CERTS";
        return Err(wrong("FINGERPRINTS", message));
    }
    let retries = match variables.get(MAX_START_RETRY).filter(|text| !text.is_empty()) {
        None => START_RETRIES,
        Some(text) => text.parse().map_err(|_| ConfigError::Value {
            field: MAX_START_RETRY.to_owned(),
            message: format!("expected 0 to 100, got {text:?}"),
        })?,
    };
    provider.insert("start_retries".into(), retries.into());
    if let Some(timeout_ms) = seed.number("TIMEOUT")? {
        // Less would only lose the answers of Proxmox's own proxy.
        let seconds = (timeout_ms.saturating_add(999) / 1_000).clamp(31, 300);
        let timeouts = Table::from_iter([("request_s".to_owned(), Value::from(seconds))]);
        provider.insert("timeouts".into(), timeouts.into());
    }
    Ok(provider)
}

fn metadata(seed: &Seed<'_>, url: &str) -> Result<Table, ConfigError> {
    let bad = || wrong("METADATA_SERVER", format!("expected http://HOST:PORT/ci/, got {url:?}"));
    let parsed: Url = url.parse().map_err(|_| bad())?;
    if !url.ends_with("/ci/") {
        return Err(bad());
    }
    let port = parsed.port_or_known_default().ok_or_else(bad)?;
    let listen = match seed.get("METADATA_LISTEN") {
        Some(address) => address.to_owned(),
        None => format!("0.0.0.0:{port}"),
    };
    Ok(Table::from_iter([
        ("listen".to_owned(), Value::from(listen)),
        ("url".to_owned(), Value::from(url)),
    ]))
}

fn store(seed: &Seed<'_>) -> Result<Table, ConfigError> {
    let url = super::old_provider::data_base(seed, "CONNECTOR")?;
    let mut store = Table::new();
    store.insert("postgres".into(), url.to_string().into());
    if seed.get("CONNECTOR_PASSWORD").is_some() {
        store.insert("password_env".into(), format!("{PREFIX}CONNECTOR_PASSWORD").into());
    }
    let key = seed.get("KEY_FILE").unwrap_or("/var/lib/innkeeper/secret.key");
    store.insert("key_file".into(), key.into());
    Ok(store)
}

/// What an environment file says about the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogWishes {
    /// The least level.
    pub level: Option<&'static str>,
    /// A syslog server: host, port, the program's name there.
    pub syslog: Option<(String, u16, String)>,
    /// The zone that times are written in; UTC when none is given.
    pub time: LogTime,
}

impl LogWishes {
    /// Those of this configuration. A TOML file says none; neither does a file
    /// that cannot be read, about which its reader complains.
    pub fn of(path: &Path) -> Self {
        if !is_environment(path) {
            return Self::default();
        }
        let text = std::fs::read_to_string(path).unwrap_or_default();
        Variables::read(&text).map(|variables| Self::read(&Seed(&variables))).unwrap_or_default()
    }

    fn read(seed: &Seed<'_>) -> Self {
        let level = match seed.get("LOG_LEVEL") {
            Some("emerg" | "alert" | "crit" | "error") => Some("error"),
            Some("warning" | "warn") => Some("warn"),
            Some("notice" | "info") => Some("info"),
            Some("debug") => Some("debug"),
            _ => None,
        };
        let syslog = || {
            let port = seed.get("LOG_SYSLOG_PORT")?.parse().ok()?;
            let program = seed.get("LOG_SYSLOG_APP_NAME")?.to_owned();
            Some((seed.get("LOG_SYSLOG_HOST")?.to_owned(), port, program))
        };
        // A zone that is not known is an error of the configuration.
        let time = seed.get("LOG_TIMEZONE").and_then(|name| LogTime::parse(name).ok());
        Self { level, syslog: syslog(), time: time.unwrap_or_default() }
    }
}

/// Whether a file is one of variables, by its name.
pub(super) fn is_environment(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    name.ends_with(".env")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{Config, ProviderConfig};

    const SEED: &[(&str, &str)] = &[
        ("SERVER_HOST", "127.0.0.1"),
        ("SERVER_AUTH_TOKEN", "t0ken"),
        ("ENDPOINT", "https://pve.example.org:8006/api2/json/"),
        ("TIMEOUT", "60000"),
        ("USER", "visa@pve!provider"),
        ("PASSWORD", "s3cret"),
        ("METADATA_SERVER", "http://192.0.2.7:4001/ci/"),
        ("PROJECT_ID", "bench"),
        ("CONNECTOR_HOST", "db.example.org"),
        ("CONNECTOR_DATABASE", "visa"),
        ("CONNECTOR_SCHEMA", "provider"),
        ("CONNECTOR_USERNAME", "visa"),
        ("CONNECTOR_PASSWORD", "p"),
    ];

    fn read(changes: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in SEED.iter().chain(changes) {
            all.insert(format!("{PREFIX}{name}"), (*value).to_owned());
        }
        let config: Config = table(&Variables::of(all))?.try_into().unwrap();
        config.check()?;
        Ok(config)
    }

    #[test]
    fn the_variables_of_the_old_provider_are_a_whole_configuration() {
        let config = read(&[]).unwrap();
        let visa = config.visa.unwrap();
        assert_eq!(visa.listen.to_string(), "127.0.0.1:4000");
        assert_eq!(visa.token_env.as_deref(), Some("VISA_WEB_PROVIDER_PROXMOX_SERVER_AUTH_TOKEN"));
        assert_eq!((visa.project.as_str(), visa.project_id.as_deref()), ("visa", Some("bench")));
        let ProviderConfig::Proxmox(proxmox) = &config.providers[0];
        assert_eq!(proxmox.access.endpoints, ["https://pve.example.org:8006"]);
        assert_eq!(proxmox.access.token_id, "visa@pve!provider");
        assert_eq!(proxmox.settings.timeouts.request_s, 60);
        assert_eq!(proxmox.settings.start_retries, 10);
        assert_eq!(config.placement.bytes_per_core, Some(4 << 30));
        let metadata = config.metadata.unwrap();
        assert_eq!(metadata.url, "http://192.0.2.7:4001/ci/");
        assert_eq!(metadata.listen.to_string(), "0.0.0.0:4001");
        assert_eq!(
            config.store.postgres.as_deref(),
            Some("postgres://visa@db.example.org:5432/visa?options%5Bsearch_path%5D=provider")
        );
    }

    #[test]
    fn without_a_token_the_door_stays_shut_unless_that_is_said() {
        let error = read(&[("SERVER_AUTH_TOKEN", "")]).unwrap_err().to_string();
        assert!(error.contains("SERVER_AUTH_TOKEN: expected the token"), "{error}");
        let open = read(&[("SERVER_AUTH_TOKEN", ""), ("SERVER_OPEN", "true")]).unwrap();
        assert!(open.visa.unwrap().open);
    }

    #[test]
    fn the_log_goes_to_syslog_when_all_three_of_its_variables_are_there() {
        let pairs = [("LEVEL", "notice"), ("SYSLOG_HOST", "log"), ("SYSLOG_APP_NAME", "visa")];
        let mut all: BTreeMap<String, String> =
            pairs.map(|(name, value)| (format!("{PREFIX}LOG_{name}"), value.to_owned())).into();
        let wishes = |all: &BTreeMap<_, _>| LogWishes::read(&Seed(&Variables::of(all.clone())));
        assert_eq!(wishes(&all), LogWishes { level: Some("info"), ..LogWishes::default() });
        all.insert(format!("{PREFIX}LOG_SYSLOG_PORT"), "514".to_owned());
        assert_eq!(wishes(&all).syslog, Some(("log".to_owned(), 514, "visa".to_owned())));
    }

    #[test]
    fn a_variable_that_cannot_be_used_is_named() {
        for (name, value) in [
            ("ENDPOINT", "pve"),
            ("TIMEOUT", "soon"),
            ("SELECT_COEFF", "much"),
            ("LOG_TIMEZONE", "Mars/Olympus"),
            ("METADATA_SERVER", "http://a/"),
            ("USER", ""),
        ] {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{PREFIX}{name}: expected")), "{error}");
        }
    }
}
