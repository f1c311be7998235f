//! Options of a virtual machine: privileges, types, the form in which they are
//! stored, and which of them a running guest takes at once.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::fail::Fail;
use crate::schema::{Table, property, split_index};
use crate::world::World;
use crate::world::guest::Config;
use crate::world::guest::is_drive;

/// Parameters of create and update that are no options of the guest.
const NOT_OPTIONS: &[&str] = &[
    "node",
    "vmid",
    "archive",
    "force",
    "pool",
    "storage",
    "unique",
    "start",
    "bwlimit",
    "live-restore",
    "import-working-storage",
    "delete",
    "revert",
    "digest",
    "skiplock",
    "background_delay",
];

/// The options among parameters.
pub(crate) fn of(params: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let kept = params.iter().filter(|(key, _)| !NOT_OPTIONS.contains(&key.as_str()));
    let mut given: BTreeMap<String, String> =
        kept.map(|(key, value)| (key.clone(), value.clone())).collect();
    // `cdrom` is another name of a medium in ide2. Beside ide2, which Proxmox refuses, it stays as it is.
    if !given.contains_key("ide2")
        && let Some(medium) = given.remove("cdrom")
    {
        given.insert("ide2".into(), format!("{medium},media=cdrom"));
    }
    given
}

/// The privilege that setting an option needs. Source: `check_vm_modify_config_perm`.
pub(crate) fn privilege(key: &str, value: &str) -> Option<&'static str> {
    let stem = split_index(key).map_or(key, |(stem, _)| stem);
    Some(match stem {
        "memory" | "balloon" | "shares" => "VM.Config.Memory",
        "cores" | "sockets" | "cpu" | "cpulimit" | "cpuunits" | "vcpus" | "numa" | "smp"
        | "affinity" => "VM.Config.CPU",
        "net" => "VM.Config.Network",
        "ipconfig" | "ciuser" | "cipassword" | "sshkeys" | "citype" | "ciupgrade"
        | "nameserver" | "searchdomain" => "VM.Config.Cloudinit",
        "cicustom" | "efidisk" | "tpmstate" | "unused" => "VM.Config.Disk",
        _ if is_drive(key) && value.contains("cloudinit") => "VM.Config.Cloudinit",
        _ if is_drive(key) && value.contains("media=cdrom") => "VM.Config.CDROM",
        _ if is_drive(key) => "VM.Config.Disk",
        "boot" | "bootdisk" | "name" | "description" | "onboot" | "startup" | "tags" | "ostype"
        | "protection" | "agent" | "hotplug" | "template" | "startdate" | "localtime"
        | "tablet" | "freeze" | "acpi" | "kvm" | "reboot" | "autostart" | "hookscript" | "tdf"
        | "migrate_downtime" | "migrate_speed" => "VM.Config.Options",
        "digest" | "lock" => return None,
        _ => "VM.Config.HWType",
    })
}

/// The bridge that a network option names.
pub(crate) fn bridge<'a>(key: &str, value: &'a str) -> Option<&'a str> {
    if split_index(key).is_none_or(|(stem, _)| stem != "net") {
        return None;
    }
    value.split(',').find_map(|part| part.strip_prefix("bridge="))
}

/// The text under which an option that is no disk is stored.
pub(crate) fn stored(world: &mut World, key: &str, text: &str) -> Result<String, Fail> {
    let stem = split_index(key).map_or(key, |(stem, _)| stem);
    Ok(match stem {
        "net" => network(world, key, text)?,
        "cipassword" if !text.starts_with("$5$") => {
            let salt = world.random();
            format!("$5${salt:016x}${}", crate::world::guest::sha1(text.as_bytes()))
        }
        "vmgenid" if text == "1" => world.uuid(),
        _ => text.to_owned(),
    })
}

/// `virtio,bridge=vmbr0` becomes `virtio=MAC,bridge=vmbr0` (fact 47).
fn network(world: &mut World, key: &str, text: &str) -> Result<String, Fail> {
    let method = Table::of(world.version).method("PUT", "/nodes/{node}/qemu/{vmid}/config");
    let keys =
        method.and_then(|method| method.parameter("net0")).and_then(|parameter| parameter.keys());
    let Some(keys) = keys else { return Ok(text.to_owned()) };
    let parsed = property::parse(keys, text);
    let mut found = parsed.map_err(|_| Fail::parameter(key, "invalid format - format error\n"))?;
    let model = found.remove("model").unwrap_or_default();
    let mac = found.remove("macaddr").unwrap_or_else(|| world.mac());
    Ok(property::print(&format!("{model}={}", mac.to_uppercase()), &found))
}

/// Tags as `PUT` stores them: a sorted set joined by semicolons (fact 57).
pub(crate) fn tags(text: &str) -> String {
    let set: std::collections::BTreeSet<&str> =
        text.split([',', ';', ' ']).filter(|tag| !tag.is_empty()).collect();
    set.into_iter().collect::<Vec<_>>().join(";")
}

/// An option as the API shows it: numbers where the schema says so.
pub(crate) fn shown(world: &World, key: &str, text: &str) -> Value {
    if key == "cipassword" {
        return json!("**********");
    }
    let create = Table::of(world.version).method("POST", "/nodes/{node}/qemu");
    let kind = create
        .and_then(|method| method.parameter(key))
        .map_or("string", |parameter| parameter.kind.as_str());
    match kind {
        "integer" | "boolean" => {
            text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number))
        }
        "number" => text.parse::<f64>().map_or_else(|_| json!(text), |number| json!(number)),
        _ => json!(text),
    }
}

/// Whether a guest's `hotplug` option names a feature.
fn plugs(config: &Config, feature: &str) -> bool {
    match config.get("hotplug").map_or("1", String::as_str) {
        "0" => false,
        "1" => matches!(feature, "network" | "disk" | "usb"),
        list => list.split([',', ';', ' ']).any(|one| one == feature),
    }
}

/// Whether a running guest takes a change at once; an empty text deletes.
/// Source: the fast-plug options and the hot-plug function of qemu-server.
pub(crate) fn is_hotpluggable(config: &Config, key: &str, text: &str) -> bool {
    let stem = split_index(key).map_or(key, |(stem, _)| stem);
    let old = config.get(key).map_or("", String::as_str);
    let is_medium = |text: &str| text.contains("media=cdrom");
    match stem {
        "net" => plugs(config, "network"),
        "usb" | "tablet" => plugs(config, "usb"),
        "vcpus" => plugs(config, "cpu"),
        "memory" => plugs(config, "memory") && config.get("numa").is_some_and(|numa| numa == "1"),
        // Another medium goes into a drive that is there.
        "ide" | "sata" => is_medium(old) && is_medium(text),
        "scsi" | "virtio" => plugs(config, "disk") || (is_medium(old) && is_medium(text)),
        _ => matches!(
            stem,
            "lock"
                | "name"
                | "onboot"
                | "shares"
                | "startup"
                | "description"
                | "protection"
                | "vmstatestorage"
                | "hookscript"
                | "tags"
                | "unused"
                | "ciuser"
                | "cipassword"
                | "citype"
                | "ciupgrade"
                | "sshkeys"
                | "nameserver"
                | "searchdomain"
                | "ipconfig"
                | "cicustom"
                | "bwlimit"
                | "migrate_speed"
                | "migrate_downtime"
                | "tdf"
                | "cpuunits"
                | "cpulimit"
        ),
    }
}
