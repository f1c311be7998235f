//! `/cluster/nextid`

use serde_json::{Value, json};

use super::options;
use crate::calls::Plain;
use crate::engine::Call;
use crate::fail::Fail;
use crate::world::guest::Kind;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    (verb == "GET" && path == "/nextid").then_some(next_id)
}

/// The range to look in unless the options say otherwise. Source: the option
/// `next-id` of `/cluster/options`.
const RANGE: (u32, u32) = (100, 1_000_000);

fn next_id(call: &mut Call<'_>) -> Result<Value, Fail> {
    if let Some(wanted) = call.params.get("vmid") {
        return match call.world.guests.get(&call.params.vmid()) {
            Some(guest) => {
                let kind = if guest.kind == Kind::Qemu { "VM" } else { "CT" };
                Err(Fail::parameter("vmid", format!("{kind} {wanted} already exists")))
            }
            None => Ok(json!(wanted)),
        };
    }
    let set = call.world.options.get("next-id").map(|text| options::parts(text));
    let bound = |name: &str, default: u32| {
        let given = set.as_ref().and_then(|set| set.get(name));
        given.and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (lower, upper) = (bound("lower", RANGE.0), bound("upper", RANGE.1));
    let free = (lower..upper).find(|vmid| !call.world.guests.contains_key(vmid));
    free.map(|vmid| json!(vmid.to_string())).ok_or_else(|| {
        Fail::new(format!(
            "unable to get any free VMID in range [{lower}, {}]",
            upper.saturating_sub(1)
        ))
    })
}
