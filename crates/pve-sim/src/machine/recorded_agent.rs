//! The guest agent of a recorded guest: what it answers, and the little state
//! that its commands leave in the guest.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::recorded_shell::{self, Ran};
use super::{AgentError, GuestSpec};

/// The most files, open handles and finished commands that a guest keeps.
const KEPT: usize = 1_000;

/// What is inside a guest.
#[derive(Debug)]
pub(super) struct Inside {
    frozen: bool,
    commands: BTreeMap<u64, (Duration, Ran)>,
    next_command: u64,
    files: BTreeMap<String, Vec<u8>>,
    handles: BTreeMap<u64, String>,
    next_handle: u64,
}

impl Default for Inside {
    fn default() -> Self {
        Self {
            frozen: false,
            commands: BTreeMap::new(),
            next_command: 181,
            files: BTreeMap::new(),
            handles: BTreeMap::new(),
            next_handle: 1_000,
        }
    }
}

/// The commands that the agent of 7.2.22 knows. Source: recorded `guest-info`.
const COMMANDS: &[&str] = &[
    "guest-get-cpustats",
    "guest-get-diskstats",
    "guest-get-osinfo",
    "guest-get-timezone",
    "guest-get-users",
    "guest-get-host-name",
    "guest-exec",
    "guest-exec-status",
    "guest-get-memory-block-info",
    "guest-get-memory-blocks",
    "guest-set-user-password",
    "guest-get-fsinfo",
    "guest-get-vcpus",
    "guest-network-get-interfaces",
    "guest-suspend-hybrid",
    "guest-suspend-ram",
    "guest-suspend-disk",
    "guest-fstrim",
    "guest-fsfreeze-thaw",
    "guest-fsfreeze-freeze",
    "guest-fsfreeze-status",
    "guest-file-write",
    "guest-file-read",
    "guest-file-close",
    "guest-file-open",
    "guest-shutdown",
    "guest-info",
    "guest-get-time",
    "guest-ping",
    "guest-sync",
    "guest-sync-delimited",
];

/// The IPv4 address that a recorded guest reports for this MAC: `10.` and the
/// last three bytes.
pub(super) fn address_of(mac: &str) -> String {
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

fn interfaces(spec: &GuestSpec) -> Value {
    let mut list = vec![interface("lo", "00:00:00:00:00:00", "127.0.0.1", 8)];
    for (index, (mac, _)) in spec.nics.iter().enumerate() {
        let name = format!("eth{index}");
        list.push(interface(&name, &mac.to_lowercase(), &address_of(mac), 8));
    }
    Value::Array(list)
}

/// One file system, on the first disk.
fn file_systems() -> Value {
    let controller = json!({"bus": 0, "domain": 0, "function": 0, "slot": 5});
    let disk = json!({
        "bus": 0, "bus-type": "scsi", "dev": "/dev/sda1", "pci-controller": controller, "target": 0, "unit": 0,
    });
    json!([{
        "disk": [disk], "mountpoint": "/", "name": "sda1", "total-bytes": 1_415_884_800_u64, "type": "ext4",
        "used-bytes": 504_881_152,
    }])
}

/// Answers a command.
pub(super) fn answer(
    spec: &GuestSpec,
    inside: &mut Inside,
    now: Duration,
    command: &str,
    arguments: &Value,
) -> Result<Value, AgentError> {
    Ok(match command {
        "guest-ping" | "guest-sync" | "guest-sync-delimited" | "guest-shutdown" => json!({}),
        "guest-suspend-disk" | "guest-suspend-hybrid" | "guest-suspend-ram" => json!({}),
        "guest-fstrim" => json!({"paths": [{"path": "/", "minimum": 0, "trimmed": 0}]}),
        "guest-info" => {
            let row =
                |name: &&str| json!({"name": name, "enabled": true, "success-response": true});
            let list: Vec<Value> = COMMANDS.iter().map(row).collect();
            json!({"version": "7.2.22", "supported_commands": list})
        }
        "guest-network-get-interfaces" => interfaces(spec),
        "guest-get-osinfo" => json!({
            "id": "debian", "name": "Debian GNU/Linux", "pretty-name": "Debian GNU/Linux 12 (bookworm)",
            "version": "12 (bookworm)", "version-id": "12", "machine": "x86_64",
            "kernel-release": "6.1.0-50-cloud-amd64", "kernel-version": "#1 SMP PREEMPT_DYNAMIC",
        }),
        "guest-get-host-name" => json!({"host-name": spec.name}),
        "guest-get-time" => json!(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)),
        "guest-get-timezone" => json!({"zone": "UTC", "offset": 0}),
        "guest-get-users" => json!([]),
        "guest-get-fsinfo" => file_systems(),
        "guest-get-memory-block-info" => json!({"size": 134_217_728}),
        "guest-get-memory-blocks" => {
            let one = |id| json!({"phys-index": id, "online": true, "can-offline": true});
            (0..(spec.memory_mib / 128).min(1_024)).map(one).collect()
        }
        "guest-get-vcpus" => {
            let one = |id| json!({"logical-id": id, "online": true, "can-offline": id != 0});
            Value::Array((0..spec.cores).map(one).collect())
        }
        "guest-fsfreeze-status" => json!(if inside.frozen { "frozen" } else { "thawed" }),
        "guest-fsfreeze-freeze" | "guest-fsfreeze-thaw" => {
            inside.frozen = command == "guest-fsfreeze-freeze";
            json!(1)
        }
        "guest-set-user-password" => set_password(arguments)?,
        "guest-exec" => exec(inside, now, arguments)?,
        "guest-exec-status" => exec_status(inside, now, arguments)?,
        _ => return on_file(inside, command, arguments),
    })
}

