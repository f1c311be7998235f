//! The guests' processes: start, watch, stop.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::process::Child;
use tokio::sync::watch;

use super::accel::Accel;
use super::args;
use super::error::tail;
use super::files::StateFolder;
use super::qmp;
use super::spawn::Spawner;
use super::volumes::Volumes;
use crate::machine::{BackendError, GuestSpec};

/// How long QEMU may take until its control socket answers.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How often a start is tried again because somebody took the port in between.
const PORT_ATTEMPTS: usize = 8;

/// What a guest may write to its console before it is dropped, and
/// how often that is looked at.
const CONSOLE_LIMIT_BYTES: u64 = 4 << 20;
const CONSOLE_CHECK_EVERY: Duration = Duration::from_secs(2);

/// A guest that was started.
pub(super) struct Running {
    pub(super) pid: u32,
    pub(super) port: u16,
    pub(super) has_nic: bool,
    pub(super) has_agent: bool,
    pub(super) qmp: PathBuf,
    pub(super) agent: PathBuf,
    /// The agent's channel serves one command at a time.
    pub(super) agent_turn: tokio::sync::Mutex<()>,
    kill: watch::Sender<bool>,
    exited: watch::Receiver<bool>,
}

impl Running {
    pub(super) fn is_alive(&self) -> bool {
        !*self.exited.borrow()
    }

    pub(super) fn ask_to_die(&self) {
        self.kill.send_replace(true);
    }

    pub(super) async fn wait(&self) {
        // An error means that the watching task is gone, and with it the process.
        let _ = self.exited.clone().wait_for(|exited| *exited).await;
    }
}

#[derive(Default)]
struct Entry {
    running: Option<Arc<Running>>,
    /// Volumes of the last start that still exist.
    disks: Vec<(String, String)>,
    /// Kept for the next start, so that a guest is found where it was.
    port: Option<u16>,
}

pub(super) struct Guests {
    pub(super) folder: Arc<StateFolder>,
    spawner: Spawner,
    qemu: PathBuf,
    accel: Accel,
    table: Mutex<BTreeMap<u32, Entry>>,
}

enum Failure {
    PortTaken,
    Other(BackendError),
}

