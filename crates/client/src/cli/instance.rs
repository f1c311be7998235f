//! `instance …`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use model::{ByteCount, InstanceId, OperationId};

use super::change::{
    self, AdoptArgs, EditArgs, MigrateArgs, ResizeArgs, SnapshotCommand, from_now,
};
use super::exit::{Exit, Failure, settled};
use super::filter::InstanceFilterArgs;
use super::operation::follow;
use super::output::{Format, Screen, Table, ago, clean, seconds, sheet};
use crate::Client;
use crate::size::{parse_duration, parse_size, show_size};
use crate::wire::{
    Accepted, CreateInstance, Disk, Instance, InstanceList, InstanceQuery, Nic, Ownership, Reboot,
    Secret, Shutdown,
};

#[derive(Debug, Subcommand)]
pub enum InstanceCommand {
    /// List instances, oldest first
    List(Box<InstanceFilterArgs>),
    /// Show an instance
    Show {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        instance: String,
    },
    /// Create an instance
    Create(Box<CreateArgs>),
    /// Power an instance on
    Start(PowerArgs),
    /// Power an instance off, hard
    Stop(PowerArgs),
    /// Ask an instance to shut down
    Shutdown {
        #[command(flatten)]
        power: PowerArgs,
        /// Seconds that the guest may take, 1 to 3600
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        timeout: u64,
        /// Power it off when it has not shut down by then
        #[arg(long)]
        force: bool,
    },
    /// Ask an instance to restart
    Reboot {
        #[command(flatten)]
        power: PowerArgs,
        /// Seconds that the guest may take to go down, 1 to 3600
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        timeout: u64,
    },
    /// Give an instance another size
    Resize(ResizeArgs),
    /// Rename, describe, tag or protect an instance
    Edit(EditArgs),
    /// Show where an instance could move, and why not elsewhere
    Destinations {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        instance: String,
    },
    /// Move an instance to another host
    Migrate(MigrateArgs),
    /// Snapshots of an instance
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Adopt a guest that is there already (administrators)
    Adopt(AdoptArgs),
    /// Let an instance's guest go: it stays as it is (administrators)
    Release(PowerArgs),
    /// Delete an instance with everything that belongs to it
    Delete(PowerArgs),
}

#[derive(Debug, Args)]
pub struct PowerArgs {
    /// Its name or id
    #[arg(value_name = "NAME|ID")]
    instance: String,
    /// Follow the operation until it ends
    #[arg(long)]
    wait: bool,
}

impl PowerArgs {
    pub(super) const fn new(instance: String, wait: bool) -> Self {
        Self { instance, wait }
    }

    pub(super) fn name(&self) -> &str {
        &self.instance
    }
}

#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The guest's name and host name: a DNS name
    name: String,
    /// The image
    #[arg(long, value_name = "NAME|ID")]
    image: String,
    /// The flavour: gives cores, memory and disk, unless they are given
    #[arg(long, value_name = "NAME|ID")]
    flavour: Option<String>,
    /// Virtual processor cores
    #[arg(long, value_name = "COUNT", required_unless_present = "flavour")]
    cores: Option<u32>,
    /// Memory, for example 2G
    #[arg(long, value_name = "SIZE", value_parser = parse_size, required_unless_present = "flavour")]
    memory: Option<ByteCount>,
    /// The root disk, for example 10G; the image's size when left out
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    disk: Option<ByteCount>,
    /// A network to attach an interface to, in order; the image's when left out
    #[arg(long = "network", value_name = "NAME")]
    networks: Vec<String>,
    /// A security group, in order
    #[arg(long = "security-group", value_name = "NAME")]
    security_groups: Vec<String>,
    /// The host, when it must be that one
    #[arg(long)]
    host: Option<String>,
    /// A label
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_label)]
    labels: Vec<(String, String)>,
    /// The guest's cloud-init user-data; - reads standard input
    #[arg(long, value_name = "FILE")]
    user_data: Option<PathBuf>,
    /// The guest's network configuration, as cloud-init takes it
    #[arg(long, value_name = "FILE")]
    network_config: Option<PathBuf>,
    /// A file of public keys that may log in, as in authorized_keys
    #[arg(long = "ssh-key", value_name = "FILE")]
    ssh_keys: Vec<PathBuf>,
    /// Leave the guest powered off
    #[arg(long)]
    no_start: bool,
    /// What to say about it
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    /// A tag
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Protect it against deletion
    #[arg(long)]
    protect: bool,
    /// Delete it by itself, from now, for example 30d
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    expires_in: Option<Duration>,
    /// Another project than the token's (administrators only)
    #[arg(long)]
    project: Option<String>,
    /// A key of your own: however often this is run with it within a day, one
    /// instance is made
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Show what would be done and where, and do nothing
    #[arg(long, conflicts_with_all = ["key", "wait"])]
    dry_run: bool,
    /// Follow the operation until the instance is there
    #[arg(long)]
    wait: bool,
}

