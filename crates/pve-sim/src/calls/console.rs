//! Consoles: what `vncproxy`, `termproxy` and `spiceproxy` of guests and
//! nodes answer, and the question whether a websocket may be opened.

use std::time::Duration;

use serde_json::{Value, json};

use super::Plain;
use crate::engine::{Call, authenticate};
use crate::fail::Fail;
use crate::schema::Version;
use crate::tasks::{Done, Step, Work};
use crate::world::World;
use crate::world::guest::Kind;

/// The handlers of this file.
pub(crate) fn handler(verb: &str, path: &str) -> Option<Plain> {
    let rest = path.strip_prefix("/nodes/{node}")?;
    Some(match (verb, rest) {
        ("POST", "/qemu/{vmid}/vncproxy" | "/lxc/{vmid}/vncproxy") => guest_vnc,
        ("POST", "/qemu/{vmid}/termproxy" | "/lxc/{vmid}/termproxy") => guest_terminal,
        ("POST", "/qemu/{vmid}/spiceproxy" | "/lxc/{vmid}/spiceproxy") => guest_spice,
        ("POST", "/vncshell") => |call| vnc(call, "vncshell", ""),
        ("POST", "/termproxy") => |call| terminal(call, "vncshell", ""),
        ("POST", "/spiceshell") => |call| spice(call, "spiceshell", ""),
        ("GET", "/vncwebsocket" | "/qemu/{vmid}/vncwebsocket" | "/lxc/{vmid}/vncwebsocket") => open,
        _ => return None,
    })
}

/// What answers behind a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// The RFB protocol; after the greeting everything is echoed.
    Vnc,
    /// A terminal; what is typed is echoed.
    Terminal,
}

/// A console that waits for its client.
#[derive(Debug, Clone)]
pub(crate) struct Console {
    pub port: u16,
    pub protocol: Protocol,
    /// Who may open it: `user@realm` or `user@realm!token`.
    pub user: String,
    /// The ticket that was given out.
    pub ticket: String,
}

/// The ports that Proxmox gives to consoles.
const PORTS: std::ops::Range<u16> = 5900..6000;
/// How long the worker waits for its client.
const PATIENCE: Duration = Duration::from_secs(10);

/// The path whose privileges open the console.
fn path(call: &Call<'_>) -> String {
    match call.params.get("vmid") {
        Some(vmid) => format!("/vms/{vmid}"),
        None => format!("/nodes/{}", call.params.node()),
    }
}

/// The worker behind a console: it waits for its client, who may come or not.
struct Waits {
    patient: bool,
}

impl Work for Waits {
    fn finish(
        &mut self,
        _world: &mut World,
        _log: &mut Vec<String>,
        _done: &[Done],
    ) -> Result<Step, String> {
        if std::mem::take(&mut self.patient) { Ok(Step::Again(PATIENCE)) } else { Ok(Step::Done) }
    }
}

/// A new console with its port and ticket.
fn prepare(call: &mut Call<'_>, protocol: Protocol) -> Console {
    let consoles = &mut call.world.consoles;
    if consoles.len() >= PORTS.len() {
        consoles.pop_front();
    }
    let port = PORTS
        .clone()
        .find(|port| !consoles.iter().any(|console| console.port == *port))
        .unwrap_or(PORTS.start);
    let (user, path) = (call.caller.id(), path(call));
    let ticket = authenticate::issue_console(call.world, &user, &path, port);
    Console { port, protocol, user, ticket }
}

fn begin(call: &mut Call<'_>, kind: &str, id: &str, console: &Console) -> Value {
    let upid = call.task(kind, id, Waits { patient: true });
    call.world.consoles.push_back(console.clone());
    json!({"user": console.user, "ticket": console.ticket, "port": console.port.to_string(), "upid": upid})
}

fn vnc(call: &mut Call<'_>, kind: &str, id: &str) -> Result<Value, Fail> {
    let mut console = prepare(call, Protocol::Vnc);
    // From 8 on a password of its own goes before the ticket (fact 71).
    let prefixed = call.world.version >= Version::V8_4;
    let bits = call.world.random();
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#";
    let password: String =
        (0..8).map(|at| char::from(letters[((bits >> (at * 6)) & 63) as usize])).collect();
    if prefixed {
        console.ticket = format!("{password}:{}", console.ticket);
    }
    let mut row = begin(call, kind, id, &console);
    row["cert"] = json!(call.world.certificate);
    let given = !call.params.flag("websocket") || !id.is_empty();
    if call.params.flag("generate-password") || (prefixed && given) {
        row["password"] = json!(password);
    }
    Ok(row)
}

