//! The commands that talk to a server. They have no `main`: the `innkeeper`
//! binary flattens [`Connection`] and [`Command`] into its own, and turns
//! [`run`]'s answer into its exit code.

mod catalogue;
mod change;
mod connection;
mod event;
mod exit;
mod filter;
mod instance;
mod operation;
mod orphan;
mod output;
mod project;
mod token;
mod webhook;

use std::path::Path;

use clap::Subcommand;

pub use connection::{ADMIN_TOKEN_FILE, Connection, SOCKET_FILE};
pub use exit::{EXIT_CODES, Exit, Failure};
pub use output::{Format, Screen, clean};

use catalogue::{FlavourCommand, ImageCommand};
use event::{AuditCommand, EventCommand};
use instance::InstanceCommand;
use operation::OperationCommand;
use orphan::OrphanCommand;
use project::ProjectCommand;
use token::TokenCommand;
use webhook::WebhookCommand;

use crate::Client;

/// What to ask the server for.
#[derive(Debug, Subcommand)]
#[command(after_help = EXIT_CODES)]
pub enum Command {
    /// Create, list, start, stop and delete instances
    #[command(subcommand, after_help = EXIT_CODES)]
    Instance(InstanceCommand),
    /// Follow, cancel and resume operations
    #[command(subcommand, after_help = EXIT_CODES)]
    Operation(OperationCommand),
    /// List images
    #[command(subcommand, after_help = EXIT_CODES)]
    Image(ImageCommand),
    /// Create, list and delete flavours
    #[command(subcommand, after_help = EXIT_CODES)]
    Flavour(FlavourCommand),
    /// List and remove guests of ours that belong to no instance
    #[command(subcommand, after_help = EXIT_CODES)]
    Orphan(OrphanCommand),
    /// Set what projects may use, and see what they do use
    #[command(subcommand, after_help = EXIT_CODES)]
    Project(ProjectCommand),
    /// Create, list and revoke API tokens
    #[command(subcommand, after_help = EXIT_CODES)]
    Token(TokenCommand),
    /// List and follow what happens
    #[command(subcommand, after_help = EXIT_CODES)]
    Event(EventCommand),
    /// List who asked for what
    #[command(subcommand, after_help = EXIT_CODES)]
    Audit(AuditCommand),
    /// Have events posted elsewhere
    #[command(subcommand, after_help = EXIT_CODES)]
    Webhook(WebhookCommand),
}

/// Carries a command out: its result on standard output, progress and errors on
/// standard error. `default_state` is the state folder to look into when
/// neither arguments nor environment say where the server is.
pub async fn run(connection: &Connection, command: Command, default_state: Option<&Path>) -> Exit {
    let format = connection.output;
    let result = match connection.client(&|name| std::env::var(name).ok(), default_state) {
        Ok(client) => run_with(&client, command, &mut Screen::stdout(format)).await,
        Err(failure) => Err(failure),
    };
    result.unwrap_or_else(|failure| {
        eprint!("{}", failure.render(format));
        failure.exit
    })
}

/// Carries a command out with this client and its result on this screen.
///
/// # Errors
/// [`Failure`] with its exit code, not printed yet.
pub async fn run_with(
    client: &Client,
    command: Command,
    screen: &mut Screen,
) -> Result<Exit, Failure> {
    match command {
        Command::Instance(command) => instance::run(client, screen, command).await,
        Command::Operation(command) => operation::run(client, screen, command).await,
        Command::Image(command) => catalogue::run_image(client, screen, command).await,
        Command::Flavour(command) => catalogue::run_flavour(client, screen, command).await,
        Command::Orphan(command) => orphan::run(client, screen, command).await,
        Command::Project(command) => project::run(client, screen, command).await,
        Command::Token(command) => token::run(client, screen, command).await,
        Command::Event(command) => event::run(client, screen, command).await,
        Command::Audit(command) => event::audit(client, screen, command).await,
        Command::Webhook(command) => webhook::run(client, screen, command).await,
    }
}

#[cfg(test)]
mod tests;
