//! The backend itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::accel::Accel;
use super::error::QemuError;
use super::files::StateFolder;
use super::guests::{Guests, Running};
use super::spawn::Spawner;
use super::volumes::Volumes;
use super::{agent, args, qmp};
use crate::machine::{AgentError, Backend, BackendError, GuestSpec};

/// How long the agent may take to take a shutdown before ACPI is tried instead.
const POLITE: Duration = Duration::from_secs(5);

/// The programs that guests need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// `qemu-system-x86_64`.
    pub qemu: PathBuf,
    /// `qemu-img`.
    pub qemu_img: PathBuf,
    /// `setpriv` of util-linux.
    pub setpriv: PathBuf,
}

/// Looks in `PATH`.
///
/// # Errors
///
/// [`QemuError::Missing`] names the first program that is not there, and its package.
pub fn find_programs() -> Result<Programs, QemuError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let find = |program: &'static str, package: &'static str| {
        std::env::split_paths(&path)
            .map(|folder| folder.join(program))
            .find(|file| file.is_file())
            .ok_or(QemuError::Missing { program, package })
    };
    Ok(Programs {
        qemu: find("qemu-system-x86_64", "qemu-system-x86")?,
        qemu_img: find("qemu-img", "qemu-utils")?,
        setpriv: find("setpriv", "util-linux")?,
    })
}

/// What a [`Qemu`] needs to know.
#[derive(Debug, Clone)]
pub struct QemuConfig {
    /// Where volumes and consoles are kept. Locked while the backend lives.
    pub state_folder: PathBuf,
    /// See [`super::probe_acceleration`].
    pub accel: Accel,
    /// See [`find_programs`].
    pub programs: Programs,
}

/// Guests as QEMU processes. Dropping it kills them; [`Qemu::shutdown`] also
/// waits until they are gone.
pub struct Qemu {
    guests: Guests,
    volumes: Volumes,
    accel: Accel,
}

impl Qemu {
    /// Locks the state folder, kills what a crashed run left in it, and offers
    /// the volumes that are there.
    ///
    /// # Errors
    ///
    /// [`QemuError::InUse`] when another process holds the folder,
    /// [`QemuError::File`] when it cannot be used.
    pub async fn open(config: QemuConfig) -> Result<Self, QemuError> {
        let root = config.state_folder.clone();
        let opened = tokio::task::spawn_blocking(move || StateFolder::open(&root)).await;
        let folder = match opened {
            Ok(result) => Arc::new(result?),
            Err(error) => {
                let error = std::io::Error::other(error);
                return Err(QemuError::file("cannot open", config.state_folder)(error));
            }
        };
        let Programs { qemu, qemu_img, setpriv } = config.programs;
        let spawner =
            Spawner::start(setpriv).map_err(QemuError::file("cannot start a thread for", &qemu))?;
        Ok(Self {
            volumes: Volumes::new(folder.volumes(), qemu_img),
            guests: Guests::new(folder, spawner, qemu, config.accel),
            accel: config.accel,
        })
    }

    /// How guests run.
    #[must_use]
    pub fn accel(&self) -> Accel {
        self.accel
    }

    /// Makes a volume from a disk image of any format that `qemu-img` detects
    /// (a user's cloud image); such a guest boots by firmware. Answers the size
    /// that a guest sees, in bytes.
    ///
    /// # Errors
    ///
    /// The text of `qemu-img`, or that the volume exists.
    pub async fn import(&self, image: &Path, volume: &str) -> Result<u64, BackendError> {
        self.volumes.convert(image, volume).await?;
        self.volumes.size_bytes(volume).await
    }

    /// What the guest wrote to its serial console since its last start.
    #[must_use]
    pub fn console(&self, vmid: u32) -> String {
        let path = self.guests.folder.places(vmid).console;
        let bytes = std::fs::read(path).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Kills all guests and waits until they are gone.
    pub async fn shutdown(&self) {
        let living = self.guests.list();
        for (_, running) in &living {
            running.ask_to_die();
        }
        for (_, running) in &living {
            running.wait().await;
        }
    }

    fn running(&self, vmid: u32) -> Result<Arc<Running>, BackendError> {
        self.guests.running(vmid).ok_or_else(|| BackendError::new(format!("VM {vmid} not running")))
    }
}

async fn control(running: &Running, command: &str, arguments: Value) -> Result<(), BackendError> {
    match qmp::execute(&running.qmp, command, arguments).await {
        Ok(_) => Ok(()),
        Err(error) => Err(BackendError::new(error.to_string())),
    }
}

#[async_trait::async_trait]
impl Backend for Qemu {
    fn name(&self) -> &'static str {
        "qemu"
    }

