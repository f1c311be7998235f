//! Guests as records: volumes are names with sizes, processes are entries in a
//! map, and the guest agent answers from a script.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

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
    frozen: bool,
    commands: BTreeSet<u64>,
    next_command: u64,
    /// Contents in base64, by path.
    files: BTreeMap<String, String>,
    handles: BTreeMap<u64, String>,
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
        let process = Process {
            spec: guest.clone(),
            started,
            ends: None,
            frozen: false,
            commands: BTreeSet::new(),
            next_command: 181,
            files: BTreeMap::new(),
            handles: BTreeMap::new(),
        };
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
        answer(process, now, command, &arguments)
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

/// The IPv4 address that a recorded guest reports for this MAC: `10.` and the
/// last three bytes.
pub(crate) fn address_of(mac: &str) -> String {
    let bytes: Vec<u8> =
        mac.split(':').map(|part| u8::from_str_radix(part, 16).unwrap_or(0)).collect();
    let byte = |index: usize| bytes.get(index).copied().unwrap_or(0);
    format!("10.{}.{}.{}", byte(3), byte(4), byte(5))
}

fn interface(name: &str, mac: &str, address: &str, prefix: u8) -> Value {
    let statistics = json!({
        "rx-bytes": 0, "rx-packets": 0, "rx-errs": 0, "rx-dropped": 0,
        "tx-bytes": 0, "tx-packets": 0, "tx-errs": 0, "tx-dropped": 0,
    });
    json!({
        "name": name,
        "hardware-address": mac,
        "ip-addresses": [{"ip-address": address, "ip-address-type": "ipv4", "prefix": prefix}],
        "statistics": statistics,
    })
}

fn answer(
    process: &mut Process,
    now: Duration,
    command: &str,
    arguments: &Value,
) -> Result<Value, AgentError> {
    Ok(match command {
        "guest-ping" | "guest-sync" | "guest-sync-delimited" | "guest-fstrim" => json!({}),
        "guest-info" => json!({"version": "7.2.22", "supported_commands": [
            {"name": "guest-ping", "enabled": true, "success-response": true},
            {"name": "guest-exec", "enabled": true, "success-response": true},
            {"name": "guest-network-get-interfaces", "enabled": true, "success-response": true},
        ]}),
        "guest-network-get-interfaces" => {
            let mut list = vec![interface("lo", "00:00:00:00:00:00", "127.0.0.1", 8)];
            for (index, (mac, _)) in process.spec.nics.iter().enumerate() {
                list.push(interface(
                    &format!("eth{index}"),
                    &mac.to_lowercase(),
                    &address_of(mac),
                    8,
                ));
            }
            Value::Array(list)
        }
        "guest-get-osinfo" => json!({
            "id": "debian", "name": "Debian GNU/Linux", "pretty-name": "Debian GNU/Linux 12 (bookworm)",
            "version": "12 (bookworm)", "version-id": "12", "machine": "x86_64",
            "kernel-release": "6.1.0-50-cloud-amd64", "kernel-version": "#1 SMP PREEMPT_DYNAMIC",
        }),
        "guest-get-host-name" => json!({"host-name": process.spec.name}),
        "guest-get-time" => json!(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)),
        "guest-get-timezone" => json!({"zone": "UTC", "offset": 0}),
        "guest-get-users" | "guest-get-fsinfo" => json!([]),
        "guest-get-vcpus" => {
            let one = |id| json!({"logical-id": id, "online": true, "can-offline": id != 0});
            Value::Array((0..process.spec.cores).map(one).collect())
        }
        "guest-fsfreeze-status" => json!(if process.frozen { "frozen" } else { "thawed" }),
        "guest-fsfreeze-freeze" | "guest-fsfreeze-thaw" => {
            process.frozen = command.ends_with("freeze") && !command.ends_with("thaw");
            json!(1)
        }
        "guest-shutdown" => json!({}),
        _ => return act(process, command, arguments),
    })
}

/// The commands that change something in the guest.
fn act(process: &mut Process, command: &str, arguments: &Value) -> Result<Value, AgentError> {
    let text = |name: &str| arguments[name].as_str().unwrap_or_default().to_owned();
    Ok(match command {
        "guest-exec" => {
            let pid = process.next_command;
            process.next_command += 4;
            process.commands.insert(pid);
            json!({"pid": pid})
        }
        "guest-exec-status" => {
            let pid = arguments["pid"].as_u64().unwrap_or(0);
            if !process.commands.remove(&pid) {
                return Err(AgentError::Error("Invalid parameter 'pid'".into()));
            }
            json!({"exited": true, "exitcode": 0})
        }
        "guest-file-open" => {
            let path = text("path");
            if text("mode") == "r" && !process.files.contains_key(&path) {
                let reason =
                    format!("failed to open file '{path}' (mode: 'r'): No such file or directory");
                return Err(AgentError::Error(reason));
            }
            let handle = 1000 + process.handles.len() as u64;
            process.handles.insert(handle, path);
            json!(handle)
        }
        "guest-file-write" | "guest-file-read" | "guest-file-close" => {
            let handle = arguments["handle"].as_u64().unwrap_or(0);
            let Some(path) = process.handles.get(&handle).cloned() else {
                return Err(AgentError::Error(format!("handle '{handle}' has not been found")));
            };
            match command {
                "guest-file-write" => {
                    process.files.insert(path, text("buf-b64"));
                    json!({"eof": false})
                }
                "guest-file-read" => json!({"buf-b64": process.files.get(&path), "eof": true}),
                _ => {
                    process.handles.remove(&handle);
                    json!({})
                }
            }
        }
        other => {
            return Err(AgentError::Error(format!("The command {other} has not been found")));
        }
    })
}
