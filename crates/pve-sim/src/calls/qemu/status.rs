//! `/nodes/{node}/qemu/{vmid}/status`: start, stop and what lies between.

use std::time::Duration;

use serde_json::{Value, json};

use super::{check_skiplock, figures, not_found, qmp_status};
use crate::calls::cluster::ha;
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::{Version, split_index};
use crate::tasks::{Done, Op, Step, Work};
use crate::world::guest::{Guest, Process};
use crate::world::{World, no_config};

/// How often a worker looks whether a guest has stopped.
const POLL: Duration = Duration::from_millis(500);
/// How long a shutdown waits when no time is given. Source: `_do_vm_stop`.
const SHUTDOWN_SECONDS: u64 = 60;

impl Guest {
    /// Notes that the process ended.
    pub fn halt(&mut self, now: Duration) {
        if self.process.take().is_some() {
            self.changed = now;
        }
    }

    /// Notes that the process runs.
    pub fn run(&mut self, pid: u32, now: Duration) {
        self.process = Some(Process { pid, since: now, paused: false });
        self.changed = now;
    }
}

/// `GET …/status`
pub(crate) fn index(call: &mut Call<'_>) -> Result<Value, Fail> {
    call.world.vm(call.params.node(), call.params.vmid())?;
    let names = ["current", "start", "stop", "reset", "shutdown", "suspend", "reboot"];
    Ok(Value::Array(names.iter().map(|name| json!({"subdir": name})).collect()))
}

/// `GET …/status/current`
pub(crate) fn current(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    let guest = world.vm(call.params.node(), call.params.vmid())?;
    let mut row = figures(world, guest);
    row.insert("qmpstatus".into(), json!(qmp_status(guest)));
    row.insert("ha".into(), world.ha_status(guest.vmid));
    if guest.agent_enabled() {
        row.insert("agent".into(), json!(1));
    }
    if guest.config.get("vga").is_some_and(|vga| has_spice(vga)) {
        row.insert("spice".into(), json!(1));
    }
    if guest.process.is_some() {
        let taps = guest.config.keys().filter_map(|key| match split_index(key) {
            Some(("net", index)) => Some(format!("tap{}i{index}", guest.vmid)),
            _ => None,
        });
        let nics = taps.map(|tap| (tap, json!({"netin": 0, "netout": 0})));
        row.insert("nics".into(), Value::Object(nics.collect()));
        if world.version == Version::V9_2 {
            for name in ["cpusome", "cpufull", "iosome", "iofull", "memorysome", "memoryfull"] {
                row.insert(format!("pressure{name}"), json!(0));
            }
        }
    }
    Ok(Value::Object(row))
}

/// Whether a display can be reached by SPICE. Source: `vm_status` of Proxmox,
/// from memory; `qxl` was recorded.
fn has_spice(vga: &str) -> bool {
    let kind = vga.split(',').next().unwrap_or_default();
    let kind = kind.strip_prefix("type=").unwrap_or(kind);
    kind.starts_with("qxl") || kind.starts_with("virtio")
}

fn target(call: &Call<'_>) -> (String, u32) {
    (call.params.node().to_owned(), call.params.vmid())
}

/// Calls that refuse a missing or stopped guest before any task (fact 36).
fn running(call: &Call<'_>) -> Result<(String, u32), Fail> {
    let (node, vmid) = target(call);
    let guest = call.world.vm(&node, vmid).map_err(|_| Fail::new(not_found(&node, vmid)))?;
    if guest.process.is_none() {
        return Err(Fail::new(format!("VM {vmid} not running")));
    }
    Ok((node, vmid))
}

/// What the resource manager does: starts or stops a machine where it is.
pub(crate) fn managed(call: &mut Call<'_>, node: &str, vmid: u32, start: bool) {
    let (home, id) = (node.to_owned(), vmid.to_string());
    if start {
        call.task_on(node, "qmstart", &id, Start { node: home, vmid, skiplock: false });
    } else {
        call.task_on(node, "qmstop", &id, Stop { node: home, vmid, skiplock: false });
    }
}

/// `POST …/status/start`
pub(crate) fn start(call: &mut Call<'_>) -> Result<Value, Fail> {
    let skiplock = check_skiplock(call)?;
    let (node, vmid) = target(call);
    ha::wanted(call, vmid, "started");
    Ok(call.task("qmstart", &vmid.to_string(), Start { node, vmid, skiplock }))
}

/// `POST …/status/stop`
pub(crate) fn stop(call: &mut Call<'_>) -> Result<Value, Fail> {
    let skiplock = check_skiplock(call)?;
    let (node, vmid) = target(call);
    ha::wanted(call, vmid, "stopped");
    Ok(call.task("qmstop", &vmid.to_string(), Stop { node, vmid, skiplock }))
}

