//! `/nodes/{node}/lxc/{vmid}/status`

use std::time::Duration;

use serde_json::{Value, json};

use super::{config, figures};
use crate::calls::cluster::ha;
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::{Version, split_index};
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;
use crate::world::guest::{Drive, Guest};
use crate::world::guest_find::no_config_of;

/// `GET …/status`
pub(crate) fn index(call: &mut Call<'_>) -> Result<Value, Fail> {
    call.world.ct(call.params.node(), call.params.vmid())?;
    let names = ["current", "start", "stop", "shutdown", "migrate"];
    Ok(names.iter().map(|name| json!({"subdir": name})).collect())
}

/// `GET …/status/current`
pub(crate) fn current(call: &mut Call<'_>) -> Result<Value, Fail> {
    let guest = call.world.ct(call.params.node(), call.params.vmid())?;
    let mut row = figures(call.world, guest);
    row.insert("ha".into(), call.world.ha_status(guest.vmid));
    Ok(Value::Object(row))
}

fn check_skiplock(call: &Call<'_>) -> Result<bool, Fail> {
    let wanted = call.params.flag("skiplock");
    if wanted && !call.caller.is_root() {
        return Err(Fail::parameter("skiplock", "Only root may use this option."));
    }
    Ok(wanted)
}

/// Begins a task that changes the state; a missing container fails in it.
fn begin(call: &mut Call<'_>, kind: &str, what: What) -> Result<Value, Fail> {
    let skiplock = check_skiplock(call)?;
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    Ok(call.task(kind, &vmid.to_string(), Change { node, vmid, skiplock, what }))
}

/// What the resource manager does: starts or stops a container where it is.
pub(crate) fn managed(call: &mut Call<'_>, node: &str, vmid: u32, start: bool) {
    let (kind, what) = if start { ("vzstart", What::Start) } else { ("vzshutdown", What::Stop) };
    let work = Change { node: node.to_owned(), vmid, skiplock: false, what };
    call.task_on(node, kind, &vmid.to_string(), work);
}

fn is_running(call: &Call<'_>) -> bool {
    let guest = call.world.ct(call.params.node(), call.params.vmid());
    guest.is_ok_and(|guest| guest.process.is_some())
}

fn require_running(call: &Call<'_>) -> Result<(), Fail> {
    if is_running(call) {
        return Ok(());
    }
    Err(Fail::new(format!("CT {} not running", call.params.vmid())))
}

/// `POST …/status/start`; starting a running container is refused at once (fact 76).
pub(crate) fn start(call: &mut Call<'_>) -> Result<Value, Fail> {
    if is_running(call) {
        return Err(Fail::new(format!("CT {} already running", call.params.vmid())));
    }
    ha::wanted(call, call.params.vmid(), "started");
    begin(call, "vzstart", What::Start)
}

/// `POST …/status/stop`
pub(crate) fn stop(call: &mut Call<'_>) -> Result<Value, Fail> {
    require_running(call)?;
    ha::wanted(call, call.params.vmid(), "stopped");
    begin(call, "vzstop", What::Stop)
}

/// `POST …/status/shutdown`: the simulated init always reacts.
pub(crate) fn shutdown(call: &mut Call<'_>) -> Result<Value, Fail> {
    require_running(call)?;
    begin(call, "vzshutdown", What::Stop)
}

/// `POST …/status/reboot`; the text says VM (recorded).
pub(crate) fn reboot(call: &mut Call<'_>) -> Result<Value, Fail> {
    if !is_running(call) {
        return Err(Fail::new(format!("VM {} not running", call.params.vmid())));
    }
    begin(call, "vzreboot", What::Restart)
}

/// `POST …/status/suspend`: a checkpoint on disk; the processes end.
pub(crate) fn suspend(call: &mut Call<'_>) -> Result<Value, Fail> {
    require_running(call)?;
    begin(call, "vzsuspend", What::Stop)
}

/// `POST …/status/resume`
pub(crate) fn resume(call: &mut Call<'_>) -> Result<Value, Fail> {
    if is_running(call) {
        return Err(Fail::new(format!("CT {} already running", call.params.vmid())));
    }
    begin(call, "vzresume", What::Start)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Start,
    Stop,
    Restart,
}

struct Change {
    node: String,
    vmid: u32,
    skiplock: bool,
    what: What,
}

/// Everything that stops a container from starting.
fn check_start(world: &World, guest: &Guest, log: &mut Vec<String>) -> Result<(), String> {
    if guest.is_template() {
        return Err("you can't start a CT if it's a template".into());
    }
    if guest.process.is_some() {
        return Err(format!("CT {} already running", guest.vmid));
    }
    for (_, drive) in guest.disks() {
        let storage = drive.volume.split(':').next().unwrap_or_default();
        world.storage_on(&guest.node, storage).map_err(|fail| fail.text)?;
        world.volume_at(&guest.node, &drive.volume)?;
    }
    let bridges = world.nodes.get(&guest.node).map(|node| &node.bridges);
    for (key, text) in &guest.config {
        if split_index(key).is_none_or(|(stem, _)| stem != "net") {
            continue;
        }
        let net = Drive::parse(text);
        let Some(bridge) = net.get("bridge") else { continue };
        if bridges.is_some_and(|bridges| !bridges.contains(bridge)) {
            let text = format!("bridge '{bridge}' does not exist");
            if world.version == Version::V9_2 {
                return Err(text);
            }
            log.push(text);
            return Err(format!("startup for container '{}' failed", guest.vmid));
        }
    }
    Ok(())
}

impl Work for Change {
    fn locks(&self) -> Option<u32> {
        Some(self.vmid)
    }

    fn begin(&mut self, world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        let guest = world.ct(&self.node, self.vmid).map_err(|fail| fail.text)?;
        if !self.skiplock {
            guest.check_lock()?;
        }
        if self.what == What::Start {
            check_start(world, guest, log)?;
        }
        Ok(Vec::new())
    }

    fn finish(
        &mut self,
        world: &mut World,
        _log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        let (now, pid) = (world.now, world.tasks.next_pid());
        let missing = || no_config_of(crate::world::guest::Kind::Lxc, &self.node, self.vmid);
        let guest = world.guests.get_mut(&self.vmid).ok_or_else(missing)?;
        match self.what {
            What::Start => {
                config::apply_pending(guest);
                guest.run(pid, now);
            }
            What::Stop => guest.halt(now),
            What::Restart => {
                guest.halt(now);
                self.what = What::Start;
                return Ok(Step::Again(Duration::ZERO));
            }
        }
        Ok(Step::Done)
    }
}