fn terminal(call: &mut Call<'_>, kind: &str, id: &str) -> Result<Value, Fail> {
    let console = prepare(call, Protocol::Terminal);
    Ok(begin(call, kind, id, &console))
}

/// A connection file for a SPICE client; there is no SPICE server behind it.
fn spice(call: &mut Call<'_>, kind: &str, id: &str) -> Result<Value, Fail> {
    let node = call.params.node().to_owned();
    let proxy = call.params.get("proxy").map_or_else(
        || call.world.nodes.get(&node).map_or_else(String::new, |node| node.address.clone()),
        str::to_owned,
    );
    let random = (call.world.random(), call.world.random());
    call.task(kind, id, Waits { patient: true });
    let title = if id.is_empty() { format!("Shell on '{node}'") } else { format!("VM {id}") };
    Ok(json!({
        "type": "spice", "title": title, "proxy": format!("http://{proxy}:3128"), "tls-port": 61000,
        "host": format!("pvespiceproxy:{:08X}:{id}:{node}::{:016x}", call.world.now.as_secs(), random.0),
        "password": format!("{:016x}{:016x}", random.0, random.1), "ca": call.world.certificate.replace('\n', "\\n"),
        "host-subject": format!("OU=PVE Cluster Node,O=Proxmox Virtual Environment,CN={node}"),
        "delete-this-file": 1, "secure-attention": "Ctrl+Alt+Ins", "toggle-fullscreen": "Shift+F11",
        "release-cursor": "Ctrl+Alt+R",
    }))
}

/// The guest that a call names: whether it runs, and what its screen is.
fn guest(call: &Call<'_>) -> Result<(Kind, bool, String), Fail> {
    let (node, vmid) = (call.params.node(), call.params.vmid());
    let guest = call.world.guests.get(&vmid).filter(|guest| guest.node == node);
    let guest = guest.ok_or_else(|| Fail::new(crate::world::no_config(node, vmid)))?;
    let vga = guest.config.get("vga").map(|text| text.split(',').next().unwrap_or_default());
    let vga = vga.map_or("std", |kind| kind.strip_prefix("type=").unwrap_or(kind));
    Ok((guest.kind, guest.process.is_some(), vga.to_owned()))
}

fn guest_vnc(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (kind, running, _) = guest(call)?;
    if !running && kind == Kind::Qemu {
        // Nothing ever listens: Proxmox waits a while and gives up.
        return Err(Fail::new("Timeout while waiting for port '5900' to get ready!"));
    }
    let id = call.params.text("vmid").to_owned();
    vnc(call, "vncproxy", &id)
}

fn guest_terminal(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (kind, _, vga) = guest(call)?;
    let id = call.params.text("vmid").to_owned();
    if kind == Kind::Qemu {
        let config = call.world.guests.get(&call.params.vmid()).map(|guest| &guest.config);
        let has = |name: &str| config.is_some_and(|config| config.contains_key(name));
        if let Some(serial) = call.params.get("serial") {
            if !has(serial) {
                return Err(Fail::parameter("serial", "serial interface not defined"));
            }
        } else if !vga.starts_with("serial") && !(0..4).any(|at| has(&format!("serial{at}"))) {
            return Err(Fail::new("unable to find a serial interface"));
        }
    }
    terminal(call, "vncproxy", &id)
}

fn guest_spice(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (kind, running, vga) = guest(call)?;
    let id = call.params.text("vmid").to_owned();
    if !running {
        let word = if kind == Kind::Qemu { "VM" } else { "CT" };
        return Err(Fail::new(format!("{word} {id} not running")));
    }
    if kind == Kind::Qemu && !vga.starts_with("qxl") {
        return Err(Fail::new("no spice port"));
    }
    spice(call, "spiceproxy", &id)
}

/// Whether a websocket may be opened: the ticket fits caller, path and port.
/// A token's own name is not what the websocket is checked against, so that
/// tokens are refused, as by Proxmox.
fn open(call: &mut Call<'_>) -> Result<Value, Fail> {
    let refused = || Fail::with(401, "permission denied - invalid PVEVNC ticket");
    let port = call.params.number("port").unwrap_or_default();
    let (ticket, path) = (call.params.text("vncticket"), path(call));
    let world = &*call.world;
    let fits = call.caller.token.is_none()
        && authenticate::verify_console(world, ticket, &call.caller.user, &path, Some(port));
    if !fits {
        return Err(refused());
    }
    Ok(json!({"port": port.to_string()}))
}
