//! `POST /nodes/{node}/qemu`

use serde_json::Value;

use super::drives::{self, Made, Plan};
use super::{check_option_rights, options};
use crate::calls::backup::restore_qemu;
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::Version;
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;
use crate::world::guest::{Guest, Kind, is_drive};

/// Creates a virtual machine: the id is taken at once, disks come in the task.
pub(crate) fn create(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    let pool = call.params.get("pool").map(str::to_owned);
    check_may_allocate(call, vmid, pool.as_deref())?;
    let given = options::of(&call.params.texts);
    check_option_rights(call, vmid, pool.as_deref(), &given)?;
    if call.params.get("archive").is_some() {
        return restore_qemu::restore(call, given);
    }
    let mut plans = Vec::new();
    for (key, value) in given.iter().filter(|(key, _)| is_drive(key)) {
        plans.push(drives::plan(call, key, value)?);
    }
    if let Some(other) = call.world.guests.get(&vmid) {
        let kind = if other.kind == Kind::Qemu { "VM" } else { "CT" };
        let text = format!(
            "unable to create VM {vmid} - {kind} {vmid} already exists on node '{}'",
            other.node
        );
        return Err(Fail::new(text));
    }
    let mut guest = Guest::new(vmid, &node, Kind::Qemu, call.world.now);
    guest.config.insert("lock".into(), "create".into());
    let mut texts = Vec::new();
    for (key, value) in &given {
        if !is_drive(key) {
            texts.push((key.clone(), options::stored(call.world, key, value)?));
        }
    }
    call.world.insert_guest(guest);
    if let Some(pool) = pool {
        call.world.join_pool(vmid, &pool);
    }
    let start = call.params.flag("start");
    let work = Create { node, vmid, texts, plans, start, made: Made::default() };
    Ok(call.task("qmcreate", &vmid.to_string(), work))
}

/// VM.Allocate on the guest or on the pool; neither gives the bare text (fact 5).
pub(crate) fn check_may_allocate(
    call: &Call<'_>,
    vmid: u32,
    pool: Option<&str>,
) -> Result<(), Fail> {
    if let Some(pool) = pool
        && !call.world.pools.contains_key(pool)
    {
        return Err(Fail::denied(format!("pool '{pool}' does not exist")));
    }
    let allowed = call.caller.is_root()
        || call.may(&format!("/vms/{vmid}"), "VM.Allocate")
        || pool.is_some_and(|pool| call.may(&format!("/pool/{pool}"), "VM.Allocate"));
    if allowed { Ok(()) } else { Err(Fail::denied("")) }
}

struct Create {
    node: String,
    vmid: u32,
    texts: Vec<(String, String)>,
    plans: Vec<Plan>,
    start: bool,
    made: Made,
}

impl Work for Create {
    fn begin(&mut self, world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        match drives::make(world, &self.node, self.vmid, &self.plans, log) {
            Ok(made) => self.made = made,
            Err(text) => {
                world.remove_guest(self.vmid);
                return Err(format!("unable to create VM {} - {text}", self.vmid));
            }
        }
        for (key, volume) in &self.made.volumes {
            world.volumes.insert(key.clone(), volume.clone());
        }
        Ok(Vec::new())
    }

    fn effects(&mut self, _world: &mut World, _log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        Ok(self.made.ops.clone())
    }

    fn finish(
        &mut self,
        world: &mut World,
        _log: &mut Vec<String>,
        done: &[Done],
    ) -> Result<Step, String> {
        let now = world.now;
        if let Some(Done::Pid(pid)) = done.last() {
            if let Some(guest) = world.guests.get_mut(&self.vmid) {
                guest.run(*pid, now);
            }
            return Ok(Step::Done);
        }
        let (uuid, generation) = (world.uuid(), world.uuid());
        let version = world.version;
        let Some(guest) = world.guests.get_mut(&self.vmid) else {
            return Err("the guest is gone".into());
        };
        let config = &mut guest.config;
        config.remove("lock");
        config.insert("smbios1".into(), format!("uuid={uuid}"));
        config.insert("vmgenid".into(), generation);
        config.insert("meta".into(), format!("creation-qemu=7.2.22,ctime={}", now.as_secs()));
        config.extend(self.texts.drain(..));
        config.extend(self.made.options.drain(..));
        if !config.contains_key("boot") {
            let order = default_boot(config);
            config.insert("boot".into(), format!("order={order}"));
        }
        if version == Version::V9_2
            && let Some(tags) = config.get_mut("tags")
        {
            *tags = options::tags(tags);
        }
        if self.start {
            self.start = false;
            self.made.ops = vec![Op::Start(Box::new(guest.spec()))];
            return Ok(Step::Again(std::time::Duration::ZERO));
        }
        Ok(Step::Done)
    }

    fn fail(&mut self, world: &mut World) -> Vec<Op> {
        world.remove_guest(self.vmid);
        let mut ops = Vec::new();
        for (key, _) in &self.made.volumes {
            world.volumes.remove(key);
            ops.push(Op::Free { volume: crate::world::storage::volid(key) });
        }
        ops
    }
}

/// The order that Proxmox writes when none is given: a disk, a CD-ROM, a network card.
fn default_boot(config: &crate::world::guest::Config) -> String {
    let all: Vec<(&str, drives_of::Item)> = drives_of::all(config);
    let disk = all
        .iter()
        .find(|(_, item)| *item == drives_of::Item::Disk)
        .map(|(key, _)| (*key).to_owned());
    let cdrom = all
        .iter()
        .find(|(_, item)| *item == drives_of::Item::Cdrom)
        .map(|(key, _)| (*key).to_owned());
    let net = config
        .keys()
        .find(|key| crate::schema::split_index(key).is_some_and(|(stem, _)| stem == "net"))
        .cloned();
    [disk, cdrom, net].into_iter().flatten().collect::<Vec<_>>().join(";")
}

mod drives_of {
    use crate::world::guest::{Config, drives_of};

    #[derive(PartialEq, Eq)]
    pub(super) enum Item {
        Disk,
        Cdrom,
        Other,
    }

    pub(super) fn all(config: &Config) -> Vec<(&str, Item)> {
        let class = |key: &str, cdrom: bool, cloudinit: bool| match (key, cdrom, cloudinit) {
            ("efidisk0" | "tpmstate0", ..) | (_, _, true) => Item::Other,
            (_, true, _) => Item::Cdrom,
            _ => Item::Disk,
        };
        drives_of(config)
            .map(|(key, drive)| (key, class(key, drive.is_cdrom(), drive.is_cloudinit())))
            .collect()
    }
}
