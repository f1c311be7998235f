//! The state folder: the data base, the first admin token, the local socket.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use secrecy::{ExposeSecret, SecretString};

/// The folder that holds everything that must survive.
#[derive(Clone, Debug)]
pub struct StateFolder(PathBuf);

impl StateFolder {
    /// Opens the folder; makes it (0700) when it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(path: &Path) -> Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("cannot make the state folder {}", path.display()))?;
        Ok(Self(path.to_owned()))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The data base.
    pub fn data_base(&self) -> PathBuf {
        self.0.join("innkeeper.db")
    }

    /// The first admin token.
    pub fn admin_token(&self) -> PathBuf {
        self.0.join("admin.token")
    }

    /// There while the first admin token is being made.
    pub fn first_start(&self) -> PathBuf {
        self.0.join("first-start")
    }

    /// The socket for the local command line.
    pub fn socket(&self) -> PathBuf {
        self.0.join("innkeeper.sock")
    }

    /// Writes a secret that only the owner can read (0600), all of it or
    /// nothing.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_secret(path: &Path, secret: &SecretString) -> Result<()> {
        let new = path.with_extension("new");
        let write = || -> std::io::Result<()> {
            let _ = fs::remove_file(&new);
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            writeln!(file, "{}", secret.expose_secret())?;
            file.sync_all()?;
            fs::rename(&new, path)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }
}
