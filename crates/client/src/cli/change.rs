//! `instance resize|edit|adopt|migrate|destinations|snapshot …`.

use std::time::Duration;

use clap::{Args, Subcommand};
use model::time::SystemClock;
use model::{ByteCount, Clock};

use super::exit::{Exit, Failure};
use super::instance::{PowerArgs, accepted, resolve_id};
use super::output::{Format, Screen, Table, ago};
use crate::Client;
use crate::size::{parse_duration, parse_size};
use crate::wire::{AdoptInstance, EditInstance, HostScore, Migrate, NewSnapshot, Resize, Time};

#[derive(Debug, Args)]
pub struct ResizeArgs {
    #[command(flatten)]
    on: PowerArgs,
    /// The flavour: gives cores, memory and disk, unless they are given
    #[arg(long, value_name = "NAME|ID")]
    flavour: Option<String>,
    /// Virtual processor cores
    #[arg(long, value_name = "COUNT")]
    cores: Option<u32>,
    /// Memory, for example 2G
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    memory: Option<ByteCount>,
    /// The root disk, for example 20G; it only ever grows
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    disk: Option<ByteCount>,
}

#[derive(Debug, Args)]
pub struct EditArgs {
    #[command(flatten)]
    on: PowerArgs,
    /// A new name: a DNS name
    #[arg(long, value_name = "NAME")]
    rename: Option<String>,
    /// What to say about it; empty removes it
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A tag; all of them replace those that it has
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Remove all tags
    #[arg(long, conflicts_with = "tags")]
    no_tags: bool,
    /// Protect it against deletion
    #[arg(long, conflicts_with = "unprotect")]
    protect: bool,
    /// Take the protection against deletion off
    #[arg(long)]
    unprotect: bool,
    /// Delete it by itself, from now, for example 30d
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    expires_in: Option<Duration>,
    /// Never delete it by itself
    #[arg(long, conflicts_with = "expires_in")]
    no_expiry: bool,
}

/// The time that is this far from now.
pub(super) fn from_now(wait: Duration) -> Time {
    Time(SystemClock::new().now().plus(wait))
}

#[derive(Debug, Args)]
pub struct AdoptArgs {
    /// The provider where the guest is
    provider: String,
    /// What its provider calls it; on Proxmox VE its vmid
    guest: String,
    /// Make it ours: it may be changed, and is removed with the instance.
    /// Otherwise it is watched, started and stopped, and stays
    #[arg(long)]
    own: bool,
    /// Delete (or release) it by itself, from now, for example 30d
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    expires_in: Option<Duration>,
    /// Another project than the token's
    #[arg(long)]
    project: Option<String>,
    /// Follow the operation until it ends
    #[arg(long)]
    wait: bool,
}

#[derive(Debug, Args)]
pub struct MigrateArgs {
    #[command(flatten)]
    on: PowerArgs,
    /// The host; the best one when left out
    #[arg(long)]
    host: Option<String>,
    /// Let a running guest go on running; otherwise it must be off
    #[arg(long)]
    online: bool,
}

#[derive(Debug, Args)]
pub struct SnapshotOn {
    /// The snapshot
    snapshot: String,
    /// Follow the operation until it ends
    #[arg(long)]
    wait: bool,
}

#[derive(Debug, Subcommand)]
pub enum SnapshotCommand {
    /// List the snapshots of an instance
    List {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        instance: String,
    },
    /// Take a snapshot
    Create {
        /// The instance's name or id
        #[arg(value_name = "NAME|ID")]
        instance: String,
        #[command(flatten)]
        on: SnapshotOn,
        /// What to say about it
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
        /// Save the memory of a running guest, too
        #[arg(long)]
        memory: bool,
    },
    /// Go back to a snapshot: what has happened since is lost
    Rollback {
        /// The instance's name or id
        #[arg(value_name = "NAME|ID")]
        instance: String,
        #[command(flatten)]
        on: SnapshotOn,
    },
    /// Delete a snapshot
    Delete {
        /// The instance's name or id
        #[arg(value_name = "NAME|ID")]
        instance: String,
        #[command(flatten)]
        on: SnapshotOn,
    },
}

pub(super) async fn resize(
    client: &Client,
    screen: &mut Screen,
    args: ResizeArgs,
) -> Result<Exit, Failure> {
    let id = resolve_id(client, args.on.name()).await?;
    let request = Resize {
        flavour: args.flavour,
        cores: args.cores,
        memory_bytes: args.memory.map(ByteCount::as_bytes),
        disk_bytes: args.disk.map(ByteCount::as_bytes),
    };
    let answer = client.resize_instance(id, &request).await?;
    accepted(client, screen, &args.on, "resize", answer).await
}

