//! Completions for shells, and manual pages: both are made from the commands
//! themselves.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Command};
use clap_complete::Shell;

/// Print the completions for a shell
///
/// For example: innkeeper completions bash > /etc/bash_completion.d/innkeeper
#[derive(Args, Clone, Debug)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

/// Write the manual pages into a folder
///
/// One page for each command: innkeeper.1, innkeeper-serve.1, …
#[derive(Args, Clone, Debug)]
pub struct Manual {
    /// The folder; made when it is not there
    folder: PathBuf,
}

/// Prints the completions.
///
/// # Errors
/// When standard output cannot be written to.
pub fn completions(options: &Completions, mut command: Command) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(options.shell, &mut command, "innkeeper", &mut text);
    std::io::stdout().write_all(&text).context("cannot print the completions")
}

/// Writes the pages.
///
/// # Errors
/// When the folder or a page cannot be written.
pub fn manual(options: &Manual, command: Command) -> Result<()> {
    let folder = &options.folder;
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    clap_mangen::generate_to(command, folder)
        .with_context(|| format!("cannot write the pages into {}", folder.display()))
}
