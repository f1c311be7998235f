//! Changes of `/nodes/{node}/qemu/{vmid}/config`; `calls/guests/config.rs` reads it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::drives::{self, Made, Plan};
use super::{check_option_rights, options};
use crate::calls::guests::config::list;
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::Table;
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;
use crate::world::guest::{Drive, Guest, is_drive};
use crate::world::storage::volid;

/// A checked change of a configuration.
pub(crate) struct Change {
    node: String,
    vmid: u32,
    set: BTreeMap<String, String>,
    plans: Vec<Plan>,
    delete: Vec<String>,
    revert: Vec<String>,
    /// Destroys deleted disks instead of detaching them.
    pub destroy: bool,
    made: Made,
    frees: Vec<String>,
    /// Whether root said that the lock does not count.
    skiplock: bool,
}

/// `PUT …/config`: at once, answers null (fact 39).
pub(crate) fn update(call: &mut Call<'_>) -> Result<Value, Fail> {
    let change = prepare(call)?;
    apply_now(call, change)
}

/// Carries a change out within the call.
pub(crate) fn apply_now(call: &mut Call<'_>, mut change: Change) -> Result<Value, Fail> {
    let mut log = Vec::new();
    change.made = drives::make(call.world, &change.node, change.vmid, &change.plans, &mut log)?;
    change.apply(call.world)?;
    call.ops.append(&mut change.made.ops);
    call.ops.extend(change.frees.drain(..).map(|volume| Op::Free { volume }));
    Ok(Value::Null)
}

/// `POST …/config`: in a task.
pub(crate) fn update_in_task(call: &mut Call<'_>) -> Result<Value, Fail> {
    let change = prepare(call)?;
    let vmid = change.vmid.to_string();
    Ok(call.task("qmconfig", &vmid, change))
}

/// Checks a change: texts and order as in `update_vm_api`.
fn prepare(call: &mut Call<'_>) -> Result<Change, Fail> {
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    let skiplock = super::check_skiplock(call)?;
    let mut given = options::of(&call.params.texts);
    given.remove("background_delay");
    let delete = list(call.params.get("delete"));
    let revert = list(call.params.get("revert"));
    if given.is_empty() && delete.is_empty() && revert.is_empty() {
        return Err(Fail::new("no options specified"));
    }
    check_names(call, &given, &delete)?;
    check_option_rights(call, vmid, None, &given)?;
    let deleted: BTreeMap<String, String> =
        delete.iter().map(|key| (key.clone(), String::new())).collect();
    if !call.caller.is_root() {
        for key in deleted.keys() {
            if let Some(privilege) = options::privilege(key, "") {
                call.require(&format!("/vms/{vmid}"), privilege)?;
            }
        }
    }
    let guest = call.world.vm(&node, vmid)?;
    if call.params.get("digest").is_some_and(|digest| digest != guest.digest()) {
        return Err(Fail::new("checksum mismatch (file change by other user?)"));
    }
    if !skiplock {
        guest.check_lock()?;
    }
    let mut plans = Vec::new();
    for (key, value) in given.iter().filter(|(key, _)| is_drive(key)) {
        plans.push(drives::plan(call, key, value)?);
    }
    let mut set = BTreeMap::new();
    for (key, value) in given.into_iter().filter(|(key, _)| !is_drive(key)) {
        let text = if key == "tags" {
            options::tags(&value)
        } else {
            options::stored(call.world, &key, &value)?
        };
        set.insert(key, text);
    }
    Ok(Change {
        node,
        vmid,
        set,
        plans,
        delete,
        revert,
        destroy: false,
        made: Made::default(),
        frees: Vec::new(),
        skiplock,
    })
}

fn check_names(
    call: &Call<'_>,
    given: &BTreeMap<String, String>,
    delete: &[String],
) -> Result<(), Fail> {
    let table = Table::of(call.world.version);
    let method = table.method("PUT", "/nodes/{node}/qemu/{vmid}/config");
    for key in delete {
        let known = key.starts_with("unused")
            || key == "lock"
            || method.is_some_and(|method| method.parameter(key).is_some());
        if !known || options::of(&BTreeMap::from([(key.clone(), String::new())])).is_empty() {
            return Err(Fail::parameter("delete", format!("unknown option '{key}'")));
        }
        if given.contains_key(key) {
            let text = format!("you can't use '-{key}' and -delete {key}' at the same time");
            return Err(Fail::parameter("delete", text));
        }
    }
    Ok(())
}