    async fn allocate(&self, volume: &str, size_bytes: u64) -> Result<(), BackendError> {
        self.volumes.allocate(volume, size_bytes).await
    }

    async fn clone_linked(&self, base: &str, target: &str) -> Result<(), BackendError> {
        self.volumes.clone_linked(base, target).await
    }

    async fn clone_full(&self, source: &str, target: &str) -> Result<(), BackendError> {
        let source = self.volumes.existing(source)?;
        self.volumes.convert(&source, target).await
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), BackendError> {
        self.volumes.rename(from, to).await?;
        self.guests.renamed(from, to);
        Ok(())
    }

    async fn grow(&self, volume: &str, size_bytes: u64) -> Result<(), BackendError> {
        if self.volumes.size_bytes(volume).await? >= size_bytes {
            return Ok(());
        }
        match self.guests.user_of(volume) {
            Some((running, device)) => {
                let node = args::node_name(&device);
                let arguments = json!({ "node-name": node, "size": size_bytes });
                control(&running, "block_resize", arguments).await
            }
            None => self.volumes.resize(volume, size_bytes).await,
        }
    }

    async fn free(&self, volume: &str) -> Result<(), BackendError> {
        if self.guests.user_of(volume).is_some() {
            return Err(BackendError::new(format!("volume '{volume}' is in use")));
        }
        self.volumes.free(volume).await?;
        self.guests.freed(volume);
        Ok(())
    }

    async fn start(&self, guest: &GuestSpec) -> Result<u32, BackendError> {
        self.guests.start(guest, &self.volumes).await
    }

    async fn kill(&self, vmid: u32) -> Result<(), BackendError> {
        if let Some(running) = self.guests.running(vmid) {
            running.ask_to_die();
            running.wait().await;
        }
        Ok(())
    }

    /// As Proxmox does it: through the agent where it is enabled, else by ACPI;
    /// unlike Proxmox also by ACPI when the agent is enabled and does not answer.
    async fn powerdown(&self, vmid: u32) -> Result<(), BackendError> {
        let running = self.running(vmid)?;
        let arguments = json!({ "mode": "powerdown" });
        let polite = self.agent(vmid, "guest-shutdown", arguments);
        if running.has_agent && matches!(tokio::time::timeout(POLITE, polite).await, Ok(Ok(_))) {
            return Ok(());
        }
        if !running.is_alive() {
            return Ok(());
        }
        control(&running, "system_powerdown", json!({})).await
    }

    async fn reset(&self, vmid: u32) -> Result<(), BackendError> {
        let running = self.running(vmid)?;
        control(&running, "system_reset", json!({})).await
    }

    async fn is_running(&self, vmid: u32) -> bool {
        self.guests.running(vmid).is_some()
    }

    async fn agent(&self, vmid: u32, command: &str, arguments: Value) -> Result<Value, AgentError> {
        let running = self.guests.running(vmid).ok_or(AgentError::NotRunning)?;
        if !running.has_agent {
            return Err(AgentError::NotRunning);
        }
        let _turn = running.agent_turn.lock().await;
        if !agent_listens(&running).await {
            return Err(AgentError::NotRunning);
        }
        agent::execute(&running.agent, command, arguments).await
    }

    fn ssh_forward(&self, vmid: u32) -> Option<SocketAddr> {
        let running = self.guests.running(vmid)?;
        running.has_nic.then(|| SocketAddr::from((Ipv4Addr::LOCALHOST, running.port)))
    }

    fn dump(&self) -> Value {
        let guests: Vec<u32> = self.guests.list().iter().map(|(vmid, _)| *vmid).collect();
        json!({ "volumes": self.volumes.list(), "guests": guests })
    }
}

/// Whether a program in the guest holds the agent's port open: saves waiting
/// for an answer while the guest boots.
async fn agent_listens(running: &Running) -> bool {
    let devices = qmp::execute(&running.qmp, "query-chardev", json!({})).await;
    devices.is_ok_and(|devices| {
        devices
            .as_array()
            .into_iter()
            .flatten()
            .any(|device| device["label"] == "agent" && device["frontend-open"] == true)
    })
}
