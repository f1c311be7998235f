//! The demo's cluster: the simulator with real guests behind it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use pve_sim::machine::Backend;
use pve_sim::machine::qemu::{
    PROBE_BUDGET, Qemu, QemuConfig, Verdict, build_tiny, find_programs, probe_acceleration,
};
use pve_sim::{GuestSeed, NodeSeed, Simulator, StorageSeed, TaskDurations};
use serde_json::Value;

use crate::config::{ProviderConfig, ProxmoxAccess, ProxmoxConfig};
use crate::state::StateFolder;

/// The template's id in the simulator.
const TEMPLATE: u32 = 9000;
/// Where the simulator keeps the disk of its template.
const TEMPLATE_DISK: &str = "local:9000/base-9000-disk-0.qcow2";
/// A disk that the tiny guest does not need, so that there is one to clone.
const TINY_DISK_MIB: u64 = 64;

/// What the cluster's template is made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Guest {
    /// The guest of a few megabytes that is built from the distribution's
    /// packages and boots in seconds.
    #[default]
    Tiny,
    /// A disk image that boots by itself and runs cloud-init, of any format
    /// that `qemu-img` detects.
    Image(PathBuf),
}

impl Guest {
    /// The name of the image that instances are made from.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Image(_) => "cloud-image",
        }
    }
}

/// The demo's cluster.
pub struct Cluster {
    simulator: Simulator,
    guests: Arc<Qemu>,
    /// How guests run, and why so.
    pub verdict: Verdict,
}

impl Cluster {
    /// Builds the tiny guest (or finds it in the cache), finds out with it how
    /// guests can run here, and starts the simulator with `guest` as template.
    ///
    /// # Errors
    /// When a program is missing, the guest cannot be built, the image cannot
    /// be read, or the state folder is in use.
    pub async fn start(
        guest: &Guest,
        cache: &Path,
        state: &Path,
        mut say: impl FnMut(&str) + Send,
    ) -> Result<Self> {
        let programs = find_programs()?;
        let tiny = build_tiny(cache, &mut say).await.context("cannot build the tiny guest")?;
        let memory = cache.join("acceleration.json");
        let verdict = probe_acceleration(&programs, &tiny, PROBE_BUDGET, &memory).await;
        let config = QemuConfig { state_folder: state.to_owned(), accel: verdict.accel, programs };
        let guests = Arc::new(Qemu::open(config).await?);
        remove_old_disks(&guests).await?;
        let backend: Arc<dyn Backend> = Arc::clone(&guests) as Arc<dyn Backend>;
        let mut template = GuestSeed::new(TEMPLATE, guest.name());
        match guest {
            Guest::Tiny => {
                template = template.disk("local", TINY_DISK_MIB);
                template.boot = Some(tiny.into());
            }
            Guest::Image(image) => {
                say(&format!("copying {}", image.display()));
                let size = import(&guests, image).await?;
                template = template.disk("local", size.div_ceil(1 << 20));
                template.disk_prepared = true;
            }
        }
        let simulator = Simulator::builder()
            .node(NodeSeed::new("pve1"))
            .storage(StorageSeed::new("local", "dir"))
            .template(template)
            .backend(backend)
            // Real guests take their own time; nothing is added to it.
            .durations(TaskDurations::all(Duration::from_millis(50)))
            .start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .await?;
        Ok(Self { simulator, guests, verdict })
    }

    /// Where the simulator's API is.
    pub fn url(&self) -> String {
        self.simulator.url()
    }

    /// The fingerprint of its certificate.
    pub fn fingerprint(&self) -> &str {
        self.simulator.fingerprint()
    }

    /// The provider's part of the configuration: the simulator as a cluster
    /// like any other.
    ///
    /// # Errors
    /// When the token cannot be written to the state folder.
    pub fn provider(&self, state: &StateFolder) -> Result<ProviderConfig> {
        let (id, secret) = self.simulator.token().split_once('=').context("a token without '='")?;
        let file = state.path().join("cluster.token");
        StateFolder::write_secret(&file, &secret.to_owned().into())?;
        let access = ProxmoxAccess {
            endpoints: vec![self.simulator.url()],
            token_id: id.to_owned(),
            token_secret_file: Some(file),
            token_secret_env: None,
            token_secret_credential: None,
            fingerprints: vec![self.simulator.fingerprint().to_owned()],
            ca_file: None,
        };
        let settings = provider_pve::Settings::new("demo".parse()?);
        Ok(ProviderConfig::Proxmox(Box::new(ProxmoxConfig { access, settings })))
    }

    /// Where the SSH port of the guest with this name is reached.
    pub fn ssh(&self, name: &str) -> Option<SocketAddr> {
        self.guests.ssh_forward(self.id_of(name)?)
    }

    /// What the guest with this name wrote to its console.
    pub fn console(&self, name: &str) -> Option<String> {
        Some(self.guests.console(self.id_of(name)?))
    }

    fn id_of(&self, name: &str) -> Option<u32> {
        let world = self.simulator.dump();
        let guests = world["guests"].as_object()?;
        let named =
            |guest: &Value| guest.pointer("/config/name").and_then(Value::as_str) == Some(name);
        let (id, _) = guests.iter().find(|(_, guest)| named(guest))?;
        id.parse().ok()
    }

    /// Everything that a guest could leave behind: records, volumes, processes.
    pub fn dump(&self) -> Value {
        self.simulator.dump()
    }

    /// Stops all guests.
    pub async fn stop(&self) {
        self.guests.shutdown().await;
    }
}

/// Makes the template's disk from a user's image; its size in bytes.
async fn import(guests: &Qemu, image: &Path) -> Result<u64> {
    let meta = std::fs::metadata(image)
        .with_context(|| format!("--image {}: cannot be read", image.display()))?;
    if !meta.is_file() {
        bail!("--image {}: expected a disk image (qcow2, raw, vmdk …)", image.display());
    }
    guests
        .import(image, TEMPLATE_DISK)
        .await
        .with_context(|| format!("--image {}: cannot be copied", image.display()))
}

/// Removes the disks of an earlier demo: its cluster went with its process.
async fn remove_old_disks(guests: &Qemu) -> Result<()> {
    let dump = guests.dump();
    for volume in dump["volumes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        guests
            .free(volume)
            .await
            .with_context(|| format!("cannot remove the old disk {volume}"))?;
    }
    Ok(())
}
