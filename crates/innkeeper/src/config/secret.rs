//! Where a secret comes from: a file, an environment variable or a systemd
//! credential. The configuration itself holds none.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use secrecy::SecretString;

/// Where systemd puts a unit's credentials (systemd.exec(5)).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// The three places that a secret can come from; at most one is given.
#[derive(Clone, Copy, Debug)]
pub struct SecretSource<'a> {
    /// The key without its ending: `<key>_file`, `<key>_env`, `<key>_credential`.
    pub key: &'static str,
    /// A file.
    pub file: Option<&'a Path>,
    /// An environment variable.
    pub env: Option<&'a str>,
    /// A systemd credential.
    pub credential: Option<&'a str>,
}

impl SecretSource<'_> {
    /// Whether the configuration names a place.
    pub fn is_given(&self) -> bool {
        self.given() > 0
    }

    fn given(&self) -> usize {
        [self.file.is_some(), self.env.is_some(), self.credential.is_some()]
            .into_iter()
            .filter(|given| *given)
            .count()
    }

    /// What is wrong with the places that are given.
    pub(super) fn check(&self, needed: bool) -> Result<(), String> {
        let name = self.key.rsplit('.').next().unwrap_or(self.key);
        if self.given() > 1 || (needed && self.given() == 0) {
            let got = if self.given() == 0 { "none" } else { "several" };
            return Err(format!(
                "expected one of {name}_file, {name}_env and {name}_credential, got {got}"
            ));
        }
        match self.credential {
            Some(name) if name.is_empty() || name.contains('/') || name.starts_with('.') => {
                Err(format!("expected the name of a systemd credential, got {name:?}"))
            }
            _ => Ok(()),
        }
    }

    /// The file that holds it, when a file does.
    ///
    /// # Errors
    /// When it is a credential and systemd has handed none over.
    pub fn path(&self) -> Result<Option<PathBuf>> {
        self.path_in(std::env::var_os(CREDENTIALS))
    }

    fn path_in(&self, credentials: Option<OsString>) -> Result<Option<PathBuf>> {
        let Some(name) = self.credential else { return Ok(self.file.map(Path::to_owned)) };
        let folder = credentials.with_context(|| {
            format!(
                "{}_credential: ${CREDENTIALS} is not set: credentials are there in a systemd unit \
                 with LoadCredential={name}:FILE",
                self.key
            )
        })?;
        Ok(Some(Path::new(&folder).join(name)))
    }

    /// The secret, without white space at its ends; `None` when no place is given.
    ///
    /// # Errors
    /// When the place cannot be read or is empty.
    pub fn read(&self) -> Result<Option<SecretString>> {
        let text = if let Some(name) = self.env {
            super::dot_env::variable(name).with_context(|| {
                format!("{}_env: the environment variable {name} is not set", self.key)
            })?
        } else if let Some(path) = self.path()? {
            std::fs::read_to_string(&path)
                .with_context(|| format!("{}: cannot read {}", self.key, path.display()))?
        } else {
            return Ok(None);
        };
        let text = text.trim();
        if text.is_empty() {
            bail!("{}: expected a secret, got nothing but white space", self.key);
        }
        Ok(Some(SecretString::from(text.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use secrecy::ExposeSecret as _;

    use super::*;

    const NOWHERE: SecretSource<'_> =
        SecretSource { key: "token_secret", file: None, env: None, credential: None };

    #[test]
    fn a_credential_is_a_file_in_the_folder_that_systemd_names() {
        let source = SecretSource { credential: Some("lab"), ..NOWHERE };
        let folder = Some(OsString::from("/run/credentials/x.service"));
        let path = source.path_in(folder).unwrap().unwrap();
        assert_eq!(path, Path::new("/run/credentials/x.service/lab"));
        let error = source.path_in(None).unwrap_err().to_string();
        assert!(error.starts_with("token_secret_credential: $CREDENTIALS_DIRECTORY"), "{error}");
    }

    #[test]
    fn a_credential_cannot_name_a_file_elsewhere() {
        for name in ["../shadow", "", "a/b"] {
            let source = SecretSource { credential: Some(name), ..NOWHERE };
            assert!(source.check(true).unwrap_err().contains("the name of a systemd credential"));
        }
    }

    #[test]
    fn exactly_one_place_is_given() {
        assert!(NOWHERE.check(true).unwrap_err().ends_with("got none"));
        assert!(NOWHERE.check(false).is_ok());
        let two = SecretSource { env: Some("A"), credential: Some("b"), ..NOWHERE };
        assert!(two.check(true).unwrap_err().ends_with("got several"));
    }

    #[test]
    fn a_secret_is_read_without_the_line_end_and_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let (full, empty) = (folder.path().join("full"), folder.path().join("empty"));
        std::fs::write(&full, " s3cret\n").unwrap();
        std::fs::write(&empty, "\n").unwrap();
        let read = |path: &Path| SecretSource { file: Some(path), ..NOWHERE }.read();
        assert_eq!(read(&full).unwrap().unwrap().expose_secret(), "s3cret");
        assert!(read(&empty).unwrap_err().to_string().contains("nothing but white space"));
        let gone = read(&folder.path().join("gone")).unwrap_err().to_string();
        assert!(gone.starts_with("token_secret: cannot read"), "{gone}");
        let unset = SecretSource { env: Some("INNKEEPER_TEST_UNSET"), ..NOWHERE };
        let error = unset.read().unwrap_err().to_string();
        assert!(error.contains("INNKEEPER_TEST_UNSET is not set"), "{error}");
    }
}
