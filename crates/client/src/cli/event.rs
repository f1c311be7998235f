//! `event …` and `audit …`: what happened, and who asked for what.

use std::time::Duration;

use clap::Subcommand;
use model::{InstanceId, ProjectId};

use super::exit::{Exit, Failure};
use super::output::{Screen, Table, ago};
use crate::Client;
use crate::wire::{AuditQuery, Event, EventQuery, LIST_MOST};

/// How often a follower asks. Events are kept, so that none is missed between.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How many rows a page may have.
fn page() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::try_from(LIST_MOST).unwrap_or(i64::MAX))
}

#[derive(Debug, Subcommand)]
pub enum EventCommand {
    /// List events, oldest first
    List {
        /// Only those about this instance
        #[arg(long)]
        instance: Option<InstanceId>,
        /// Only those of this project
        #[arg(long)]
        project: Option<ProjectId>,
        /// Only those after this one, by its number
        #[arg(long, value_name = "NUMBER")]
        after: Option<u64>,
        /// At most this many
        #[arg(long, value_name = "COUNT", value_parser = page())]
        limit: Option<u32>,
    },
    /// Print events as they happen, until interrupted; as JSON, one in each line
    Follow {
        /// Only those about this instance
        #[arg(long)]
        instance: Option<InstanceId>,
        /// Only those of this project
        #[arg(long)]
        project: Option<ProjectId>,
        /// Begin after this one, by its number (0: with all that are kept); with
        /// what happens from now on when left out
        #[arg(long, value_name = "NUMBER")]
        after: Option<u64>,
    },
}

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// List who asked for what, newest first
    List {
        /// Only those for this project
        #[arg(long)]
        project: Option<ProjectId>,
        /// Only those of this token, by its id
        #[arg(long)]
        principal: Option<String>,
        /// Only those that asked for this, for example create
        #[arg(long)]
        action: Option<String>,
        /// Only those about this, by its id
        #[arg(long)]
        target: Option<String>,
        /// Only those with this outcome, for example accepted
        #[arg(long)]
        outcome: Option<String>,
        /// Only those before this one, by its number
        #[arg(long, value_name = "NUMBER")]
        after: Option<u64>,
        /// At most this many
        #[arg(long, value_name = "COUNT", value_parser = page())]
        limit: Option<u32>,
    },
}

pub(super) async fn run(
    client: &Client,
    screen: &mut Screen,
    command: EventCommand,
) -> Result<Exit, Failure> {
    let text = |project: Option<ProjectId>| project.map(|project| project.to_string());
    match command {
        EventCommand::List { instance, project, after, limit } => {
            let query = EventQuery { instance, project: text(project), after, limit };
            let list = client.events(&query).await?;
            if screen.is_json() {
                return screen.json(&list);
            }
            let mut table = Table::new(&[("NUMBER", 0), ("AGE", 1), ("KIND", 0), ("TEXT", 0)]);
            for event in list.events {
                let (number, age) = (event.sequence.to_string(), ago(event.at));
                table.row([number, age, event.kind, event.text]);
            }
            screen.table(&table, "no events")
        }
        EventCommand::Follow { instance, project, after } => {
            let query = EventQuery {
                instance,
                project: text(project),
                after,
                limit: u32::try_from(LIST_MOST).ok(),
            };
            follow(client, screen, query).await
        }
    }
}

async fn follow(
    client: &Client,
    screen: &mut Screen,
    mut query: EventQuery,
) -> Result<Exit, Failure> {
    // What happened before is passed over unless it was asked for.
    let mut shown = query.after.is_some();
    loop {
        let list = client.events(&query).await?;
        for event in &list.events {
            if shown {
                screen.print(&line(screen.is_json(), event)?)?;
            }
            query.after = Some(event.sequence);
        }
        if list.next.is_none() {
            shown = true;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn line(as_json: bool, event: &Event) -> Result<String, Failure> {
    if as_json {
        let text = serde_json::to_string(event);
        let text = text.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        return Ok(format!("{text}\n"));
    }
    let text = super::clean(&event.text);
    Ok(format!("{}  {}  {}  {text}\n", event.sequence, event.at.0, super::clean(&event.kind)))
}

pub(super) async fn audit(
    client: &Client,
    screen: &mut Screen,
    command: AuditCommand,
) -> Result<Exit, Failure> {
    let AuditCommand::List { project, principal, action, target, outcome, after, limit } = command;
    let project = project.map(|project| project.to_string());
    let query = AuditQuery { project, principal, action, target, outcome, after, limit };
    let list = client.audit(&query).await?;
    if screen.is_json() {
        return screen.json(&list);
    }
    let mut table = Table::new(&[
        ("NUMBER", 2),
        ("AGE", 0),
        ("WHO", 0),
        ("ACTION", 0),
        ("TARGET", 0),
        ("OUTCOME", 0),
        ("REQUEST", 3),
    ]);
    for entry in list.entries {
        let (number, age) = (entry.sequence.to_string(), ago(entry.at));
        let outcome = match entry.detail {
            Some(detail) => format!("{}: {detail}", entry.outcome),
            None => entry.outcome,
        };
        let row = [number, age, entry.principal_name, entry.action, entry.target, outcome];
        table.row(row.into_iter().chain([entry.request_id]));
    }
    screen.table(&table, "nobody asked for anything")
}