/// `POST …/status/shutdown`
pub(crate) fn shutdown(call: &mut Call<'_>) -> Result<Value, Fail> {
    let skiplock = check_skiplock(call)?;
    let (node, vmid) = target(call);
    let seconds = call.params.number("timeout").unwrap_or(SHUTDOWN_SECONDS);
    let until = call.world.now + Duration::from_secs(seconds);
    let force = call.params.flag("forceStop");
    let work = Shutdown { node, vmid, skiplock, until, force, then_start: false, next: Next::Look };
    Ok(call.task("qmshutdown", &vmid.to_string(), work))
}

/// `POST …/status/reboot`
pub(crate) fn reboot(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, vmid) = running(call)?;
    let seconds = call.params.number("timeout").unwrap_or(SHUTDOWN_SECONDS);
    let until = call.world.now + Duration::from_secs(seconds);
    let work = Shutdown {
        node,
        vmid,
        skiplock: false,
        until,
        force: false,
        then_start: true,
        next: Next::Look,
    };
    Ok(call.task("qmreboot", &vmid.to_string(), work))
}

/// `POST …/status/reset`
pub(crate) fn reset(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (_, vmid) = running(call)?;
    Ok(call.task("qmreset", &vmid.to_string(), Switch { vmid, what: What::Reset }))
}

/// `POST …/status/suspend`
pub(crate) fn suspend(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (_, vmid) = running(call)?;
    if call.params.flag("todisk") {
        return super::hibernate::suspend(call, vmid);
    }
    Ok(call.task("qmpause", &vmid.to_string(), Switch { vmid, what: What::Pause(true) }))
}

/// `POST …/status/resume`
pub(crate) fn resume(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, vmid) = target(call);
    let guest = call.world.vm(&node, vmid).ok();
    if guest.is_some_and(|guest| guest.lock() == Some(super::hibernate::LOCK)) {
        // What sleeps on a disk is started again.
        let work = Start { node, vmid, skiplock: true };
        return Ok(call.task("qmresume", &vmid.to_string(), work));
    }
    let (_, vmid) = running(call)?;
    Ok(call.task("qmresume", &vmid.to_string(), Switch { vmid, what: What::Pause(false) }))
}

struct Start {
    node: String,
    vmid: u32,
    skiplock: bool,
}

/// Everything that stops a guest from starting.
fn check_start(
    world: &World,
    guest: &Guest,
    skiplock: bool,
    log: &mut Vec<String>,
) -> Result<(), String> {
    if !skiplock && guest.lock() != Some(super::hibernate::LOCK) {
        guest.check_lock()?;
    }
    if guest.is_template() {
        return Err("you can't start a vm if it's a template".into());
    }
    if guest.process.is_some() {
        return Err(format!("VM {} already running", guest.vmid));
    }
    for (_, drive) in guest.drives().filter(|(_, drive)| drive.volume.contains(':')) {
        let storage = drive.volume.split(':').next().unwrap_or_default();
        world.storage_on(&guest.node, storage).map_err(|fail| fail.text)?;
        let key = world.key_of(&guest.node, &drive.volume);
        if key.is_none_or(|key| world.volumes.get(&key).is_none()) {
            return Err(format!("volume '{}' does not exist", drive.volume));
        }
    }
    if guest.drives().any(|(_, drive)| drive.is_cloudinit()) {
        log.push("generating cloud-init ISO".into());
    }
    let bridges = world.nodes.get(&guest.node).map(|node| &node.bridges);
    for (key, text) in &guest.config {
        let is_net = split_index(key).is_some_and(|(stem, _)| stem == "net");
        let Some(bridge) = super::options::bridge(key, text).filter(|_| is_net) else { continue };
        if bridges.is_some_and(|bridges| !bridges.contains(bridge)) {
            let text = format!("bridge '{bridge}' does not exist");
            if world.version == Version::V9_2 {
                return Err(text);
            }
            log.push(text);
            return Err("start failed: QEMU exited with code 1".into());
        }
    }
    Ok(())
}

impl Work for Start {
    fn locks(&self) -> Option<u32> {
        Some(self.vmid)
    }

    fn begin(&mut self, world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        let guest = world.vm(&self.node, self.vmid).map_err(|fail| fail.text)?;
        let mut next = guest.clone();
        next.apply_pending();
        check_start(world, &next, self.skiplock, log)?;
        Ok(Vec::new())
    }

