//! Guests as records: volumes are names with sizes, processes are entries in a
//! map, and the guest agent answers from a script.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::recorded_agent::{self, Inside};
use super::{AgentError, Backend, BackendError, GuestSpec};
use crate::clock::Clock;

/// What the guest agent of a recorded guest does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentBehaviour {
    /// Answers after [`Script::agent_after`].
    Answers,
    /// Is never there.
    Never,
}

/// How a recorded guest behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// What the agent does.
    pub agent: AgentBehaviour,
    /// Time between the start and the agent's first answer.
    pub agent_after: Duration,
    /// Whether a request to shut down is ignored.
    pub ignores_acpi: bool,
    /// Time between a request to shut down and the end of the process.
    pub shutdown_after: Duration,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            agent: AgentBehaviour::Answers,
            agent_after: Duration::from_secs(3),
            ignores_acpi: false,
            shutdown_after: Duration::from_secs(1),
        }
    }
}

#[derive(Debug)]
struct Process {
    spec: GuestSpec,
    started: Duration,
    ends: Option<Duration>,
    inside: Inside,
}

#[derive(Debug, Default)]
struct State {
    volumes: BTreeMap<String, u64>,
    processes: BTreeMap<u32, Process>,
    scripts: BTreeMap<u32, Script>,
    default: Script,
    next_pid: u32,
}

/// The backend without real machines.
pub struct Records {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

impl Records {
    /// Guests that behave as `script` says.
    pub fn new(clock: Arc<dyn Clock>, script: Script) -> Self {
        let state = State { default: script, next_pid: 20_000, ..State::default() };
        Self { clock, state: Mutex::new(state) }
    }

    /// Makes one guest behave differently from now on.
    pub fn script(&self, vmid: u32, script: Script) {
        self.state().scripts.insert(vmid, script);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        state.processes.retain(|_, process| process.ends.is_none_or(|ends| ends > now));
        state
    }
}

impl State {
    fn script_of(&self, vmid: u32) -> Script {
        self.scripts.get(&vmid).unwrap_or(&self.default).clone()
    }

    fn size(&self, volume: &str) -> Result<u64, BackendError> {
        self.volumes
            .get(volume)
            .copied()
            .ok_or_else(|| BackendError(format!("volume '{volume}' does not exist")))
    }

    fn insert(&mut self, volume: &str, size: u64) -> Result<(), BackendError> {
        if self.volumes.contains_key(volume) {
            return Err(BackendError(format!("volume '{volume}' already exists")));
        }
        self.volumes.insert(volume.to_owned(), size);
        Ok(())
    }
}

#[async_trait::async_trait]
impl Backend for Records {
    fn name(&self) -> &'static str {
        "records"
    }

    async fn allocate(&self, volume: &str, size_bytes: u64) -> Result<(), BackendError> {
        self.state().insert(volume, size_bytes)
    }

    async fn clone_linked(&self, base: &str, target: &str) -> Result<(), BackendError> {
        let mut state = self.state();
        let size = state.size(base)?;
        state.insert(target, size)
    }

    async fn clone_full(&self, source: &str, target: &str) -> Result<(), BackendError> {
        self.clone_linked(source, target).await
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), BackendError> {
        let mut state = self.state();
        let size = state.size(from)?;
        state.insert(to, size)?;
        state.volumes.remove(from);
        Ok(())
    }

    async fn grow(&self, volume: &str, size_bytes: u64) -> Result<(), BackendError> {
        let mut state = self.state();
        let size = state.size(volume)?;
        state.volumes.insert(volume.to_owned(), size.max(size_bytes));
        Ok(())
    }

    async fn free(&self, volume: &str) -> Result<(), BackendError> {
        self.state().volumes.remove(volume);
        Ok(())
    }

    async fn start(&self, guest: &GuestSpec) -> Result<u32, BackendError> {
        let started = self.clock.now();
        let mut state = self.state();
        for (_, volume) in &guest.disks {
            state.size(volume)?;
        }
        state.next_pid += 1;
        let pid = state.next_pid;
        let process =
            Process { spec: guest.clone(), started, ends: None, inside: Inside::default() };
        state.processes.insert(guest.vmid, process);
        Ok(pid)
    }

    async fn kill(&self, vmid: u32) -> Result<(), BackendError> {
        self.state().processes.remove(&vmid);
        Ok(())
    }

    async fn powerdown(&self, vmid: u32) -> Result<(), BackendError> {
        let now = self.clock.now();
        let mut state = self.state();
        let script = state.script_of(vmid);
        if let Some(process) = state.processes.get_mut(&vmid)
            && !script.ignores_acpi
            && process.ends.is_none()
        {
            process.ends = Some(now + script.shutdown_after);
        }
        Ok(())
    }

    async fn reset(&self, vmid: u32) -> Result<(), BackendError> {
        let now = self.clock.now();
        if let Some(process) = self.state().processes.get_mut(&vmid) {
            process.started = now;
        }
        Ok(())
    }

    async fn is_running(&self, vmid: u32) -> bool {
        self.state().processes.contains_key(&vmid)
    }

    async fn agent(&self, vmid: u32, command: &str, arguments: Value) -> Result<Value, AgentError> {
        let now = self.clock.now();
        let mut state = self.state();
        let script = state.script_of(vmid);
        let process = state.processes.get_mut(&vmid).ok_or(AgentError::NotRunning)?;
        if script.agent == AgentBehaviour::Never
            || now < process.started + script.agent_after
            || !process.spec.agent
        {
            return Err(AgentError::NotRunning);
        }
        if command == "guest-shutdown" && !script.ignores_acpi {
            process.ends = Some(now + script.shutdown_after);
            return Ok(json!({}));
        }
        recorded_agent::answer(&process.spec, &mut process.inside, now, command, &arguments)
    }

    fn ssh_forward(&self, _vmid: u32) -> Option<SocketAddr> {
        None
    }

    fn dump(&self) -> Value {
        let state = self.state();
        let processes: Vec<u32> = state.processes.keys().copied().collect();
        json!({ "volumes": state.volumes, "processes": processes })
    }
}
