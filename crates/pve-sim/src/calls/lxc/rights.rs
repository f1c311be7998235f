//! Privileges that the options of a container need (fact 30).

use std::collections::BTreeMap;

use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::split_index;

/// The privilege on `/vms/N` that an option needs. Source: `check_ct_modify_config_perm`.
fn privilege(key: &str) -> &'static str {
    let stem = split_index(key).map_or(key, |(stem, _)| stem);
    match stem {
        "cores" | "cpuunits" | "cpulimit" => "VM.Config.CPU",
        "rootfs" | "mp" | "unused" => "VM.Config.Disk",
        "memory" | "swap" => "VM.Config.Memory",
        "net" | "nameserver" | "searchdomain" | "hostname" => "VM.Config.Network",
        _ => "VM.Config.Options",
    }
}

/// What only root with a ticket may set.
fn only_root(key: &str, value: &str, unprivileged: bool) -> Option<Fail> {
    let stem = split_index(key).map_or(key, |(stem, _)| stem);
    let text = match stem {
        "dev" => "configuring device passthrough is only allowed for root@pam",
        "hookscript" => "changing the hookscript is only allowed for root@pam",
        "features" if !unprivileged => {
            "changing feature flags for privileged container is only allowed for root@pam"
        }
        "features" if !is_only_nesting(value) => {
            "changing feature flags (except nesting) is only allowed for root@pam"
        }
        "mp" if value.starts_with('/') => "mount point type bind is only allowed for root@pam",
        _ => return None,
    };
    Some(Fail::denied(text))
}

fn is_only_nesting(value: &str) -> bool {
    value.split(',').all(|part| part.is_empty() || part.starts_with("nesting="))
}

/// Checks the caller's privileges for setting or deleting options.
pub(crate) fn check(
    call: &Call<'_>,
    vmid: u32,
    pool: Option<&str>,
    options: &BTreeMap<String, String>,
    unprivileged: bool,
) -> Result<(), Fail> {
    if call.caller.is_root() {
        return Ok(());
    }
    for (key, value) in options {
        if let Some(fail) = only_root(key, value, unprivileged) {
            return Err(fail);
        }
        let privilege = privilege(key);
        let in_pool = pool.is_some_and(|pool| call.may(&format!("/pool/{pool}"), privilege));
        if !in_pool {
            call.require(&format!("/vms/{vmid}"), privilege)?;
        }
        let bridge = value.split(',').find_map(|part| part.strip_prefix("bridge="));
        if let Some(bridge) = bridge.filter(|_| key.starts_with("net")) {
            call.require_bridge(bridge)?;
        }
    }
    Ok(())
}
