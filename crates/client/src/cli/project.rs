//! `project …`.

use clap::Subcommand;
use model::{ByteCount, ProjectId};

use super::exit::{Exit, Failure};
use super::output::{Format, Screen, Table};
use crate::Client;
use crate::size::{parse_size, show_size};
use crate::wire::{Project, ProjectList, Quota, SetProject};

#[derive(Debug, Subcommand)]
pub enum ProjectCommand {
    /// List projects with what they use and may use
    List,
    /// Set what a project may use; what is left out has no limit
    Set {
        /// Its name
        name: ProjectId,
        /// What people say about it
        #[arg(long, default_value = "")]
        description: String,
        /// Instances
        #[arg(long, value_name = "COUNT")]
        instances: Option<u64>,
        /// Virtual processor cores
        #[arg(long, value_name = "COUNT")]
        cores: Option<u64>,
        /// Memory, for example 64G
        #[arg(long, value_name = "SIZE", value_parser = parse_size)]
        memory: Option<ByteCount>,
        /// Disks, for example 1T
        #[arg(long, value_name = "SIZE", value_parser = parse_size)]
        disk: Option<ByteCount>,
    },
    /// Forget a project's limits; what belongs to it stays
    Forget {
        /// Its name
        name: ProjectId,
    },
}

pub(super) async fn run(
    client: &Client,
    screen: &mut Screen,
    command: ProjectCommand,
) -> Result<Exit, Failure> {
    match command {
        ProjectCommand::List => {
            let projects = client.projects().await?;
            show(screen, projects)
        }
        ProjectCommand::Set { name, description, instances, cores, memory, disk } => {
            let quota = Quota {
                instances,
                cores,
                memory_bytes: memory.map(ByteCount::as_bytes),
                disk_bytes: disk.map(ByteCount::as_bytes),
            };
            let set = client.set_project(&name, &SetProject { description, quota }).await?;
            match screen.format {
                Format::Json => screen.json(&set),
                Format::Table => show(screen, vec![set]),
            }
        }
        ProjectCommand::Forget { name } => {
            client.forget_project(&name).await?;
            match screen.format {
                Format::Json => screen.json(&serde_json::json!({ "forgotten": name })),
                Format::Table => screen.print(&format!("project {name} has no limits\n")),
            }
        }
    }
}

fn show(screen: &mut Screen, projects: Vec<Project>) -> Result<Exit, Failure> {
    if screen.format == Format::Json {
        return screen.json(&ProjectList { projects });
    }
    let mut table =
        Table::new(&[("NAME", 0), ("INSTANCES", 0), ("CORES", 0), ("MEMORY", 0), ("DISK", 0)]);
    for Project { name, used, quota, .. } in projects {
        let count = |used: u64, most: Option<u64>| match most {
            Some(most) => format!("{used} of {most}"),
            None => used.to_string(),
        };
        let size = |used: u64, most: Option<u64>| match most {
            Some(most) => format!("{} of {}", show_size(used), show_size(most)),
            None => show_size(used),
        };
        table.row([
            name,
            count(used.instances, quota.instances),
            count(used.cores, quota.cores),
            size(used.memory_bytes, quota.memory_bytes),
            size(used.disk_bytes, quota.disk_bytes),
        ]);
    }
    screen.table(&table, "no project has limits")
}