pub(super) async fn run(
    client: &Client,
    screen: &mut Screen,
    command: InstanceCommand,
) -> Result<Exit, Failure> {
    match command {
        InstanceCommand::List(filter) => {
            let instances = client.all_instances(&(*filter).into()).await?;
            match screen.format {
                Format::Json => screen.json(&InstanceList { instances, next: None }),
                Format::Table => list(screen, instances),
            }
        }
        InstanceCommand::Show { instance } => show(screen, &resolve(client, &instance).await?),
        InstanceCommand::Create(args) => create(client, screen, *args).await,
        InstanceCommand::Start(args) => {
            let id = resolve_id(client, &args.instance).await?;
            accepted(client, screen, &args, "start", client.start_instance(id).await?).await
        }
        InstanceCommand::Stop(args) => {
            let id = resolve_id(client, &args.instance).await?;
            accepted(client, screen, &args, "stop", client.stop_instance(id).await?).await
        }
        InstanceCommand::Shutdown { power, timeout, force } => {
            let id = resolve_id(client, &power.instance).await?;
            let request = Shutdown { timeout_seconds: timeout, force };
            let answer = client.shutdown_instance(id, &request).await?;
            accepted(client, screen, &power, "shutdown", answer).await
        }
        InstanceCommand::Reboot { power, timeout } => {
            let id = resolve_id(client, &power.instance).await?;
            let answer = client.reboot_instance(id, &Reboot { timeout_seconds: timeout }).await?;
            accepted(client, screen, &power, "reboot", answer).await
        }
        InstanceCommand::Resize(args) => change::resize(client, screen, args).await,
        InstanceCommand::Edit(args) => change::edit(client, screen, args).await,
        InstanceCommand::Destinations { instance } => {
            change::destinations(client, screen, &instance).await
        }
        InstanceCommand::Migrate(args) => change::migrate(client, screen, args).await,
        InstanceCommand::Snapshot(command) => change::snapshot(client, screen, command).await,
        InstanceCommand::Adopt(args) => change::adopt(client, screen, args).await,
        InstanceCommand::Release(args) => {
            let id = resolve_id(client, &args.instance).await?;
            accepted(client, screen, &args, "release", client.release_instance(id).await?).await
        }
        InstanceCommand::Delete(args) => {
            let id = resolve_id(client, &args.instance).await?;
            accepted(client, screen, &args, "delete", client.delete_instance(id).await?).await
        }
    }
}

/// The instance with this id or name.
pub(super) async fn resolve(client: &Client, text: &str) -> Result<Instance, Failure> {
    if let Ok(id) = text.parse::<InstanceId>() {
        return Ok(client.instance(id).await?);
    }
    let query =
        InstanceQuery { name: Some(text.to_owned()), limit: Some(5), ..InstanceQuery::default() };
    let mut found = client.instances(&query).await?.instances;
    match (found.pop(), found.as_slice()) {
        (Some(instance), []) => Ok(instance),
        (Some(last), others) => {
            let ids: Vec<String> =
                others.iter().chain([&last]).map(|row| row.id.to_string()).collect();
            let message = format!("there is more than one instance {text:?}");
            Err(Failure::new(Exit::Usage, message).hint(format!("use an id: {}", ids.join(", "))))
        }
        (None, _) => Err(Failure::new(Exit::NotFound, format!("there is no instance {text:?}"))
            .hint("innkeeper instance list")),
    }
}

