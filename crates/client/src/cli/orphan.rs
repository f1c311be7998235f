//! `orphan …`.

use clap::Subcommand;

use super::exit::{Exit, Failure, settled};
use super::operation::follow;
use super::output::{Format, Screen, Table, seconds};
use crate::Client;

#[derive(Debug, Subcommand)]
pub enum OrphanCommand {
    /// List guests that Innkeeper made and that belong to no instance
    List,
    /// Remove one of them for good, with its disks
    Collect {
        /// The provider where it is
        provider: String,
        /// What its provider calls it, as listed
        guest: String,
        /// Follow the operation until it ends
        #[arg(long)]
        wait: bool,
    },
}

pub(super) async fn run(
    client: &Client,
    screen: &mut Screen,
    command: OrphanCommand,
) -> Result<Exit, Failure> {
    match command {
        OrphanCommand::List => list(client, screen).await,
        OrphanCommand::Collect { provider, guest, wait } => {
            let operation = client.collect_orphan(&provider, &guest).await?;
            if wait {
                let operation = follow(client, screen, operation.operation).await?;
                if screen.is_json() {
                    screen.json(&operation)?;
                }
                return settled(&operation);
            }
            match screen.format {
                Format::Json => screen.json(&operation),
                Format::Table => screen.print(&format!(
                    "collection of {guest} is accepted\n  next: innkeeper operation watch {}\n",
                    operation.operation
                )),
            }
        }
    }
}

async fn list(client: &Client, screen: &mut Screen) -> Result<Exit, Failure> {
    let list = client.orphans().await?;
    if screen.is_json() {
        return screen.json(&list);
    }
    for looked in &list.looked {
        if let Some(reason) = &looked.incomplete {
            let since = looked.age_seconds.map(|age| format!(" since {} ago", seconds(age)));
            let since = since.unwrap_or_default();
            eprintln!("{}: not all was seen{since}: {reason}", looked.provider);
        }
    }
    let mut table = Table::new(&[
        ("PROVIDER", 0),
        ("GUEST", 0),
        ("NAME", 0),
        ("HOST", 1),
        ("POWER", 1),
        ("FOUND", 0),
        ("COPY", 1),
        ("INSTANCE", 2),
    ]);
    for orphan in list.orphans {
        table.row([
            orphan.provider,
            orphan.guest,
            orphan.name,
            orphan.host,
            orphan.power.to_string(),
            format!("{} ago", seconds(orphan.age_seconds)),
            if orphan.copy { "yes".to_owned() } else { String::new() },
            orphan.instance.to_string(),
        ]);
    }
    screen.table(&table, "no orphans")
}
