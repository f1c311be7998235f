//! `operation …`.

use clap::Subcommand;
use model::{InstanceId, OperationId};
use serde_json::json;

use super::exit::{Exit, Failure, settled};
use super::filter::OperationFilterArgs;
use super::output::{Format, Screen, Table, ago, clean, seconds, sheet};
use crate::Client;
use crate::progress::{self, Sink};
use crate::wire::{LIST_MOST, Operation, OperationQuery};

#[derive(Debug, Subcommand)]
pub enum OperationCommand {
    /// List operations, newest first
    List {
        /// Only those of this instance (name or id)
        #[arg(long, value_name = "NAME|ID")]
        instance: Option<String>,
        /// Only those that have not ended
        #[arg(long, conflicts_with = "settled")]
        running: bool,
        /// Only those that have ended or are stuck
        #[arg(long)]
        settled: bool,
        #[command(flatten)]
        filter: OperationFilterArgs,
        /// At most this many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=LIST_MOST as i64))]
        limit: u32,
    },
    /// Show an operation with its steps
    Show {
        /// Its id
        id: OperationId,
        /// With its log
        #[arg(long)]
        log: bool,
    },
    /// Follow an operation until it ends
    Watch {
        /// Its id
        id: OperationId,
    },
    /// Ask an operation to take back what it did
    Cancel {
        /// Its id
        id: OperationId,
    },
    /// Let a stuck operation go on
    Resume {
        /// Its id
        id: OperationId,
    },
    /// Give a stuck operation up, with what it has left behind
    Abandon {
        /// Its id
        id: OperationId,
    },
}

pub(super) async fn run(
    client: &Client,
    screen: &mut Screen,
    command: OperationCommand,
) -> Result<Exit, Failure> {
    match command {
        OperationCommand::List { instance, running, settled, filter, limit } => {
            let instance = match instance {
                Some(instance) => Some(resolve_past(client, &instance).await?),
                None => None,
            };
            let settled = (running || settled).then_some(settled);
            let query = OperationQuery {
                instance,
                settled,
                state: filter.in_state,
                kind: filter.kind,
                project: filter.project,
                after: None,
                limit: Some(limit),
            };
            let page = client.operations_page(&query).await?;
            match screen.format {
                Format::Json => screen.json(&page),
                Format::Table => list(screen, page.operations),
            }
        }
        OperationCommand::Show { id, log } => show(client, screen, id, log).await,
        OperationCommand::Watch { id } => {
            let operation = follow(client, screen, id).await?;
            if screen.is_json() {
                screen.json(&operation)?;
            }
            settled(&operation)
        }
        OperationCommand::Cancel { id } => {
            changed(screen, "cancel is asked for", &client.cancel_operation(id).await?)
        }
        OperationCommand::Resume { id } => {
            changed(screen, "resumed", &client.resume_operation(id).await?)
        }
        OperationCommand::Abandon { id } => {
            changed(screen, "abandoned", &client.abandon_operation(id).await?)
        }
    }
}

/// Follows an operation on standard error; silently when a program reads.
pub(super) async fn follow(
    client: &Client,
    screen: &mut Screen,
    id: OperationId,
) -> Result<Operation, Failure> {
    let mut sink: Box<dyn Sink + Send> = match screen.format {
        Format::Table => progress::for_stderr(),
        Format::Json => Box::new(progress::Silent),
    };
    Ok(progress::follow(client, id, &mut *sink).await?)
}

/// An instance's id, also of one that is gone: an id is taken as it is.
async fn resolve_past(client: &Client, text: &str) -> Result<InstanceId, Failure> {
    match text.parse() {
        Ok(id) => Ok(id),
        Err(_) => Ok(super::instance::resolve(client, text).await?.id),
    }
}

fn list(screen: &mut Screen, operations: Vec<Operation>) -> Result<Exit, Failure> {
    let mut table = Table::new(&[
        ("ID", 0),
        ("KIND", 0),
        ("INSTANCE", 0),
        ("STATE", 0),
        ("AGE", 1),
        ("TOOK", 2),
        ("BY", 3),
    ]);
    for operation in operations {
        let took = operation.ended_at.map(|end| end.0.since(operation.created_at.0).as_secs());
        table.row([
            operation.id.to_string(),
            operation.kind.to_string(),
            operation.instance_name,
            operation.state.to_string(),
            ago(operation.created_at),
            took.map(seconds).unwrap_or_default(),
            operation.asked_by,
        ]);
    }
    screen.table(&table, "no operations")
}

async fn show(
    client: &Client,
    screen: &mut Screen,
    id: OperationId,
    log: bool,
) -> Result<Exit, Failure> {
    let operation = client.operation(id).await?;
    let log = if log { Some(client.operation_log(id).await?) } else { None };
    if screen.is_json() {
        return match log {
            Some(log) => screen.json(&json!({ "operation": operation, "log": log.lines })),
            None => screen.json(&operation),
        };
    }
    let optional = |time: Option<crate::wire::Time>| time.map(|t| t.to_string());
    let mut text = sheet(&[
        ("operation", operation.id.to_string()),
        ("kind", operation.kind.to_string()),
        ("instance", format!("{} ({})", operation.instance_name, operation.instance)),
        ("project", operation.project.clone()),
        ("state", operation.state.to_string()),
        ("reason", operation.reason.clone().unwrap_or_default()),
        ("left", operation.left.join("; ")),
        ("asked by", operation.asked_by.clone()),
        ("created", operation.created_at.to_string()),
        ("ended", optional(operation.ended_at).unwrap_or_default()),
    ]);
    if !operation.steps.is_empty() {
        text.push('\n');
        text.push_str(&steps(&operation).render(None));
    }
    if let Some(log) = log {
        text.push('\n');
        for line in log.lines {
            text.push_str(&format!("{}  {}\n", line.at, clean(&line.text)));
        }
    }
    screen.print(&text)
}

fn steps(operation: &Operation) -> Table {
    let mut table =
        Table::new(&[("STEP", 0), ("STATE", 0), ("TOOK", 0), ("TRIES", 0), ("DETAIL", 0)]);
    for step in &operation.steps {
        let took = match (step.began_at, step.ended_at) {
            (Some(began), Some(ended)) => {
                format!("{:.1}s", ended.0.since(began.0).as_secs_f64())
            }
            _ => String::new(),
        };
        let percent = step.percent.map(|percent| format!("{percent} % "));
        let detail = step.detail.clone().unwrap_or_default();
        table.row([
            step.name.clone(),
            step.state.to_string(),
            took,
            step.attempts.to_string(),
            format!("{}{detail}", percent.unwrap_or_default()),
        ]);
    }
    table
}

fn changed(screen: &mut Screen, what: &str, operation: &Operation) -> Result<Exit, Failure> {
    match screen.format {
        Format::Json => screen.json(operation),
        Format::Table => {
            let next = match operation.state.is_settled() {
                true => String::new(),
                false => format!("  next: innkeeper operation watch {}\n", operation.id),
            };
            let name = clean(&operation.instance_name);
            screen.print(&format!("{} of {name}: {what}\n{next}", operation.kind))
        }
    }
}
