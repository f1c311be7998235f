//! Which guests a backup job is about.

use std::collections::BTreeSet;

use crate::engine::Call;
use crate::fail::Fail;

/// The guests of a job, and whether it was asked for them by name.
#[derive(Debug)]
pub(super) struct Selection {
    pub vmids: Vec<u32>,
    /// Guests of other nodes were left out and none is left.
    pub elsewhere: bool,
}

/// The ids in a list parameter.
fn ids(call: &Call<'_>, name: &str) -> Result<Vec<u32>, Fail> {
    let text = call.params.get(name).unwrap_or_default();
    let parts = text.split([',', ';', ' ', '\n']).filter(|part| !part.is_empty());
    let parse = |part: &str| {
        part.parse::<u32>().ok().filter(|id| (100..=999_999_999).contains(id)).ok_or_else(|| {
            Fail::parameter(
                name,
                "invalid format - value does not look like a valid VM ID\n".to_owned(),
            )
        })
    };
    parts.map(parse).collect()
}

/// Reads `vmid`, `all`, `exclude` and `pool`.
pub(super) fn select(call: &Call<'_>) -> Result<Selection, Fail> {
    let node = call.params.node();
    let given = ids(call, "vmid")?;
    let exclude: BTreeSet<u32> = ids(call, "exclude")?.into_iter().collect();
    let all = call.params.flag("all") || !exclude.is_empty();
    let pool = call.params.get("pool");
    if given.is_empty() && !all && pool.is_none() {
        return Err(Fail::parameter("vmid", "property is missing"));
    }
    if call.params.flag("all") && !given.is_empty() {
        return Err(Fail::parameter("all", "option conflicts with option 'vmid'"));
    }
    if !exclude.is_empty() && !given.is_empty() {
        return Err(Fail::parameter("exclude", "option conflicts with option 'vmid'"));
    }
    let named: Vec<u32> = match pool {
        Some(pool) => {
            let found = call.world.pools.get(pool);
            let found = found.ok_or_else(|| Fail::new(format!("no such pool '{pool}'")))?;
            found.guests.iter().copied().collect()
        }
        None if all => call.world.guests_of(node).map(|guest| guest.vmid).collect(),
        None => given,
    };
    let asked = named.len();
    let here = |vmid: &u32| call.world.guests.get(vmid).is_none_or(|guest| guest.node == node);
    let mut vmids: Vec<u32> =
        named.into_iter().filter(here).filter(|vmid| !exclude.contains(vmid)).collect();
    let mut seen = BTreeSet::new();
    vmids.retain(|vmid| seen.insert(*vmid));
    for vmid in &vmids {
        call.require(&format!("/vms/{vmid}"), "VM.Backup")?;
    }
    let elsewhere = vmids.is_empty() && asked > 0 && !all;
    Ok(Selection { vmids, elsewhere })
}