pub(super) async fn resolve_id(client: &Client, text: &str) -> Result<InstanceId, Failure> {
    match text.parse() {
        Ok(id) => Ok(id),
        Err(_) => Ok(resolve(client, text).await?.id),
    }
}

pub(super) async fn accepted(
    client: &Client,
    screen: &mut Screen,
    args: &PowerArgs,
    verb: &str,
    answer: Accepted,
) -> Result<Exit, Failure> {
    if args.wait {
        let operation = follow(client, screen, answer.operation).await?;
        if screen.is_json() {
            screen.json(&operation)?;
        }
        return settled(&operation);
    }
    match screen.format {
        Format::Json => screen.json(&answer),
        Format::Table => screen.print(&taken(verb, &args.instance, answer.operation)),
    }
}

fn taken(verb: &str, name: &str, operation: OperationId) -> String {
    format!("{verb} of {name} is accepted\n  next: innkeeper operation watch {operation}\n")
}

async fn dry_run(client: &Client, screen: &mut Screen, args: CreateArgs) -> Result<Exit, Failure> {
    let plan = client.plan_instance(&request(args)?).await?;
    if screen.is_json() {
        return screen.json(&plan);
    }
    change::hosts(screen, plan.hosts, "no hosts")?;
    let verdict = match (&plan.refused, &plan.host) {
        (None, Some(host)) => format!("on {host}: {}", plan.actions.join(", ")),
        (reason, _) => format!("not now: {}", reason.as_deref().unwrap_or("no host")),
    };
    screen.print(&format!("{}\n", clean(&verdict)))
}

async fn create(client: &Client, screen: &mut Screen, args: CreateArgs) -> Result<Exit, Failure> {
    if args.dry_run {
        return dry_run(client, screen, args).await;
    }
    let (name, wait) = (args.name.clone(), args.wait);
    let keyed = args.key.as_ref().map(|key| client.with_idempotency_key(key));
    let answer = keyed.as_ref().unwrap_or(client).create_instance(&request(args)?).await?;
    if !wait {
        return match screen.format {
            Format::Json => screen.json(&answer),
            Format::Table => {
                let id = answer.instance;
                screen
                    .print(&format!("instance {id}\n{}", taken("create", &name, answer.operation)))
            }
        };
    }
    let operation = follow(client, screen, answer.operation).await?;
    let ended = settled(&operation);
    // A program gets the instance also when its creation failed: its row says
    // why. A delete in between leaves nothing to show.
    if (ended.is_ok() || screen.is_json())
        && let Ok(instance) = client.instance(answer.instance).await
    {
        show(screen, &instance)?;
    }
    ended
}

fn request(args: CreateArgs) -> Result<CreateInstance, Failure> {
    let read = |what, file: Option<PathBuf>| {
        file.map(|file| read_document(what, &file).map(Secret::from)).transpose()
    };
    let user_data = read("--user-data", args.user_data)?;
    let network_config = read("--network-config", args.network_config)?;
    let mut keys = Vec::new();
    for file in &args.ssh_keys {
        keys.extend(read_keys(file)?);
    }
    let labels: BTreeMap<String, String> = args.labels.into_iter().collect();
    let nic = |network| Nic { network: Some(network) };
    Ok(CreateInstance {
        name: args.name,
        image: args.image,
        flavour: args.flavour,
        cores: args.cores,
        memory_bytes: args.memory.map(ByteCount::as_bytes),
        disks: args.disk.into_iter().map(|size| Disk { size_bytes: size.as_bytes() }).collect(),
        nics: args.networks.into_iter().map(nic).collect(),
        security_groups: args.security_groups,
        host: args.host,
        start: !args.no_start,
        labels,
        user_data,
        network_config,
        ssh_authorized_keys: keys,
        description: args.description,
        tags: args.tags.into_iter().collect(),
        protected: args.protect,
        expires_at: args.expires_in.map(from_now),
        project: args.project,
    })
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, for example role=web".to_owned()),
    }
}

fn unreadable(what: &str, file: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, format!("{what} {}: {why}", file.display()))
}

fn read_document(what: &str, file: &Path) -> Result<String, Failure> {
    let text = match file.to_str() {
        Some("-") => std::io::read_to_string(std::io::stdin()),
        _ => std::fs::read_to_string(file),
    };
    text.map_err(|error| unreadable(what, file, error))
}

