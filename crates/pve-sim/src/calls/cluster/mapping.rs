//! `/cluster/mapping`: devices and directories that guests name instead of
//! what each node calls them.

use serde_json::{Value, json};

use super::directory;
use crate::calls::Plain;
use crate::calls::sections::{Act, Spec};
use crate::engine::Call;
use crate::fail::Fail;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    let rest = path.strip_prefix("/mapping")?;
    if (verb, rest) == ("GET", "") {
        return Some(|_| Ok(directory("name", &["dir", "pci", "usb"])));
    }
    let (kind, tail) = rest.strip_prefix('/')?.split_at_checked(3)?;
    Some(match (verb, kind, tail) {
        ("GET", "pci", "") => |call| list(call, &PCI),
        ("GET", "usb", "") => |call| list(call, &USB),
        ("GET", "dir", "") => |call| list(call, &DIR),
        ("POST", "pci", "") => |call| PCI.create(call),
        ("POST", "usb", "") => |call| USB.create(call),
        ("POST", "dir", "") => |call| DIR.create(call),
        ("GET", "pci", "/{id}") => |call| read(call, &PCI),
        ("GET", "usb", "/{id}") => |call| read(call, &USB),
        ("GET", "dir", "/{id}") => |call| read(call, &DIR),
        ("PUT", "pci", "/{id}") => |call| PCI.update(call),
        ("PUT", "usb", "/{id}") => |call| USB.update(call),
        ("PUT", "dir", "/{id}") => |call| DIR.update(call),
        ("DELETE", "pci", "/{id}") => |call| delete(call, &PCI),
        ("DELETE", "usb", "/{id}") => |call| delete(call, &USB),
        ("DELETE", "dir", "/{id}") => |call| delete(call, &DIR),
        _ => return None,
    })
}

const PCI: Spec = Spec {
    file: "mapping/pci",
    id: "id",
    create: "/cluster/mapping/pci",
    kind: None,
    secret: &[],
    taken: |id| Fail::new(format!("create hardware mapping failed: pci ID '{id}' already defined")),
    missing: |id, act| missing("pci", id, act),
};

const USB: Spec = Spec {
    file: "mapping/usb",
    id: "id",
    create: "/cluster/mapping/usb",
    kind: None,
    secret: &[],
    taken: |id| Fail::new(format!("create hardware mapping failed: usb ID '{id}' already defined")),
    missing: |id, act| missing("usb", id, act),
};

const DIR: Spec = Spec {
    file: "mapping/dir",
    id: "id",
    create: "/cluster/mapping/dir",
    kind: None,
    secret: &[],
    taken: |id| Fail::new(format!("create dir mapping failed: dir ID '{id}' already defined")),
    missing: |id, act| missing("dir", id, act),
};

fn missing(kind: &str, id: &str, act: Act) -> Fail {
    Fail::new(match act {
        Act::Read => format!("mapping '{id}' not found"),
        Act::Update => format!("update hardware mapping failed: {kind} ID '{id}' does not exist"),
        Act::Delete => format!("delete hardware mapping failed: {kind} ID '{id}' does not exist"),
    })
}

fn list(call: &mut Call<'_>, spec: &Spec) -> Result<Value, Fail> {
    let world = &*call.world;
    let privileges = ["Mapping.Audit", "Mapping.Modify", "Mapping.Use"];
    let seen = world
        .sections
        .all(spec.file)
        .filter(|(id, _)| world.may_any(call.caller, &format!("/{}/{id}", spec.file), &privileges));
    let check = call.params.get("check-node").is_some();
    let rows = seen.map(|(id, section)| {
        let mut row = spec.show(world, id, section);
        if check {
            row["checks"] = json!([]);
        }
        row
    });
    Ok(rows.collect())
}

fn read(call: &mut Call<'_>, spec: &Spec) -> Result<Value, Fail> {
    spec.read(call)
}

/// Removing what is not there is no error (source: `PVE/API2/Cluster/Mapping/PCI.pm`).
fn delete(call: &mut Call<'_>, spec: &Spec) -> Result<Value, Fail> {
    let id = call.params.text(spec.id);
    call.world.sections.remove(spec.file, id);
    Ok(Value::Null)
}
