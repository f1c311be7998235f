//! `POST /nodes/{node}/lxc`: from a template, or from a backup.

use serde_json::Value;

use super::volumes::{self, Made, Plan};
use super::{options, rights};
use crate::calls::backup::restore_lxc;
use crate::engine::Call;
use crate::fail::Fail;
use crate::tasks::{Done, Op, Step, Work};
use crate::world::World;
use crate::world::guest::{Config, Drive, Guest, Kind};

/// The size of a root file system that nobody asked for, in GiB. Source: `create_vm`.
const ROOT_GIB: u64 = 4;

/// Creates a container: the id is taken at once, volumes come in the task.
pub(crate) fn create(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (node, vmid) = (call.params.node().to_owned(), call.params.vmid());
    let restore = call.params.flag("restore");
    let force = call.params.flag("force");
    let replaced = force
        && restore
        && call
            .world
            .guests
            .get(&vmid)
            .is_some_and(|guest| guest.kind == Kind::Lxc && guest.node == node);
    let pool = call.params.get("pool").map(str::to_owned);
    check_may_allocate(call, vmid, pool.as_deref(), replaced)?;
    if !replaced && let Some(text) = call.world.taken(vmid) {
        return Err(Fail::new(text));
    }
    let given = options::of(&call.params.texts);
    let unprivileged = call.params.flag("unprivileged") || restore;
    rights::check(call, vmid, pool.as_deref(), &given, unprivileged)?;
    if restore {
        return restore_lxc::restore(call, given, replaced);
    }
    let mut config = Config::new();
    let mut plans = Vec::new();
    for (key, value) in &given {
        if options::is_volume(key) {
            plans.push(volumes::plan(call, key, value)?);
        } else {
            config.insert(key.clone(), options::stored(call.world, key, value)?);
        }
    }
    if !given.contains_key("rootfs") {
        plans.push(default_root(call)?);
    }
    plans.sort_by_key(|plan| plan.key != "rootfs");
    let template = call.params.text("ostemplate").to_owned();
    config.entry("hostname".into()).or_insert_with(|| format!("CT{vmid}"));
    for key in ["memory", "swap"] {
        config.entry(key.into()).or_insert_with(|| "512".into());
    }
    config.entry("arch".into()).or_insert_with(|| "amd64".into());
    config.entry("ostype".into()).or_insert_with(|| ostype(&template).into());
    let mut guest = Guest::new(vmid, &node, Kind::Lxc, call.world.now);
    guest.config.insert("lock".into(), "create".into());
    call.world.insert_guest(guest);
    if let Some(pool) = pool {
        call.world.join_pool(vmid, &pool);
    }
    let start = call.params.flag("start");
    let work = Create { node, vmid, template, config, plans, start, made: Made::default() };
    Ok(call.task("vzcreate", &vmid.to_string(), work))
}

fn check_may_allocate(
    call: &Call<'_>,
    vmid: u32,
    pool: Option<&str>,
    replaced: bool,
) -> Result<(), Fail> {
    if let Some(pool) = pool
        && !call.world.pools.contains_key(pool)
    {
        return Err(Fail::denied(format!("pool '{pool}' does not exist")));
    }
    // Who may restore a guest's backups may replace it (source: `create_vm`).
    let allowed = call.caller.is_root()
        || call.may(&format!("/vms/{vmid}"), "VM.Allocate")
        || pool.is_some_and(|pool| call.may(&format!("/pool/{pool}"), "VM.Allocate"))
        || (replaced && call.may(&format!("/vms/{vmid}"), "VM.Backup"));
    if allowed { Ok(()) } else { Err(Fail::denied("")) }
}

fn default_root(call: &Call<'_>) -> Result<Plan, Fail> {
    let storage = call.params.get("storage").unwrap_or("local");
    let found = call.world.storage_on(call.params.node(), storage)?;
    volumes::check_storage(call, found)?;
    Ok(Plan::new("rootfs", Drive::parse(""), storage, ROOT_GIB << 30))
}

/// The distribution, which Proxmox finds in the archive and the simulator in its name.
fn ostype(template: &str) -> &'static str {
    let name = template.rsplit('/').next().unwrap_or(template).to_lowercase();
    let known = [
        "debian",
        "devuan",
        "ubuntu",
        "centos",
        "fedora",
        "opensuse",
        "archlinux",
        "alpine",
        "gentoo",
        "nixos",
    ];
    known.into_iter().find(|kind| name.starts_with(kind)).unwrap_or("unmanaged")
}

struct Create {
    node: String,
    vmid: u32,
    template: String,
    config: Config,
    plans: Vec<Plan>,
    start: bool,
    made: Made,
}

impl Create {
    fn prepare(&self, world: &World, log: &mut Vec<String>) -> Result<Made, String> {
        let (key, _) = world.volume_at(&self.node, &self.template)?;
        let made = volumes::make(world, &self.node, self.vmid, &self.plans, log)?;
        let name = key.2.rsplit('/').next().unwrap_or(&key.2);
        let folder = world.storages.get(&key.0).map(|storage| storage.path()).unwrap_or_default();
        log.push(format!("extracting archive '{folder}/template/cache/{name}'"));
        log.push("Total bytes read: 2150400 (2.1MiB, 270MiB/s)".into());
        log.push("Detected container architecture: amd64".into());
        for kind in ["rsa", "ecdsa", "ed25519"] {
            log.push(format!(
                "Creating SSH host key 'ssh_host_{kind}_key' - this may take some time ..."
            ));
            let host = self.config.get("hostname").map_or("", String::as_str);
            log.push(format!("done: SHA256:{kind} root@{host}"));
        }
        Ok(made)
    }
}

impl Work for Create {
    fn begin(&mut self, world: &mut World, log: &mut Vec<String>) -> Result<Vec<Op>, String> {
        match self.prepare(world, log) {
            Ok(made) => self.made = made,
            Err(text) => {
                world.remove_guest(self.vmid);
                return Err(format!("unable to create CT {} - {text}", self.vmid));
            }
        }
        self.made.begin(world);
        Ok(Vec::new())
    }

    fn finish(
        &mut self,
        world: &mut World,
        _log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        let (now, pid) = (world.now, world.tasks.next_pid());
        let guest = world.guests.get_mut(&self.vmid).ok_or("the container is gone")?;
        guest.config = std::mem::take(&mut self.config);
        guest.config.extend(self.made.options.drain(..));
        if self.start {
            guest.run(pid, now);
        }
        Ok(Step::Done)
    }

    fn fail(&mut self, world: &mut World) -> Vec<Op> {
        self.made.fail(world, self.vmid);
        Vec::new()
    }
}
