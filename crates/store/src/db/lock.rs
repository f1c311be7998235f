//! One process, one SQLite store.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Error;

/// How long a lock that is held may still be given up: by a store of this
/// process that was dropped and is finishing its last commit, or by a process
/// that is being replaced.
const PATIENCE: Duration = Duration::from_millis(600);
const PAUSE: Duration = Duration::from_millis(1);

/// Held as long as the data base may be written to. The kernel lets go of it
/// when the process dies, however it dies.
#[derive(Debug)]
pub(crate) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Takes the lock of this data base.
    pub(crate) async fn take(database: &Path) -> Result<Self, Error> {
        let path = lock_path(database);
        let away = |what: &str, error: &dyn std::fmt::Display| {
            Error::Unavailable(format!("{what} {}: {error}", path.display()))
        };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| away("cannot open the lock file", &error))?;
        let mut waited = Duration::ZERO;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if waited < PATIENCE => {
                    tokio::time::sleep(PAUSE).await;
                    waited += PAUSE;
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::Unavailable(format!(
                        "{} is in use by another process (it holds a lock on {})",
                        database.display(),
                        path.display()
                    )));
                }
                Err(TryLockError::Error(error)) => return Err(away("cannot lock", &error)),
            }
        }
    }
}

fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}