/// A change that only deletes, for `unlink`.
pub(crate) fn deletion(
    call: &mut Call<'_>,
    delete: Vec<String>,
    destroy: bool,
) -> Result<Change, Fail> {
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    check_names(call, &BTreeMap::new(), &delete)?;
    call.world.vm(&node, vmid)?.check_lock()?;
    Ok(Change {
        node,
        vmid,
        set: BTreeMap::new(),
        plans: Vec::new(),
        delete,
        revert: Vec::new(),
        destroy,
        made: Made::default(),
        frees: Vec::new(),
        skiplock: false,
    })
}

/// Keeps a volume that left its device as `unusedN` (a new index each time).
pub(crate) fn keep_unused(guest: &mut Guest, text: &str) {
    let drive = Drive::parse(text);
    if drive.is_cdrom() || !drives::is_owned(&drive.volume, guest.vmid) {
        return;
    }
    let free =
        (0..256).map(|index| format!("unused{index}")).find(|key| !guest.config.contains_key(key));
    if let Some(key) = free {
        guest.config.insert(key, drive.volume);
    }
}

impl Change {
    fn apply(&mut self, world: &mut World) -> Result<(), String> {
        self.made.register(world);
        let guest = world
            .guests
            .get_mut(&self.vmid)
            .ok_or_else(|| crate::world::no_config(&self.node, self.vmid))?;
        for key in &self.revert {
            guest.pending.remove(key);
        }
        let running = guest.process.is_some();
        let mut freed = Vec::new();
        for key in &self.delete {
            if running
                && !options::is_hotpluggable(&guest.config, key, "")
                && guest.config.contains_key(key)
            {
                guest.pending.insert(key.clone(), None);
                continue;
            }
            guest.pending.remove(key);
            let Some(text) = guest.config.remove(key) else { continue };
            let drive = Drive::parse(&text);
            if key.starts_with("unused")
                || (is_drive(key) && (self.destroy || drive.is_cloudinit()))
            {
                if drives::is_owned(&drive.volume, self.vmid) {
                    freed.push(drive.volume);
                }
            } else if is_drive(key) {
                keep_unused(guest, &text);
            }
        }
        let drives = self.made.options.drain(..);
        for (key, text) in self.set.clone().into_iter().chain(drives) {
            let volume = Drive::parse(&text).volume;
            // A volume that was unused and is attached again is unused no more.
            guest.config.retain(|name, other| !(name.starts_with("unused") && *other == volume));
            // What is set already does not wait.
            let is_new = guest.config.get(&key) != Some(&text);
            if running && is_new && !options::is_hotpluggable(&guest.config, &key, &text) {
                guest.pending.insert(key, Some(text));
                continue;
            }
            guest.pending.remove(&key);
            let old = guest.config.insert(key.clone(), text.clone());
            if let Some(old) = old.filter(|_| is_drive(&key))
                && Drive::parse(&old).volume != volume
            {
                keep_unused(guest, &old);
            }
        }
        for volume in freed {
            if let Some(key) = world.key_of(&self.node, &volume) {
                if world.volumes.children(&key) > 0 {
                    return Err(format!(
                        "base volume '{}' is still in use by linked cloned",
                        volid(&key)
                    ));
                }
                world.volumes.remove(&key);
                self.frees.push(volume);
            }
        }
        Ok(())
    }
}

impl Work for Change {
    fn locks(&self) -> Option<u32> {
        Some(self.vmid)
    }

    fn begin(&mut self, world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        let guest = world.vm(&self.node, self.vmid).map_err(|fail| fail.text)?;
        if !self.skiplock {
            guest.check_lock()?;
        }
        let mut words: Vec<String> =
            self.set.iter().map(|(key, value)| format!("-{key} {value}")).collect();
        words.extend(self.plans.iter().map(|plan| format!("-{}", plan.device())));
        if !self.delete.is_empty() {
            words.push(format!("-delete {}", self.delete.join(",")));
        }
        log.push(format!("update VM {}: {}", self.vmid, words.join(" ")));
        Ok(Vec::new())
    }

    fn effects(&mut self, world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        self.made = drives::make(world, &self.node, self.vmid, &self.plans, log)?;
        Ok(std::mem::take(&mut self.made.ops))
    }

    fn finish(
        &mut self,
        world: &mut World,
        _log: &mut Vec<String>,
        done: &[Done],
    ) -> Result<Step, String> {
        if self.set.is_empty()
            && self.delete.is_empty()
            && self.made.options.is_empty()
            && self.revert.is_empty()
        {
            let _ = done;
            return Ok(Step::Done);
        }
        self.apply(world)?;
        Ok(Step::Done)
    }
}
