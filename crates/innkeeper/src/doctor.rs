//! `innkeeper doctor`: what stands between this configuration and its first
//! guest, in clear words.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use provider_pve::{Finding, Level, diagnose};
use pve_sim::machine::qemu::find_programs;

use crate::config::{Config, ProviderConfig};
use crate::providers::proxmox_client;

/// Checks the configuration and its clusters: reachable, which version, which
/// privilege is missing, templates, storages. Without a configuration it checks
/// whether the demo can run here.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Exit codes: 0 everything is in order (warnings included); 1 there is a problem"
)]
pub struct Options {
    /// The configuration; `.env`, when that is there
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Looks and prints what it finds.
///
/// # Errors
/// When the configuration cannot be read.
pub async fn run(options: &Options) -> Result<ExitCode> {
    let mut worst = Level::Ok;
    // As `serve` does: the environment file that is there.
    let beside = Some(PathBuf::from(".env")).filter(|path| path.exists());
    match options.config.as_ref().or(beside.as_ref()) {
        None => worst = worst.max(print("this machine", &[programs()])),
        Some(path) => {
            let config = Config::read(path)?;
            if config.providers.is_empty() {
                let finding = problem("providers", "no [[provider]] is configured", "add one");
                worst = worst.max(print("configuration", &[finding]));
            }
            for ProviderConfig::Proxmox(proxmox) in &config.providers {
                let findings = match proxmox_client(&proxmox.access) {
                    Ok(client) => diagnose(&client, &proxmox.settings).await,
                    Err(error) => {
                        vec![problem("access", &format!("{error:#}"), "see the configuration")]
                    }
                };
                worst = worst.max(print(&format!("provider {}", proxmox.settings.name), &findings));
            }
        }
    }
    Ok(if worst == Level::Problem { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn problem(what: &'static str, detail: &str, hint: &str) -> Finding {
    Finding { level: Level::Problem, what, detail: detail.to_owned(), hint: hint.to_owned() }
}

fn programs() -> Finding {
    match find_programs() {
        Ok(found) => Finding {
            level: Level::Ok,
            what: "programs",
            detail: format!("guests can be run with {}", found.qemu.display()),
            hint: String::new(),
        },
        Err(error) => {
            problem("programs", &error.to_string(), "the demo needs it; a cluster does not")
        }
    }
}

fn print(subject: &str, findings: &[Finding]) -> Level {
    let colour = std::io::stdout().is_terminal();
    println!("{subject}");
    for finding in findings {
        let (word, code) = match finding.level {
            Level::Ok => ("ok", "32"),
            Level::Warning => ("warning", "33"),
            Level::Problem => ("problem", "31"),
        };
        let word = format!("{word:<8}");
        let word = if colour { format!("\x1b[{code}m{word}\x1b[0m") } else { word };
        println!("  {word} {:<10} {}", finding.what, finding.detail);
        if !finding.hint.is_empty() {
            println!("  {:<8} {:<10} -> {}", "", "", finding.hint);
        }
    }
    findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
}
