//! The API's methods, one file per area. A handler gets checked parameters and
//! a locked world; what takes time becomes a task or an operation of the backend.

use serde_json::Value;

use crate::engine::{Call, Params};
use crate::fail::Fail;
use crate::schema::{Method, Table};
use crate::world::World;
use crate::world::access::Caller;

pub(crate) mod access;
pub(crate) mod backup;
pub(crate) mod cluster;
pub(crate) mod console;
pub(crate) mod firewall;
pub(crate) mod guests;
pub(crate) mod index;
pub(crate) mod lxc;
pub(crate) mod nodes;
pub(crate) mod pools;
pub(crate) mod qemu;
pub(crate) mod rrd;
pub(crate) mod sections;
pub(crate) mod storage;
pub(crate) mod tasks;

/// A method that works on the world.
pub(crate) type Plain = fn(&mut Call<'_>) -> Result<Value, Fail>;
/// A method that asks the guest agent.
pub(crate) type Agent = fn(&mut World, &Params) -> Result<AgentCall, Fail>;

/// A method that writes the JSON text of its answer itself.
pub(crate) type Written = fn(&World, &Params, &Caller) -> Result<String, Fail>;

/// What to ask the guest agent, and how to show the answer.
pub(crate) struct AgentCall {
    pub vmid: u32,
    /// Arguments of a `guest-file-open` that comes first; its handle is added to
    /// the command's arguments, and closed afterwards.
    pub open: Option<Value>,
    pub command: &'static str,
    pub arguments: Value,
    pub shape: fn(Value) -> Value,
}

/// How a method is carried out.
#[derive(Clone, Copy)]
pub(crate) enum Handler {
    Plain(Plain),
    Agent(Agent),
    Written(Written),
    /// Lists the names below the path, out of the schema.
    Index(&'static Table, &'static Method),
}

/// The handler of a method of a table: its own, or the index of a path with
/// fixed names below it.
pub(crate) fn handler_of(table: &'static Table, method: &'static Method) -> Option<Handler> {
    handler(&method.verb, &method.path).or_else(|| {
        let names = (method.verb == "GET").then(|| table.children(&method.path)).flatten();
        names.filter(|names| !names.is_empty()).map(|_| Handler::Index(table, method))
    })
}

/// The handler of a method, by verb and path template.
pub(crate) fn handler(verb: &str, path: &str) -> Option<Handler> {
    if (verb, path) == ("GET", "/cluster/resources") {
        return Some(Handler::Written(cluster::resources));
    }
    let area = path.trim_start_matches('/');
    let plain = match area.split('/').next().unwrap_or_default() {
        "version" => Some(nodes::version as Plain),
        "access" => access::handler(verb, path),
        "cluster" => cluster::handler(verb, path).or_else(|| firewall::handler(verb, path)),
        "pools" => pools::handler(verb, path),
        "storage" => storage::handler(verb, path),
        "nodes" => {
            if let Some(found) = console::handler(verb, path) {
                Some(found)
            } else if let Some(rest) = path.strip_prefix("/nodes/{node}/qemu") {
                if let Some(agent) = qemu::agent::handler(verb, rest) {
                    return Some(agent);
                }
                qemu::handler(verb, rest).or_else(|| firewall::handler(verb, path))
            } else if let Some(rest) = path.strip_prefix("/nodes/{node}/lxc") {
                lxc::handler(verb, rest).or_else(|| firewall::handler(verb, path))
            } else if let Some(handler) = backup::handler(verb, path) {
                Some(handler)
            } else if path.starts_with("/nodes/{node}/storage") {
                storage::handler(verb, path)
            } else if path.starts_with("/nodes/{node}/tasks") {
                tasks::handler(verb, path)
            } else {
                nodes::handler(verb, path).or_else(|| firewall::handler(verb, path))
            }
        }
        _ => None,
    };
    plain.map(Handler::Plain)
}

/// Whether a call changes a guest's configuration itself, so that it must wait
/// while a worker holds the lock file.
pub(crate) fn waits_for_lock(verb: &str, path: &str) -> bool {
    if let Some(rest) = path.strip_prefix("/nodes/{node}/lxc/{vmid}/") {
        return matches!((verb, rest), ("PUT", "config") | ("POST", "template"));
    }
    let Some(rest) = path.strip_prefix("/nodes/{node}/qemu/{vmid}/") else { return false };
    matches!((verb, rest), ("PUT", "config" | "unlink") | ("POST", "template" | "move_disk"))
}

/// Whether a lock timeout shows in the task rather than in the answer (fact 75).
pub(crate) fn fails_in_task(verb: &str, path: &str) -> bool {
    let Some(rest) = path.strip_prefix("/nodes/{node}/qemu/{vmid}") else { return false };
    matches!(
        (verb, rest.trim_start_matches('/')),
        ("DELETE", "")
            | (
                "POST",
                "config" | "status/start" | "status/stop" | "status/shutdown" | "status/reboot"
            )
            | ("PUT", "resize")
            | (
                "POST" | "DELETE",
                "snapshot" | "snapshot/{snapname}" | "snapshot/{snapname}/rollback"
            )
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::schema::Version;

    /// Methods that had a handler when the tables began to hold all methods.
    const AT_LEAST: usize = 120;

    #[test]
    fn methods_without_a_handler_are_listed() {
        for version in Version::ALL {
            let table = Table::of(version);
            let (done, left): (Vec<_>, Vec<_>) =
                table.methods.iter().partition(|method| handler_of(table, method).is_some());
            println!("{version:?}: {} methods are simulated, {} are not:", done.len(), left.len());
            for method in left {
                println!("  {} {}", method.verb, method.path);
            }
            assert!(done.len() >= AT_LEAST, "{}", done.len());
        }
    }

    #[test]
    fn every_path_of_the_tables_is_found_and_gives_its_parameters() {
        for version in Version::ALL {
            let table = Table::of(version);
            for (index, method) in table.methods.iter().enumerate() {
                let concrete = method.path.replace('{', "x-").replace('}', "");
                let (found, given) = table.find(&method.verb, &concrete).unwrap();
                assert_eq!(found, index, "{} {}", method.verb, method.path);
                assert_eq!(given.len(), method.path.matches('{').count(), "{}", method.path);
                for (name, _) in given {
                    let known = method.open || method.parameter(&name).is_some();
                    assert!(known, "{} {name}", method.path);
                }
            }
        }
    }
}
