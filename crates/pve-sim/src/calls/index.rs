//! `GET` of a path that has only fixed names below it: Proxmox lists the names.

use serde_json::{Value, json};

use crate::schema::{Method, Table};

/// What the names are called in an index. Source: recorded answers; others
/// call them `subdir`.
fn key(path: &str) -> &'static str {
    match path {
        "/cluster/ha" | "/cluster/sdn" => "id",
        "/nodes/{node}/hardware" => "type",
        "/nodes/{node}/scan" => "method",
        "/cluster"
        | "/nodes/{node}"
        | "/cluster/config"
        | "/cluster/mapping"
        | "/nodes/{node}/disks"
        | "/nodes/{node}/capabilities"
        | "/nodes/{node}/tasks/{upid}" => "name",
        _ if path.ends_with("/firewall") || path.ends_with("/agent") => "name",
        _ => "subdir",
    }
}

/// The names below a path.
pub(crate) fn list(table: &Table, method: &Method) -> Value {
    let key = key(&method.path);
    let names = table.children(&method.path).unwrap_or_default();
    names.into_iter().map(|name| json!({ key: name })).collect()
}