    fn effects(&mut self, world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        let guest = world.vm_mut(&self.node, self.vmid).map_err(|fail| fail.text)?;
        guest.apply_pending();
        Ok(vec![Op::Start(Box::new(guest.spec()))])
    }

    fn finish(
        &mut self,
        world: &mut World,
        _log: &mut Vec<String>,
        done: &[Done],
    ) -> Result<Step, String> {
        let now = world.now;
        super::hibernate::discard(world, &self.node, self.vmid);
        let guest =
            world.guests.get_mut(&self.vmid).ok_or_else(|| no_config(&self.node, self.vmid))?;
        if let Some(Done::Pid(pid)) = done.first() {
            guest.run(*pid, now);
        }
        Ok(Step::Done)
    }
}

struct Stop {
    node: String,
    vmid: u32,
    skiplock: bool,
}

impl Work for Stop {
    fn locks(&self) -> Option<u32> {
        Some(self.vmid)
    }

    fn begin(&mut self, world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        let guest =
            world.vm(&self.node, self.vmid).map_err(|_| not_found(&self.node, self.vmid))?;
        if guest.process.is_some() && !self.skiplock {
            guest.check_lock()?;
        }
        Ok(Vec::new())
    }

    fn effects(&mut self, _world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        Ok(vec![Op::Kill(self.vmid)])
    }

    fn finish(
        &mut self,
        world: &mut World,
        _log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        let now = world.now;
        if let Some(guest) = world.guests.get_mut(&self.vmid) {
            guest.halt(now);
        }
        Ok(Step::Done)
    }
}

enum Next {
    Look,
    Kill,
    Start,
}

/// Asks the guest to shut down and waits; a reboot starts it again.
struct Shutdown {
    node: String,
    vmid: u32,
    skiplock: bool,
    until: Duration,
    force: bool,
    then_start: bool,
    next: Next,
}

impl Work for Shutdown {
    fn locks(&self) -> Option<u32> {
        Some(self.vmid)
    }

    fn begin(&mut self, world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        let guest =
            world.vm(&self.node, self.vmid).map_err(|_| not_found(&self.node, self.vmid))?;
        if guest.process.is_none() {
            return Ok(Vec::new());
        }
        if !self.skiplock {
            guest.check_lock()?;
        }
        Ok(vec![Op::Powerdown(self.vmid)])
    }

    fn effects(&mut self, world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        Ok(vec![match self.next {
            Next::Look => Op::IsRunning(self.vmid),
            Next::Kill => Op::Kill(self.vmid),
            Next::Start => {
                let guest = world.vm_mut(&self.node, self.vmid).map_err(|fail| fail.text)?;
                guest.apply_pending();
                Op::Start(Box::new(guest.spec()))
            }
        }])
    }

    fn finish(
        &mut self,
        world: &mut World,
        _log: &mut Vec<String>,
        done: &[Done],
    ) -> Result<Step, String> {
        let now = world.now;
        let Some(guest) = world.guests.get_mut(&self.vmid) else { return Ok(Step::Done) };
        match (&self.next, done.first()) {
            (Next::Look, Some(Done::Running(true))) if guest.process.is_some() => {
                if now < self.until {
                    return Ok(Step::Again(POLL.min(self.until - now)));
                }
                if !self.force {
                    return Err("VM quit/powerdown failed - got timeout".into());
                }
                self.next = Next::Kill;
                Ok(Step::Again(Duration::ZERO))
            }
            (Next::Start, Some(Done::Pid(pid))) => {
                guest.run(*pid, now);
                Ok(Step::Done)
            }
            _ => {
                guest.halt(now);
                if self.then_start {
                    self.next = Next::Start;
                    return Ok(Step::Again(Duration::ZERO));
                }
                Ok(Step::Done)
            }
        }
    }

    fn stopped_text(&self) -> &'static str {
        "received interrupt"
    }
}

enum What {
    Reset,
    Pause(bool),
}

struct Switch {
    vmid: u32,
    what: What,
}

impl Work for Switch {
    fn locks(&self) -> Option<u32> {
        Some(self.vmid)
    }

    fn begin(&mut self, world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        world.guests.get(&self.vmid).map_or(Ok(()), Guest::check_lock)?;
        Ok(Vec::new())
    }

    fn effects(&mut self, _world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        Ok(match self.what {
            What::Reset => vec![Op::Reset(self.vmid)],
            What::Pause(_) => Vec::new(),
        })
    }

    fn finish(
        &mut self,
        world: &mut World,
        _log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        let process = world.guests.get_mut(&self.vmid).and_then(|guest| guest.process.as_mut());
        if let (What::Pause(paused), Some(process)) = (&self.what, process) {
            process.paused = *paused;
        }
        Ok(Step::Done)
    }
}