pub(super) async fn edit(
    client: &Client,
    screen: &mut Screen,
    args: EditArgs,
) -> Result<Exit, Failure> {
    let id = resolve_id(client, args.on.name()).await?;
    let request = EditInstance {
        name: args.rename,
        description: args.description,
        tags: (args.no_tags || !args.tags.is_empty()).then(|| args.tags.into_iter().collect()),
        protected: (args.protect || args.unprotect).then_some(args.protect),
        expires_at: (args.no_expiry || args.expires_in.is_some())
            .then_some(args.expires_in.map(from_now)),
    };
    let answer = client.edit_instance(id, &request).await?;
    accepted(client, screen, &args.on, "edit", answer).await
}

pub(super) async fn adopt(
    client: &Client,
    screen: &mut Screen,
    args: AdoptArgs,
) -> Result<Exit, Failure> {
    let on = PowerArgs::new(args.guest.clone(), args.wait);
    let request = AdoptInstance {
        provider: args.provider,
        guest: args.guest,
        owned: args.own,
        expires_at: args.expires_in.map(from_now),
        project: args.project,
    };
    let answer = client.adopt_instance(&request).await?;
    accepted(client, screen, &on, "adoption", answer).await
}

pub(super) async fn migrate(
    client: &Client,
    screen: &mut Screen,
    args: MigrateArgs,
) -> Result<Exit, Failure> {
    let id = resolve_id(client, args.on.name()).await?;
    let answer =
        client.migrate_instance(id, &Migrate { host: args.host, online: args.online }).await?;
    accepted(client, screen, &args.on, "migrate", answer).await
}

pub(super) async fn destinations(
    client: &Client,
    screen: &mut Screen,
    instance: &str,
) -> Result<Exit, Failure> {
    let id = resolve_id(client, instance).await?;
    let list = client.destinations(id).await?;
    if screen.format == Format::Json {
        return screen.json(&list);
    }
    hosts(screen, list.destinations, "no other hosts")
}

/// Hosts with their scores, or the reasons why not.
pub(super) fn hosts(
    screen: &mut Screen,
    rows: Vec<HostScore>,
    none: &str,
) -> Result<Exit, Failure> {
    let mut table = Table::new(&[("HOST", 0), ("SCORE", 0), ("WHY NOT", 0)]);
    for row in rows {
        let score = row.score.map(|score| format!("{score:.3}")).unwrap_or_default();
        table.row([row.host, score, row.refused.unwrap_or_default()]);
    }
    screen.table(&table, none)
}

pub(super) async fn snapshot(
    client: &Client,
    screen: &mut Screen,
    command: SnapshotCommand,
) -> Result<Exit, Failure> {
    let (instance, on, verb, new) = match command {
        SnapshotCommand::List { instance } => return snapshots(client, screen, &instance).await,
        SnapshotCommand::Create { instance, on, description, memory } => {
            let name = on.snapshot.clone();
            (instance, on, "snapshot", Some(NewSnapshot { name, description, memory }))
        }
        SnapshotCommand::Rollback { instance, on } => (instance, on, "rollback", None),
        SnapshotCommand::Delete { instance, on } => (instance, on, "discard", None),
    };
    let id = resolve_id(client, &instance).await?;
    let answer = match (&new, verb) {
        (Some(new), _) => client.take_snapshot(id, new).await?,
        (None, "rollback") => client.roll_back(id, &on.snapshot).await?,
        (None, _) => client.discard_snapshot(id, &on.snapshot).await?,
    };
    accepted(client, screen, &PowerArgs::new(instance, on.wait), verb, answer).await
}

async fn snapshots(client: &Client, screen: &mut Screen, instance: &str) -> Result<Exit, Failure> {
    let id = resolve_id(client, instance).await?;
    let list = client.snapshots(id).await?;
    if screen.format == Format::Json {
        return screen.json(&list);
    }
    let mut table = Table::new(&[
        ("NAME", 0),
        ("NOW", 0),
        ("MEMORY", 1),
        ("PARENT", 1),
        ("AGE", 0),
        ("DESCRIPTION", 2),
    ]);
    for row in list.snapshots {
        let mark = |yes: bool| if yes { "yes".to_owned() } else { String::new() };
        table.row([
            row.name,
            mark(row.current),
            mark(row.memory),
            row.parent.unwrap_or_default(),
            ago(row.created_at),
            row.description,
        ]);
    }
    screen.table(&table, "no snapshots")
}
