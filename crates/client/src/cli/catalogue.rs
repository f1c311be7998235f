//! `image …` and `flavour …`.

use clap::Subcommand;
use model::ByteCount;
use serde_json::json;

use super::exit::{Exit, Failure};
use super::output::{Format, Screen, Table, ago};
use crate::Client;
use crate::size::{parse_size, show_size};
use crate::wire::{Device, FlavourList, ImageList, NewFlavour};

#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// List images
    List,
}

#[derive(Debug, Subcommand)]
pub enum FlavourCommand {
    /// List flavours
    List,
    /// Add a flavour
    #[command(visible_alias = "add")]
    Create {
        /// Its name
        name: String,
        /// Virtual processor cores
        #[arg(long, value_name = "COUNT")]
        cores: u32,
        /// Memory, for example 2G
        #[arg(long, value_name = "SIZE", value_parser = parse_size)]
        memory: ByteCount,
        /// The root disk, for example 10G; the image's size when left out
        #[arg(long, value_name = "SIZE", value_parser = parse_size)]
        disk: Option<ByteCount>,
        /// Devices of the host, for example gpu, gpu=2 or vgpu:nvidia-63
        #[arg(long = "device", value_name = "NAME[:PART][=COUNT]", value_parser = parse_device)]
        devices: Vec<Device>,
    },
    /// Remove a flavour; instances made with it keep their sizes
    #[command(visible_alias = "remove")]
    Delete {
        /// Its name or id
        #[arg(value_name = "NAME|ID")]
        flavour: String,
    },
}

fn parse_device(text: &str) -> Result<Device, String> {
    let (what, count) = match text.split_once('=') {
        Some((what, count)) => {
            let expected = |_| format!("expected a number after '=', got {count:?}");
            (what, count.parse().map_err(expected)?)
        }
        None => (text, 1),
    };
    let (name, part) = match what.split_once(':') {
        Some((name, part)) => (name, Some(part.to_owned())),
        None => (what, None),
    };
    Ok(Device { name: name.to_owned(), part, count })
}

pub(super) async fn run_image(
    client: &Client,
    screen: &mut Screen,
    command: ImageCommand,
) -> Result<Exit, Failure> {
    let ImageCommand::List = command;
    let images = client.images().await?;
    if screen.is_json() {
        return screen.json(&ImageList { images });
    }
    let mut table = Table::new(&[
        ("NAME", 0),
        ("SIZE", 0),
        ("PROVIDER", 2),
        ("HOSTS", 1),
        ("SEEN", 3),
        ("ID", 4),
    ]);
    for image in images {
        table.row([
            image.name,
            image.size_bytes.map(show_size).unwrap_or_default(),
            image.provider,
            image.hosts.join(","),
            format!("{} ago", ago(image.seen_at)),
            image.id.to_string(),
        ]);
    }
    screen.table(&table, "no images; on Proxmox VE, images are templates that Innkeeper may see")
}

pub(super) async fn run_flavour(
    client: &Client,
    screen: &mut Screen,
    command: FlavourCommand,
) -> Result<Exit, Failure> {
    match command {
        FlavourCommand::List => {
            let flavours = client.flavours().await?;
            if screen.is_json() {
                return screen.json(&FlavourList { flavours });
            }
            let mut table =
                Table::new(&[("NAME", 0), ("CORES", 0), ("MEMORY", 0), ("DISK", 0), ("ID", 1)]);
            for flavour in flavours {
                table.row([
                    flavour.name,
                    flavour.cores.to_string(),
                    show_size(flavour.memory_bytes),
                    flavour.disk_bytes.map(show_size).unwrap_or_default(),
                    flavour.id.to_string(),
                ]);
            }
            screen.table(&table, "no flavours")
        }
        FlavourCommand::Create { name, cores, memory, disk, devices } => {
            let request = NewFlavour {
                name,
                cores,
                memory_bytes: memory.as_bytes(),
                disk_bytes: disk.map(ByteCount::as_bytes),
                devices,
            };
            let flavour = client.create_flavour(&request).await?;
            match screen.format {
                Format::Json => screen.json(&flavour),
                Format::Table => {
                    screen.print(&format!("flavour {} ({})\n", flavour.name, flavour.id))
                }
            }
        }
        FlavourCommand::Delete { flavour } => {
            let flavours = client.flavours().await?;
            let found =
                flavours.iter().find(|row| row.name == flavour || row.id.to_string() == flavour);
            let Some(found) = found else {
                let message = format!("there is no flavour {flavour:?}");
                return Err(Failure::new(Exit::NotFound, message).hint("innkeeper flavour list"));
            };
            client.delete_flavour(found.id).await?;
            match screen.format {
                Format::Json => screen.json(&json!({ "deleted": found.id })),
                Format::Table => screen.print(&format!("flavour {} is deleted\n", found.name)),
            }
        }
    }
}