fn refused(text: impl Into<String>) -> AgentError {
    AgentError::Error(text.into())
}

/// The users of a recorded guest.
const USERS: &[&str] = &["root", "debian", "ubuntu"];

fn set_password(arguments: &Value) -> Result<Value, AgentError> {
    let user = arguments["username"].as_str().unwrap_or_default();
    if USERS.contains(&user) {
        return Ok(json!({}));
    }
    Err(refused("child process has failed to set user password"))
}

fn exec(inside: &mut Inside, now: Duration, arguments: &Value) -> Result<Value, AgentError> {
    let mut words = vec![arguments["path"].as_str().unwrap_or_default().to_owned()];
    let rest = arguments["arg"].as_array().into_iter().flatten();
    words.extend(rest.filter_map(Value::as_str).map(str::to_owned));
    let input = arguments["input-data"].as_str().unwrap_or_default();
    let input = STANDARD.decode(input).unwrap_or_default();
    // The quotation marks are the agent's own (fact 22 hangs on them).
    let ran = recorded_shell::run(&words, &input, &inside.files).ok_or_else(|| {
        let path = &words[0];
        refused(format!(
            "Guest agent command failed, error was 'Failed to execute child process “{path}” (No such file or directory)'"
        ))
    })?;
    let pid = inside.next_command;
    inside.next_command += 4;
    inside.commands.insert(pid, (now + ran.takes, ran));
    if inside.commands.len() > KEPT {
        inside.commands.pop_first();
    }
    Ok(json!({ "pid": pid }))
}

/// The state of a command; once it was told that it has ended, it is forgotten.
fn exec_status(inside: &mut Inside, now: Duration, arguments: &Value) -> Result<Value, AgentError> {
    let pid = arguments["pid"].as_u64().unwrap_or(0);
    let ends = inside.commands.get(&pid).map(|(ends, _)| *ends);
    let ends = ends.ok_or_else(|| refused("Invalid parameter 'pid'"))?;
    if now < ends {
        return Ok(json!({"exited": false}));
    }
    let Some((_, ran)) = inside.commands.remove(&pid) else { return Ok(json!({"exited": false})) };
    let mut row = json!({"exited": true, "exitcode": ran.code});
    for (name, bytes) in [("out", ran.out), ("err", ran.err)] {
        if !bytes.is_empty() {
            row[format!("{name}-data")] = json!(STANDARD.encode(bytes));
        }
    }
    Ok(row)
}

fn on_file(inside: &mut Inside, command: &str, arguments: &Value) -> Result<Value, AgentError> {
    let text = |name: &str| arguments[name].as_str().unwrap_or_default().to_owned();
    if command == "guest-file-open" {
        let path = text("path");
        let mode = text("mode");
        if mode == "r" && !inside.files.contains_key(&path) {
            return Err(refused(format!(
                "failed to open file '{path}' (mode: 'r'): No such file or directory"
            )));
        }
        if inside.handles.len() >= KEPT || inside.files.len() >= KEPT {
            return Err(refused(format!("failed to open file '{path}': Too many open files")));
        }
        let handle = inside.next_handle;
        inside.next_handle += 1;
        inside.handles.insert(handle, path);
        return Ok(json!(handle));
    }
    let handle = arguments["handle"].as_u64().unwrap_or(0);
    let missing = || refused(format!("handle '{handle}' has not been found"));
    Ok(match command {
        "guest-file-write" => {
            let path = inside.handles.get(&handle).cloned().ok_or_else(missing)?;
            let bytes = STANDARD.decode(text("buf-b64")).unwrap_or_default();
            let count = bytes.len();
            inside.files.insert(path, bytes);
            json!({"count": count, "eof": false})
        }
        "guest-file-read" => {
            let path = inside.handles.get(&handle).ok_or_else(missing)?;
            let bytes = inside.files.get(path).map(Vec::as_slice).unwrap_or_default();
            let count = usize::try_from(arguments["count"].as_u64().unwrap_or(4096));
            let taken = &bytes[..bytes.len().min(count.unwrap_or(usize::MAX))];
            let eof = taken.len() == bytes.len();
            json!({"buf-b64": STANDARD.encode(taken), "count": taken.len(), "eof": eof})
        }
        "guest-file-close" => {
            inside.handles.remove(&handle).ok_or_else(missing)?;
            json!({})
        }
        other => return Err(refused(format!("The command {other} has not been found"))),
    })
}
