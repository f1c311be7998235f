//! `/cluster`: what belongs to no single node.

use serde_json::{Value, json};

use super::Plain;
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::Version;

mod acme;
mod config;
pub(crate) mod ha;
mod jobs;
mod log;
mod mapping;
mod metrics;
mod nextid;
mod notifications;
mod options;
pub(crate) mod replication;
mod resources;
mod sdn;
mod sdn_lock;
mod status;

pub(crate) use resources::{guest_row, resources, storage_row, used};

/// The handlers of this folder.
pub(crate) fn handler(verb: &str, path: &str) -> Option<Plain> {
    let rest = path.strip_prefix("/cluster")?;
    if (verb, rest) == ("GET", "") {
        return Some(index);
    }
    let files = [
        status::handler,
        nextid::handler,
        options::handler,
        log::handler,
        config::handler,
        ha::handler,
        jobs::handler,
        replication::handler,
        mapping::handler,
        metrics::handler,
        notifications::handler,
        sdn::handler,
        sdn_lock::handler,
        acme::handler,
    ];
    let found = files.iter().find_map(|handler| handler(verb, rest));
    found.or_else(|| rest.starts_with("/ceph").then_some(super::nodes::no_ceph as Plain))
}

/// A list of names under one key, as the API's directories are.
pub(crate) fn directory(key: &str, names: &[&str]) -> Value {
    names.iter().map(|name| json!({key: name})).collect()
}

fn index(call: &mut Call<'_>) -> Result<Value, Fail> {
    let mut names = vec![
        "acme",
        "backup",
        "backup-info",
        "ceph",
        "config",
        "firewall",
        "ha",
        "jobs",
        "log",
        "mapping",
        "metrics",
        "notifications",
        "nextid",
        "options",
        "replication",
        "resources",
        "status",
        "tasks",
        "sdn",
    ];
    if call.world.version == Version::V9_2 {
        names.extend(["bulk-action", "qemu"]);
    }
    Ok(directory("name", &names))
}
