//! Innkeeper turns hosts into a cloud.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use client::cli::{Connection, EXIT_CODES};
use innkeeper::config::Config;
use innkeeper::config::LogWishes;
use innkeeper::config::explain::{self, ConfigCommand};
use innkeeper::syslog::Syslog;
use innkeeper::{data_base, demo, doctor, manual, serve, simulate, visa_import};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Turns hosts into a cloud: provisions virtual machines on Proxmox VE, and
/// never leaks or loses one.
#[derive(Parser)]
#[command(version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Boot a real virtual machine on this computer and log in to it
    Demo(demo::Options),
    /// Serve the doors
    Serve {
        /// The configuration: TOML, or the environment file of VISA's web
        /// provider when its name ends in `.env`
        #[arg(long, short, value_name = "FILE", default_value = ".env")]
        config: PathBuf,
    },
    /// Bring the data base to the schema of this program
    Migrate(data_base::Migrate),
    /// Copy the data base
    #[command(subcommand)]
    Store(data_base::StoreCommand),
    /// Check the configuration and its clusters
    Doctor(doctor::Options),
    /// Explain the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the completions for a shell
    Completions(manual::Completions),
    /// Write the manual pages into a folder
    Manual(manual::Manual),
    /// Take over what VISA's old provider has
    #[command(subcommand)]
    Visa(visa_import::VisaCommand),
    /// Run a simulated Proxmox VE cluster
    PveSim(simulate::Options),
    #[command(flatten)]
    Client(client::cli::Command),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    log_to_stderr(&arguments.command);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(run(arguments))
}

/// Programs that people watch say what is needed themselves: there the log
/// shows what is worth a warning. `INNKEEPER_LOG` overrides it.
fn log_to_stderr(command: &Command) {
    let wanted = match command {
        Command::Serve { config } => LogWishes::of(config),
        _ => LogWishes::default(),
    };
    let usual = match command {
        Command::Serve { .. } => wanted.level.unwrap_or("info"),
        Command::Demo(_) => "error",
        _ => "warn",
    };
    let filter = EnvFilter::try_from_env("INNKEEPER_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    let stderr = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_timer(wanted.time.clone())
        .with_ansi(std::io::stderr().is_terminal());
    let mut failed = None;
    let syslog = wanted.syslog.and_then(|(host, port, program)| {
        Syslog::connect(&host, port, &program, wanted.time)
            .map_err(|error| failed = Some(error))
            .ok()
    });
    let syslog = syslog.map(|server| {
        let layer = tracing_subscriber::fmt::layer().with_writer(server);
        layer.with_ansi(false).without_time().with_level(false)
    });
    tracing_subscriber::registry().with(filter).with(stderr).with(syslog).init();
    if let Some(error) = failed {
        tracing::error!(%error, "nothing is sent to the syslog server");
    }
}

async fn run(arguments: Arguments) -> ExitCode {
    let done = match arguments.command {
        Command::Demo(options) => demo::run(options, arguments.connection.state).await,
        Command::Serve { config } => serve(&config).await,
        Command::Migrate(options) => data_base::migrate(&options).await,
        Command::Store(data_base::StoreCommand::Copy(options)) => data_base::copy(&options).await,
        Command::Config(ConfigCommand::Explain(options)) => explain::run(&options),
        Command::Completions(options) => manual::completions(&options, Arguments::command()),
        Command::Manual(options) => manual::manual(&options, Arguments::command()),
        Command::Store(data_base::StoreCommand::Rekey(options)) => data_base::rekey(&options).await,
        Command::Visa(visa_import::VisaCommand::Import(options)) => {
            visa_import::run(&options).await
        }
        Command::PveSim(options) => simulate::run(&options).await,
        Command::Doctor(options) => match doctor::run(&options).await {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Client(command) => {
            return client::cli::run(&arguments.connection, command, None).await.into();
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(path: &std::path::Path) -> anyhow::Result<()> {
    let config = Config::read(path)?;
    let running = serve::open(&config).await?;
    tracing::info!(
        native = %running.native,
        metadata = running.metadata.map(|address| address.to_string()),
        visa = running.visa.map(|address| address.to_string()),
        "the doors are open"
    );
    let reload = std::sync::Arc::clone(&running.reload);
    let until = async {
        tokio::select! {
            () = serve::asked_to_end() => {}
            () = reload.on_signals(path) => {}
        }
    };
    running.run(until).await
}
