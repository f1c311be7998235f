//! What a configuration must be beside well-formed.

use std::path::PathBuf;

use super::{Config, ProviderConfig, StoreConfig};

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
            if !self.key().is_given() {
                let message = "expected a file with 64 hexadecimal digits: with PostgreSQL the \
                               key is not made here (openssl rand -hex 32)";
                return wrong("key_file", message);
            }
        }
        if let Err(message) = self.password().check(false) {
            return wrong("password_file", &message);
        }
        if let Err(message) = self.key().check(false) {
            return wrong("key_file", &message);
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

impl Config {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let wrong = |field: String, message: String| Err(ConfigError::Value { field, message });
        self.store.check()?;
        if !(1..=8760).contains(&self.expiry.warn_before_h) {
            let message = format!("expected 1 to 8760, got {}", self.expiry.warn_before_h);
            return wrong("expiry.warn_before_h".to_owned(), message);
        }
        if self.placement.bytes_per_core.is_some_and(|bytes| bytes < 1 << 20) {
            let message = "expected at least 1048576".to_owned();
            return wrong("placement.bytes_per_core".to_owned(), message);
        }
        self.visa.iter().try_for_each(super::VisaDoor::check)?;
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
            if let Err(error) = proxmox.access.token_secret().check(true) {
                return wrong(field("token_secret_file"), error);
            }
            if let Err(error) = proxmox.settings.check() {
                return wrong(field(error.field), error.message);
            }
        }
        Ok(())
    }
}
