//! Failures before a guest runs: missing programs, folders, the tiny guest.

use std::path::PathBuf;

use crate::machine::BackendError;

/// Why QEMU guests cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum QemuError {
    /// A program that is needed is not in `PATH`.
    #[error("the program {program} is missing; install the package {package}")]
    Missing {
        /// The program's name.
        program: &'static str,
        /// The Debian and Ubuntu package that holds it.
        package: &'static str,
    },
    /// Another process holds the state folder.
    #[error("another simulator uses the state folder {}", .0.display())]
    InUse(PathBuf),
    /// A file or folder cannot be used.
    #[error("{what} {}", .path.display())]
    File {
        /// What was tried, such as `cannot create`.
        what: &'static str,
        /// What it was tried on.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A program ran and failed.
    #[error("{program} failed ({status}):\n{tail}")]
    Failed {
        /// What ran.
        program: String,
        /// Its exit status.
        status: String,
        /// The last lines that it wrote.
        tail: String,
    },
    /// A program ran longer than it may.
    #[error("{program} was stopped after {seconds} seconds")]
    TooSlow {
        /// What ran.
        program: String,
        /// The limit.
        seconds: u64,
    },
}

impl QemuError {
    pub(super) fn file(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { what, path, source }
    }
}

impl From<QemuError> for BackendError {
    fn from(error: QemuError) -> Self {
        let mut text = error.to_string();
        if let Some(source) = std::error::Error::source(&error) {
            text.push_str(": ");
            text.push_str(&source.to_string());
        }
        Self::new(text)
    }
}

/// The last `count` lines of a text.
pub(super) fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
