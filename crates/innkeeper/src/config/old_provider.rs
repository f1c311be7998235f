//! Where VISA's Node.js provider and its metadata server keep their tables.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use url::Url;

use super::ConfigError;
use super::dot_env::Variables;
use super::visa::{Seed, wrong};

/// The data bases of the old provider and of its metadata server.
#[derive(Clone, Debug)]
pub struct OldTables {
    /// Flavours and instances.
    pub connector: SecretString,
    /// Documents of guests, when somebody says where they are.
    pub metadata: Option<SecretString>,
}

impl OldTables {
    /// As the environment files say: that of the provider, and that of the
    /// metadata server when it has one of its own. The environment is over both.
    ///
    /// # Errors
    /// [`ConfigError`] naming the file or the variable.
    pub fn read(provider: &Path, metadata: Option<&Path>) -> Result<Self, ConfigError> {
        let first = variables(provider)?;
        let second = metadata.map(variables).transpose()?;
        let (seed, other) = (Seed(&first), Seed(second.as_ref().unwrap_or(&first)));
        seed.needed("CONNECTOR_HOST")?;
        let there = metadata.is_some() || other.get("METADATA_HOST").is_some();
        let metadata = there.then(|| with_password(&other, "METADATA")).transpose()?;
        Ok(Self { connector: with_password(&seed, "CONNECTOR")?, metadata })
    }
}

fn variables(path: &Path) -> Result<Variables, ConfigError> {
    let path: PathBuf = path.to_owned();
    let text = std::fs::read_to_string(&path)
        .map_err(|source| ConfigError::Read { path: path.clone(), source })?;
    Variables::beside(&text).map_err(|message| ConfigError::Parse { path, message })
}

/// The data base of this part of the variables, without its password. A host
/// that begins with a slash is a folder with a socket.
pub(super) fn data_base(seed: &Seed<'_>, part: &str) -> Result<Url, ConfigError> {
    let name = |rest: &str| format!("{part}_{rest}");
    let host = seed.needed(&name("HOST"))?;
    let bad = |_| wrong(&name("HOST"), format!("expected a host, got {host:?}"));
    let port = seed.number(&name("PORT"))?.unwrap_or(5432);
    let folder = host.starts_with('/');
    let shown = if folder { "localhost" } else { host };
    let mut url: Url = format!("postgres://{shown}:{port}").parse().map_err(bad)?;
    let user = seed.needed(&name("USERNAME"))?;
    if url.set_username(user).is_err() {
        return Err(wrong(&name("USERNAME"), "expected a user's name"));
    }
    url.set_path(seed.needed(&name("DATABASE"))?);
    if folder {
        url.query_pairs_mut().append_pair("host", host);
    }
    if let Some(schema) = seed.get(&name("SCHEMA")) {
        url.query_pairs_mut().append_pair("options[search_path]", schema);
    }
    Ok(url)
}

fn with_password(seed: &Seed<'_>, part: &str) -> Result<SecretString, ConfigError> {
    let mut url = data_base(seed, part)?;
    let password = seed.get(&format!("{part}_PASSWORD"));
    if url.set_password(password).is_err() {
        return Err(wrong(&format!("{part}_PASSWORD"), "there is no place for a password"));
    }
    Ok(SecretString::from(url.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use secrecy::ExposeSecret as _;

    use super::*;

    fn file(folder: &Path, name: &str, lines: &[(&str, &str)]) -> PathBuf {
        let lines =
            lines.iter().map(|(name, value)| format!("VISA_WEB_PROVIDER_PROXMOX_{name}={value}\n"));
        let path = folder.join(name);
        std::fs::write(&path, lines.collect::<String>()).unwrap();
        path
    }

    #[test]
    fn each_of_the_two_programs_says_where_its_tables_are() {
        let folder = tempfile::tempdir().unwrap();
        let provider = file(
            folder.path(),
            "provider.env",
            &[
                ("CONNECTOR_HOST", "db"),
                ("CONNECTOR_DATABASE", "visa"),
                ("CONNECTOR_SCHEMA", "provider"),
                ("CONNECTOR_USERNAME", "visa"),
                ("CONNECTOR_PASSWORD", "p/w"),
            ],
        );
        let metadata = file(
            folder.path(),
            "metadata.env",
            &[
                ("METADATA_HOST", "/run/postgresql"),
                ("METADATA_PORT", "5433"),
                ("METADATA_DATABASE", "metadata"),
                ("METADATA_USERNAME", "ci"),
            ],
        );
        let tables = OldTables::read(&provider, Some(&metadata)).unwrap();
        assert_eq!(
            tables.connector.expose_secret(),
            "postgres://visa:p%2Fw@db:5432/visa?options%5Bsearch_path%5D=provider"
        );
        assert_eq!(
            tables.metadata.unwrap().expose_secret(),
            "postgres://ci@localhost:5433/metadata?host=%2Frun%2Fpostgresql"
        );
        assert!(OldTables::read(&provider, None).unwrap().metadata.is_none());
        let error = OldTables::read(&metadata, None).unwrap_err().to_string();
        assert!(error.contains("CONNECTOR_HOST: expected a value"), "{error}");
    }
}
