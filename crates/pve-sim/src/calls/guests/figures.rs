//! The figures that lists and `status/current` of both kinds of guests share.

use serde_json::{Map, Value, json};

use crate::world::World;
use crate::world::guest::Guest;

/// What is the same for virtual machines and containers.
pub(crate) fn common(world: &World, guest: &Guest) -> Map<String, Value> {
    let process = guest.process.as_ref();
    let uptime = process.map_or(0, |process| world.now.saturating_sub(process.since).as_secs());
    let mut row = Map::new();
    let mut set = |key: &str, value: Value| row.insert(key.to_owned(), value);
    set("vmid", json!(guest.vmid));
    set("name", json!(guest.name()));
    set("status", json!(guest.status()));
    set("maxmem", json!(guest.memory()));
    set("uptime", json!(uptime));
    for counter in ["cpu", "netin", "netout"] {
        set(counter, json!(0));
    }
    if let Some(process) = process {
        set("pid", json!(process.pid));
    }
    if guest.is_template() {
        set("template", json!(1));
    }
    if let Some(tags) = guest.config.get("tags") {
        set("tags", json!(tags));
    }
    if let Some(lock) = guest.lock() {
        set("lock", json!(lock));
    }
    row
}
