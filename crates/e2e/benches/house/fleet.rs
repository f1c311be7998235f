//! Many instances without the time that making them takes: one is created
//! through the door, and its row and its guest are copied.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use client::Client;
use client::wire::{CreateInstance, OperationState};
use e2e::served::{Server, Site};
use pve_sim::{GuestSeed, NodeSeed, Simulator, StorageSeed, TaskDurations};
use store::testing::{InstanceCopy, native_of, replace_by_copies};

/// What the provider may do at once: more than any bench asks for.
const SETTINGS: &str = "templates = { name = \"debian\" }\n\
    limits = { clones_per_host = 100, tasks_per_host = 100, requests = 64 }";
/// How long anything that is waited for may take, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// A served house, and the simulated cluster behind it.
pub struct Fleet {
    pub simulator: Simulator,
    pub site: Site,
    pub server: Server,
    pub client: Client,
    /// The instances.
    pub ids: Vec<String>,
}

/// An empty cluster of one host, with these guests.
async fn cluster(guests: Vec<GuestSeed>, task: Duration) -> Result<Simulator> {
    let mut builder = Simulator::builder()
        .random_seed(7)
        .durations(TaskDurations::all(task))
        .stats_interval(Duration::from_secs(1))
        .node(NodeSeed::new("pve1"))
        .storage(StorageSeed::new("nfs", "nfs"))
        .template(GuestSeed::new(9000, "debian").on("pve1").disk("nfs", 2048));
    for guest in guests {
        builder = builder.guest(guest);
    }
    Ok(builder.start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?)
}

/// What an instance is made of here.
pub fn request(name: &str) -> CreateInstance {
    let mut request = CreateInstance::new(name, "debian");
    request.cores = Some(2);
    request.memory_bytes = Some(512 << 20);
    request
}

/// Waits until an operation has succeeded.
pub async fn succeeded(client: &Client, operation: model::OperationId) -> Result<()> {
    let begun = Instant::now();
    loop {
        let state = client.operation(operation).await?.state;
        if state == OperationState::Succeeded {
            return Ok(());
        }
        let going = matches!(state, OperationState::Queued | OperationState::Running);
        ensure!(going && begun.elapsed() < PATIENCE, "operation {operation}: {state:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Fleet {
    /// A house without instances. Tasks of the cluster take this long.
    pub async fn empty(task: Duration) -> Result<Self> {
        let simulator = cluster(Vec::new(), task).await?;
        let site = Site::new(&simulator, simulator.token(), SETTINGS)?;
        Self::serve(simulator, site, Vec::new()).await
    }

    async fn serve(simulator: Simulator, site: Site, ids: Vec<String>) -> Result<Self> {
        let mut server = site.serve()?;
        let client = site.open(&mut server).await?;
        let begun = Instant::now();
        while client.images().await?.is_empty() {
            ensure!(begun.elapsed() < PATIENCE, "the template does not show");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(Self { simulator, site, server, client, ids })
    }

    /// A house with `count` instances, all running.
    pub async fn of(count: u32) -> Result<Self> {
        let first = Self::empty(Duration::ZERO).await?;
        let made = first.client.create_instance(&request("guest-0")).await?;
        succeeded(&first.client, made.operation).await?;
        let id = made.instance.to_string();
        first.server.terminate().await?;
        let dump = first.simulator.dump();
        let data_base = first.site.state().join("innkeeper.db");
        let native: serde_json::Value = serde_json::from_str(&native_of(&data_base, &id).await?)?;
        let vmid = native["vmid"].as_u64().context("no vmid")?;
        let config = &dump["guests"][format!("{vmid:09}")]["config"];
        let config = config.as_object().context("the dump holds no configuration")?;
        let uuid = native["uuid"].as_str().context("no UUID")?;
        let copies: Vec<Copy> = (0..count).map(|index| Copy::number(index, vmid)).collect();
        let guests = copies.iter().map(|copy| {
            let mut guest = GuestSeed { running: true, ..GuestSeed::default() };
            (guest.vmid, guest.node) = (copy.vmid, "pve1".into());
            for (key, value) in config.iter().filter(|(key, _)| !key.starts_with("scsi")) {
                let text = value.as_str().unwrap_or_default();
                let text = text.replace(&id, &copy.id).replace(uuid, &copy.uuid);
                guest = guest.option(key, &text.replace("guest-0", &copy.name));
            }
            guest
        });
        let simulator = cluster(guests.collect(), Duration::ZERO).await?;
        let rows: Vec<_> = copies.iter().map(|copy| copy.row(vmid, uuid)).collect();
        replace_by_copies(&data_base, &id, "guest-0", &rows).await?;
        let site = Site::new(&simulator, simulator.token(), SETTINGS)?;
        copy_folder(&first.site.state(), &site.state())?;
        let ids = copies.into_iter().map(|copy| copy.id).collect();
        Self::serve(simulator, site, ids).await
    }
}

/// One of many like the first.
struct Copy {
    id: String,
    name: String,
    vmid: u32,
    uuid: String,
}

impl Copy {
    fn number(index: u32, first: u64) -> Self {
        Self {
            id: format!("01980000-0000-7000-8000-{index:012x}"),
            name: format!("guest-{index}"),
            vmid: u32::try_from(first).unwrap_or_default() + 1_000 + index,
            uuid: format!("0b1e0000-0000-4000-8000-{index:012x}"),
        }
    }

    /// Its row, made from that of the first.
    fn row(&self, vmid: u64, uuid: &str) -> InstanceCopy {
        InstanceCopy {
            id: self.id.clone(),
            name: self.name.clone(),
            native: [
                (vmid.to_string(), self.vmid.to_string()),
                (uuid.to_owned(), self.uuid.clone()),
            ],
        }
    }
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
