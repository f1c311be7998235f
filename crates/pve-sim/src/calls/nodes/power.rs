//! Power of a node, and of all its guests at once.

use serde_json::Value;

use crate::calls::Plain;
use crate::calls::sections::words;
use crate::engine::Call;
use crate::fail::Fail;
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;
use crate::world::guest::Kind;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path) {
        ("POST", "/status") => power,
        ("POST", "/startall") => |call| all(call, true),
        ("POST", "/stopall") => |call| all(call, false),
        _ => return None,
    })
}

/// Shuts a node down or reboots it: its guests stop. The node that answers the
/// API stays, or nobody could ask any more; others are gone after a shutdown.
fn power(call: &mut Call<'_>) -> Result<Value, Fail> {
    let name = call.params.node().to_owned();
    let running: Vec<u32> = call
        .world
        .guests_of(&name)
        .filter(|guest| guest.process.is_some())
        .map(|guest| guest.vmid)
        .collect();
    let now = call.world.now;
    for vmid in running {
        if let Some(guest) = call.world.guests.get_mut(&vmid) {
            if guest.kind == Kind::Qemu {
                call.ops.push(Op::Kill(vmid));
            }
            guest.halt(now);
        }
    }
    let stays = name == call.world.entry || call.params.get("command") == Some("reboot");
    if let Some(node) = call.world.nodes.get_mut(&name) {
        node.online = stays;
    }
    Ok(Value::Null)
}

/// Starts the guests that start with the node (all that are named, with
/// `force`), or stops those that run.
struct All {
    vmids: Vec<u32>,
    start: bool,
    started: Vec<u32>,
}

impl Work for All {
    fn effects(&mut self, world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        let mut ops = Vec::new();
        for vmid in &self.vmids {
            let Some(guest) = world.guests.get(vmid) else { continue };
            let word = if guest.kind == Kind::Qemu { "VM" } else { "CT" };
            log.push(format!("{} {word} {vmid}", if self.start { "Starting" } else { "Stopping" }));
            if guest.kind != Kind::Qemu {
                continue;
            }
            if self.start {
                self.started.push(*vmid);
                ops.push(Op::Start(Box::new(guest.spec())));
            } else {
                ops.push(Op::Kill(*vmid));
            }
        }
        Ok(ops)
    }

    fn finish(
        &mut self,
        world: &mut World,
        _log: &mut Vec<String>,
        done: &[Done],
    ) -> Result<Step, String> {
        let now = world.now;
        let pids = done
            .iter()
            .filter_map(|done| if let Done::Pid(pid) = done { Some(*pid) } else { None });
        let pid_of: std::collections::BTreeMap<u32, u32> =
            self.started.iter().copied().zip(pids).collect();
        for vmid in &self.vmids {
            let Some(guest) = world.guests.get_mut(vmid) else { continue };
            if self.start {
                guest.run(pid_of.get(vmid).copied().unwrap_or_default(), now);
            } else {
                guest.halt(now);
            }
        }
        Ok(Step::Done)
    }
}

fn all(call: &mut Call<'_>, start: bool) -> Result<Value, Fail> {
    let (node, params) = (call.params.node().to_owned(), call.params);
    let wanted: Option<Vec<u32>> =
        params.get("vms").map(|text| words(text).filter_map(|vmid| vmid.parse().ok()).collect());
    let force = params.flag("force");
    let mut vmids = Vec::new();
    for guest in call.world.guests_of(&node) {
        let on_boot = guest.config.get("onboot").is_some_and(|text| text == "1");
        let fits = guest.process.is_some() != start
            && !guest.is_template()
            && guest.lock().is_none()
            && (!start || on_boot || force)
            && wanted.as_ref().is_none_or(|wanted| wanted.contains(&guest.vmid))
            && call.may(&format!("/vms/{}", guest.vmid), "VM.PowerMgmt");
        if fits {
            vmids.push(guest.vmid);
        }
    }
    let kind = if start { "startall" } else { "stopall" };
    Ok(call.task(kind, "", All { vmids, start, started: Vec::new() }))
}