fn read_keys(file: &Path) -> Result<Vec<String>, Failure> {
    let text =
        std::fs::read_to_string(file).map_err(|error| unreadable("--ssh-key", file, error))?;
    if text.contains("PRIVATE KEY-----") {
        return Err(unreadable("--ssh-key", file, "this is a private key")
            .hint("give the public half, usually the same name with .pub"));
    }
    let lines = text.lines().map(str::trim);
    let keys: Vec<String> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    match keys.is_empty() {
        true => Err(unreadable("--ssh-key", file, "there is no key in it")),
        false => Ok(keys),
    }
}

fn list(screen: &mut Screen, instances: Vec<Instance>) -> Result<Exit, Failure> {
    let mut table = Table::new(&[
        ("NAME", 0),
        ("STATE", 0),
        ("ADDRESS", 0),
        ("CORES", 1),
        ("MEMORY", 1),
        ("IMAGE", 2),
        ("HOST", 2),
        ("AGE", 1),
        ("ID", 3),
    ]);
    for instance in instances {
        table.row([
            instance.name,
            instance.state.to_string(),
            instance.addresses.first().map(|address| address.ip.to_string()).unwrap_or_default(),
            instance.cores.to_string(),
            show_size(instance.memory_bytes),
            instance.image.map(|image| image.name.unwrap_or(image.id)).unwrap_or_default(),
            instance.host.unwrap_or_default(),
            ago(instance.created_at),
            instance.id.to_string(),
        ]);
    }
    screen.table(&table, "no instances")
}

fn show(screen: &mut Screen, instance: &Instance) -> Result<Exit, Failure> {
    if screen.is_json() {
        return screen.json(instance);
    }
    let addresses: Vec<String> =
        instance.addresses.iter().map(|address| address.ip.to_string()).collect();
    let labels: Vec<String> =
        instance.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let disks: Vec<String> = instance.disks.iter().map(|disk| show_size(disk.size_bytes)).collect();
    let tags: Vec<&str> = instance.tags.iter().map(String::as_str).collect();
    let named = |thing: &crate::wire::Named| match &thing.name {
        Some(name) => format!("{name} ({})", thing.id),
        None => format!("{} (gone)", thing.id),
    };
    let operation = instance.operation.map(|running| format!("{} ({})", running.kind, running.id));
    let seen = instance.age_seconds.map(|age| format!("{} ago", seconds(age)));
    let fault = instance.fault.as_ref().map(|fault| {
        let operation = fault.operation.map(|id| format!(" (operation {id})"));
        format!("{}{}", fault.message, operation.unwrap_or_default())
    });
    let expires = instance.expires_at.map(|at| at.to_string()).unwrap_or_default();
    let made = instance.ownership == Ownership::Made;
    let ownership = if made { String::new() } else { instance.ownership.to_string() };
    screen.print(&sheet(&[
        ("instance", instance.id.to_string()),
        ("name", instance.name.clone()),
        ("project", instance.project.clone()),
        ("state", instance.state.to_string()),
        ("fault", fault.unwrap_or_default()),
        ("operation", operation.unwrap_or_default()),
        ("addresses", addresses.join(", ")),
        ("image", instance.image.as_ref().map(named).unwrap_or_default()),
        ("flavour", instance.flavour.as_ref().map(named).unwrap_or_default()),
        ("cores", instance.cores.to_string()),
        ("memory", show_size(instance.memory_bytes)),
        ("disks", disks.join(", ")),
        ("pending", instance.pending.join(", ")),
        ("host", instance.host.clone().unwrap_or_default()),
        ("provider", instance.provider.clone()),
        ("managed by", instance.managed_by.to_string()),
        ("labels", labels.join(", ")),
        ("tags", tags.join(", ")),
        ("notes", instance.description.clone()),
        ("protected", if instance.protected { "yes".to_owned() } else { String::new() }),
        ("expires", expires),
        ("guest is", ownership),
        ("last seen", seen.unwrap_or_else(|| "not yet".to_owned())),
        ("created", instance.created_at.to_string()),
    ]))
}