impl Guests {
    pub(super) fn new(
        folder: Arc<StateFolder>,
        spawner: Spawner,
        qemu: PathBuf,
        accel: Accel,
    ) -> Self {
        Self { folder, spawner, qemu, accel, table: Mutex::default() }
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<u32, Entry>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The guest, if its process lives.
    pub(super) fn running(&self, vmid: u32) -> Option<Arc<Running>> {
        let running = self.table().get(&vmid)?.running.clone()?;
        running.is_alive().then_some(running)
    }

    /// (vmid, pid) of all that live.
    pub(super) fn list(&self) -> Vec<(u32, Arc<Running>)> {
        self.table()
            .iter()
            .filter_map(|(vmid, entry)| Some((*vmid, entry.running.clone()?)))
            .filter(|(_, running)| running.is_alive())
            .collect()
    }

    /// The guest that has this volume open, and the device.
    pub(super) fn user_of(&self, volume: &str) -> Option<(Arc<Running>, String)> {
        self.table().values().find_map(|entry| {
            let running = entry.running.clone().filter(|running| running.is_alive())?;
            let (device, _) = entry.disks.iter().find(|(_, used)| used == volume)?;
            Some((running, device.clone()))
        })
    }

    pub(super) fn renamed(&self, from: &str, to: &str) {
        for entry in self.table().values_mut() {
            for (_, volume) in &mut entry.disks {
                if volume == from {
                    to.clone_into(volume);
                }
            }
        }
    }

    /// Forgets a volume. A stopped guest's console goes with its last volume.
    pub(super) fn freed(&self, volume: &str) {
        self.table().retain(|vmid, entry| {
            let before = entry.disks.len();
            entry.disks.retain(|(_, used)| used != volume);
            let alive = entry.running.as_ref().is_some_and(|running| running.is_alive());
            let gone = before > 0 && entry.disks.is_empty() && !alive;
            if gone {
                let _ = std::fs::remove_dir_all(self.folder.guest(*vmid));
            }
            !gone
        });
    }

    pub(super) async fn start(
        &self,
        guest: &GuestSpec,
        volumes: &Volumes,
    ) -> Result<u32, BackendError> {
        if self.running(guest.vmid).is_some() {
            return Err(BackendError::new(format!("VM {} already running", guest.vmid)));
        }
        let mut disks = Vec::new();
        for (device, volume) in &guest.disks {
            disks.push((device.clone(), volumes.existing(volume)?));
        }
        let mut port = self
            .table()
            .get(&guest.vmid)
            .and_then(|entry| entry.port)
            .filter(|port| is_free(*port));
        for _ in 0..PORT_ATTEMPTS {
            let chosen = match port.take() {
                Some(port) => port,
                None => free_port()?,
            };
            match self.try_start(guest, &disks, chosen).await {
                Ok(running) => return Ok(self.enter(guest, running)),
                Err(Failure::PortTaken) => {}
                Err(Failure::Other(error)) => {
                    self.remove_files(guest.vmid);
                    return Err(error);
                }
            }
        }
        self.remove_files(guest.vmid);
        Err(BackendError::new("no free port to forward to the guest's SSH port"))
    }

    fn enter(&self, guest: &GuestSpec, running: Arc<Running>) -> u32 {
        let pid = running.pid;
        let entry =
            Entry { port: Some(running.port), disks: guest.disks.clone(), running: Some(running) };
        self.table().insert(guest.vmid, entry);
        pid
    }

    fn remove_files(&self, vmid: u32) {
        remove_sockets(&self.folder, vmid);
        let _ = std::fs::remove_dir_all(self.folder.guest(vmid));
    }

    async fn try_start(
        &self,
        guest: &GuestSpec,
        disks: &[(String, PathBuf)],
        port: u16,
    ) -> Result<Arc<Running>, Failure> {
        let vmid = guest.vmid;
        let places = self.folder.places(vmid);
        let log_path = self.folder.log(vmid);
        remove_sockets(&self.folder, vmid);
        let args = args::render(guest, self.accel, &places, disks, port).map_err(Failure::Other)?;
        let cannot = |error: std::io::Error| {
            Failure::Other(BackendError::new(format!("cannot start QEMU: {error}")))
        };
        std::fs::create_dir_all(self.folder.guest(vmid)).map_err(cannot)?;
        std::fs::write(&places.console, "").map_err(cannot)?;
        std::fs::write(&log_path, "").map_err(cannot)?;
        let log = std::fs::OpenOptions::new().append(true).open(&log_path).map_err(cannot)?;
        let mut child = self.spawner.spawn(&self.qemu, args, log).await.map_err(cannot)?;
        let pid = child.id().unwrap_or_default();
        if let Err(error) = wait_until_ready(&mut child, &places.qmp).await {
            let _ = child.kill().await;
            let said = std::fs::read_to_string(&log_path).unwrap_or_default();
            if said.contains("host forwarding rule") {
                return Err(Failure::PortTaken);
            }
            let said = tail(&said, 5);
            return Err(Failure::Other(BackendError::new(if said.is_empty() {
                error
            } else {
                said
            })));
        }
        let (kill, killed) = watch::channel(false);
        let (gone, exited) = watch::channel(false);
        let running = Arc::new(Running {
            pid,
            port,
            has_nic: !guest.nics.is_empty(),
            has_agent: guest.agent,
            qmp: places.qmp,
            agent: places.agent,
            agent_turn: tokio::sync::Mutex::default(),
            kill,
            exited,
        });
        // Without a volume nothing would ever take the console away.
        let keep_console = !disks.is_empty();
        let folder = self.folder.clone();
        tokio::spawn(watch_child(child, folder, vmid, keep_console, killed, gone));
        Ok(running)
    }
}

impl Drop for Guests {
    fn drop(&mut self) {
        // The end of the spawner's thread kills them too; this makes it orderly.
        for (_, running) in self.list() {
            running.ask_to_die();
        }
    }
}

/// Owns the process: kills it when asked to, and clears up behind it.
async fn watch_child(
    mut child: Child,
    folder: Arc<StateFolder>,
    vmid: u32,
    keep_console: bool,
    mut killed: watch::Receiver<bool>,
    gone: watch::Sender<bool>,
) {
    let kill = async {
        // An error: nobody holds the guest any more.
        let _ = killed.wait_for(|killed| *killed).await;
    };
    tokio::select! {
        _ = child.wait() => {}
        () = kill => { let _ = child.kill().await; }
        () = limit_console(folder.places(vmid).console, folder.log(vmid)) => {}
    }
    if let Ok(Some(status)) = child.try_wait() {
        tracing::debug!(vmid, %status, "guest ended");
    }
    remove_sockets(&folder, vmid);
    if keep_console {
        let _ = std::fs::remove_file(folder.places(vmid).pid);
    } else {
        let _ = std::fs::remove_dir_all(folder.guest(vmid));
    }
    gone.send_replace(true);
}

/// Empties the console and QEMU's log when they are too long: QEMU writes at
/// the end of the file, wherever that is. Never returns.
async fn limit_console(console: PathBuf, log: PathBuf) {
    loop {
        for file in [&console, &log] {
            let long =
                std::fs::metadata(file).is_ok_and(|metadata| metadata.len() > CONSOLE_LIMIT_BYTES);
            if long {
                let _ = std::fs::write(file, "(what was here is dropped: too long)\n");
            }
        }
        tokio::time::sleep(CONSOLE_CHECK_EVERY).await;
    }
}

fn remove_sockets(folder: &StateFolder, vmid: u32) {
    let places = folder.places(vmid);
    let _ = std::fs::remove_file(places.qmp);
    let _ = std::fs::remove_file(places.agent);
}

/// Waits for the control socket; the text says why it does not come.
async fn wait_until_ready(child: &mut Child, socket: &std::path::Path) -> Result<(), String> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(format!("QEMU ended at once ({status})"));
        }
        if socket.exists() && qmp::execute(socket, "query-status", json!({})).await.is_ok() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!(
                "QEMU's control socket did not answer within {} s",
                READY_WITHIN.as_secs()
            ));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn bind(port: u16) -> std::io::Result<u16> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(listener.local_addr()?.port())
}

fn is_free(port: u16) -> bool {
    bind(port).is_ok()
}

fn free_port() -> Result<u16, BackendError> {
    bind(0).map_err(|error| BackendError::new(format!("no free loopback port: {error}")))
}
