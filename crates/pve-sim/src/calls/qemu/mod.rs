//! `/nodes/{node}/qemu`: virtual machines.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Plain;
use super::guests::{self, Vm, rrd, snapshot};
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::Version;
use crate::world::World;
use crate::world::guest::{Guest, Kind};

pub(crate) mod agent;
mod clone;
mod cloudinit;
mod config;
mod create;
mod destroy;
mod disks;
mod drives;
mod feature;
mod hibernate;
mod migrate;
mod monitor;
pub(crate) mod options;
mod reassign;
pub(crate) mod status;
mod template;

pub(crate) use clone::{new_mac, new_uuid};
pub(crate) use create::check_may_allocate;
pub(crate) use drives::{cloudinit_name, is_owned};
pub(crate) use options::{stored, tags};

/// The handlers of this folder; `rest` is the path below `/nodes/{node}/qemu`.
pub(crate) fn handler(verb: &str, rest: &str) -> Option<Plain> {
    let Some(rest) = rest.strip_prefix("/{vmid}") else {
        return match (verb, rest) {
            ("GET", "") => Some(list),
            ("POST", "") => Some(create::create),
            _ => None,
        };
    };
    Some(match (verb, rest) {
        ("GET", "") => index,
        ("DELETE", "") => destroy::destroy,
        ("GET", "/config") => guests::config::read::<Vm>,
        ("PUT", "/config") => config::update,
        ("POST", "/config") => config::update_in_task,
        ("GET", "/pending") => guests::config::pending::<Vm>,
        ("GET", "/cloudinit") => cloudinit::list,
        ("PUT", "/cloudinit") => cloudinit::regenerate,
        ("GET", "/cloudinit/dump") => cloudinit::dump,
        ("POST", "/monitor") => monitor::monitor,
        ("PUT", "/sendkey") => monitor::sendkey,
        ("POST", "/remote_migrate") => migrate::remote,
        ("PUT", "/unlink") => disks::unlink,
        ("PUT", "/resize") => disks::resize,
        ("POST", "/move_disk") => disks::relocate,
        ("POST", "/clone") => clone::clone,
        ("POST", "/template") => template::convert,
        ("GET", "/migrate") => migrate::conditions,
        ("POST", "/migrate") => migrate::migrate,
        ("GET", "/feature") => feature::feature,
        ("GET", "/status") => status::index,
        ("GET", "/status/current") => status::current,
        ("POST", "/status/start") => status::start,
        ("POST", "/status/stop") => status::stop,
        ("POST", "/status/shutdown") => status::shutdown,
        ("POST", "/status/reboot") => status::reboot,
        ("POST", "/status/reset") => status::reset,
        ("POST", "/status/suspend") => status::suspend,
        ("POST", "/status/resume") => status::resume,
        ("GET", "/rrddata") => rrd::data::<Vm>,
        ("GET", "/rrd") => rrd::picture::<Vm>,
        _ => return snapshot::handler::<Vm>(verb, rest),
    })
}

fn index(call: &mut Call<'_>) -> Result<Value, Fail> {
    call.world.vm(call.params.node(), call.params.vmid())?;
    let names = [
        "config",
        "cloudinit",
        "pending",
        "status",
        "unlink",
        "migrate",
        "resize",
        "move",
        "agent",
        "snapshot",
        "firewall",
    ];
    Ok(Value::Array(names.iter().map(|name| json!({"subdir": name})).collect()))
}

/// The figures that lists and `status/current` share.
pub(crate) fn figures(world: &World, guest: &Guest) -> Map<String, Value> {
    let mut row = guests::figures::common(world, guest);
    let used = if guest.process.is_some() { guest.memory() / 4 } else { 0 };
    row.insert("cpus".into(), json!(guest.cpus()));
    row.insert("maxdisk".into(), json!(guest.disk_size()));
    row.insert("mem".into(), json!(used));
    row.insert("disk".into(), json!(0));
    // Newer releases leave them out (recorded).
    if world.version < Version::V8_4 {
        row.insert("diskread".into(), json!(0));
        row.insert("diskwrite".into(), json!(0));
    }
    if guest.config.contains_key("serial0") {
        row.insert("serial".into(), json!(1));
    }
    if world.version == Version::V9_2 {
        row.insert("memhost".into(), json!(used));
    }
    row
}

fn list(call: &mut Call<'_>) -> Result<Value, Fail> {
    let world = &*call.world;
    let full = call.params.flag("full");
    let seen = world.guests_of(call.params.node()).filter(|guest| {
        guest.kind == Kind::Qemu
            && world.may(call.caller, &format!("/vms/{}", guest.vmid), "VM.Audit")
    });
    let rows = seen.map(|guest| {
        let mut row = figures(world, guest);
        if full {
            row.insert("qmpstatus".into(), json!(qmp_status(guest)));
        }
        Value::Object(row)
    });
    Ok(Value::Array(rows.collect()))
}

/// The state as QEMU names it.
pub(crate) fn qmp_status(guest: &Guest) -> &'static str {
    match &guest.process {
        None => "stopped",
        Some(process) if process.paused => "paused",
        Some(_) => "running",
    }
}

/// The text that workers and some calls give for a missing guest.
pub(crate) fn not_found(node: &str, vmid: u32) -> String {
    format!("unable to find configuration file for VM {vmid} on node '{node}'")
}

/// Privileges on `/vms/N` that options need (fact 30), checked for callers
/// other than root with a ticket.
pub(crate) fn check_option_rights(
    call: &Call<'_>,
    vmid: u32,
    pool: Option<&str>,
    options: &BTreeMap<String, String>,
) -> Result<(), Fail> {
    if call.caller.is_root() {
        return Ok(());
    }
    for (key, value) in options {
        if let Some(fail) = only_root(key, value) {
            return Err(fail);
        }
        let Some(privilege) = options::privilege(key, value) else { continue };
        let path = format!("/vms/{vmid}");
        if pool.is_some_and(|pool| call.may(&format!("/pool/{pool}"), privilege)) {
            continue;
        }
        call.require(&path, privilege)?;
        if let Some(bridge) = options::bridge(key, value) {
            call.require_bridge(bridge)?;
        }
    }
    Ok(())
}

/// Options that no token may set (fact 27).
fn only_root(key: &str, value: &str) -> Option<Fail> {
    let device = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let text = match device {
        // What is in no group of `check_vm_modify_config_perm`.
        "args" | "lock" | "affinity" | "arch" | "hookscript" | "ivshmem" | "hugepages"
        | "keephugepages" | "spice_enhancements" | "amd-sev" | "intel-tdx" => {
            format!("only root can set '{key}' config")
        }
        "serial" | "parallel" if value.starts_with("/dev/") => {
            format!("only root can set '{key}' config for real devices")
        }
        "usb" if !value.contains("spice") && !value.contains("mapping=") => {
            format!("only root can set '{key}' config for real devices")
        }
        "hostpci" if !value.contains("mapping=") => {
            format!("only root can set '{key}' config for non-mapped devices")
        }
        _ => return None,
    };
    Some(Fail::new(text))
}

/// Refuses `skiplock` to everybody but root with a ticket.
pub(crate) fn check_skiplock(call: &Call<'_>) -> Result<bool, Fail> {
    let wanted = call.params.flag("skiplock");
    if wanted && !call.caller.is_root() {
        return Err(Fail::parameter("skiplock", "Only root may use this option."));
    }
    Ok(wanted)
}
