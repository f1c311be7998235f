//! What carries the simulator's guests: records in memory, or real QEMU
//! processes.
//!
//! The Proxmox rules (locks, tasks, configuration, permissions) live in
//! `world` and `calls`; a backend only holds bytes and runs
//! processes. Volumes are named by their Proxmox volume id
//! (`local:100/vm-100-disk-0.qcow2`), guests by their vmid.

use std::net::SocketAddr;
use std::path::PathBuf;

pub mod qemu;
mod recorded_agent;
mod recorded_shell;
pub mod records;

pub use records::{AgentBehaviour, Records, Script};

/// Everything a backend needs to start one guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestSpec {
    /// The Proxmox id of the guest.
    pub vmid: u32,
    /// The guest's name, or `VM <vmid>` when it has none.
    pub name: String,
    /// Virtual processors, sockets times cores.
    pub cores: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Device (`scsi0`) and volume id of each disk, in the order of the devices' names.
    pub disks: Vec<(String, String)>,
    /// MAC (upper case) and model (`virtio`) of each network card, by index.
    pub nics: Vec<(String, String)>,
    /// The `uuid` of the `smbios1` option; empty when the guest has none.
    pub smbios_uuid: String,
    /// The `serial` of the `smbios1` option, decoded from base64 when the option says so; empty when absent.
    pub smbios_serial: String,
    /// Whether the configuration enables the guest agent.
    pub agent: bool,
    /// A kernel to boot directly; it comes from the template and is kept by clones.
    pub boot: Option<DirectKernel>,
}

/// Boots a guest without a boot loader.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct DirectKernel {
    /// Path of the kernel image on this machine.
    pub kernel: PathBuf,
    /// Path of the initial RAM disk on this machine.
    #[serde(default)]
    pub initrd: Option<PathBuf>,
    /// The kernel's command line.
    #[serde(default)]
    pub append: String,
}

/// A backend's failure. Its text ends a simulated task, as Proxmox ends one
/// with the text of the program that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BackendError(pub String);

impl BackendError {
    /// An error with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Why the guest agent gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgentError {
    /// No agent is there (also: the guest still boots).
    #[error("QEMU guest agent is not running")]
    NotRunning,
    /// The agent took the command and did not answer in time.
    #[error("got timeout")]
    Timeout,
    /// The agent answered with an error; Proxmox shows it as `Agent error: <text>`.
    #[error("{0}")]
    Error(String),
}

/// What carries the simulator's guests. Volumes are named by their Proxmox volume id.
///
/// Methods of different guests run concurrently; the simulator calls the
/// methods of one guest one after the other.
#[async_trait::async_trait]
pub trait Backend: Send + Sync + 'static {
    /// `records` or `qemu`; shown in the world's dump.
    fn name(&self) -> &'static str;
    /// Makes an empty volume of this size.
    async fn allocate(&self, volume: &str, size_bytes: u64) -> Result<(), BackendError>;
    /// Makes `target` as a copy-on-write child of `base`.
    async fn clone_linked(&self, base: &str, target: &str) -> Result<(), BackendError>;
    /// Makes `target` as an independent copy of `source`.
    async fn clone_full(&self, source: &str, target: &str) -> Result<(), BackendError>;
    /// Renames a volume (`vm-…` to `base-…` when a guest becomes a template).
    async fn rename(&self, from: &str, to: &str) -> Result<(), BackendError>;
    /// Grows a volume to this size; a volume that is already as large stays as it is.
    async fn grow(&self, volume: &str, size_bytes: u64) -> Result<(), BackendError>;
    /// Destroys a volume; succeeds when it is not there.
    async fn free(&self, volume: &str) -> Result<(), BackendError>;
    /// Starts a guest and returns its process id.
    async fn start(&self, guest: &GuestSpec) -> Result<u32, BackendError>;
    /// Stops a guest the hard way; succeeds when it does not run.
    async fn kill(&self, vmid: u32) -> Result<(), BackendError>;
    /// Asks the guest to shut down (ACPI, or the agent); returns when it was asked.
    async fn powerdown(&self, vmid: u32) -> Result<(), BackendError>;
    /// Presses the reset button.
    async fn reset(&self, vmid: u32) -> Result<(), BackendError>;
    /// Whether the guest's process lives.
    async fn is_running(&self, vmid: u32) -> bool;
    /// Sends one command to the guest agent and returns the value of its `return`
    /// member. `command` is the agent's own name (`guest-ping`,
    /// `guest-network-get-interfaces`, `guest-exec`, …), `arguments` its arguments object.
    async fn agent(
        &self,
        vmid: u32,
        command: &str,
        arguments: serde_json::Value,
    ) -> Result<serde_json::Value, AgentError>;
    /// Where the guest's SSH port can be reached from this machine.
    fn ssh_forward(&self, vmid: u32) -> Option<SocketAddr>;
    /// The volumes and processes that live now, sorted; compared by tests for leaks.
    fn dump(&self) -> serde_json::Value;
}
