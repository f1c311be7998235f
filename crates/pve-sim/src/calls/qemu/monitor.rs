//! The human monitor and keys: `POST …/monitor`, `PUT …/sendkey`.

use serde_json::{Value, json};

use crate::engine::Call;
use crate::fail::Fail;
use crate::world::guest::Guest;

/// `POST …/monitor`: what QEMU's monitor prints, or the error in its place.
pub(crate) fn monitor(call: &mut Call<'_>) -> Result<Value, Fail> {
    let vmid = call.params.vmid();
    let guest = call.world.vm(call.params.node(), vmid)?;
    if guest.process.is_none() {
        return Ok(json!(format!("ERROR: VM {vmid} not running\n")));
    }
    Ok(json!(printed(guest, call.params.text("command").trim())))
}

fn printed(guest: &Guest, command: &str) -> String {
    let paused = guest.process.as_ref().is_some_and(|process| process.paused);
    match command {
        "info status" => {
            let state = if paused { "paused" } else { "running" };
            format!("VM status: {state}\r\n")
        }
        "info name" => format!("{}\r\n", guest.name()),
        "info version" => "9.2.0pve-qemu-kvm_9.2.0-7\r\n".into(),
        "info uuid" => {
            let smbios = guest.config.get("smbios1").map_or("", String::as_str);
            let uuid = smbios.split(',').find_map(|part| part.strip_prefix("uuid="));
            format!("{}\r\n", uuid.unwrap_or("No UUID"))
        }
        _ if command.starts_with("info ") || command == "help" => String::new(),
        _ => {
            let name = command.split_whitespace().next().unwrap_or_default();
            format!("unknown command: '{name}'\r\n")
        }
    }
}

/// Names of keys beside letters and digits. Source: QEMU's `QKeyCode`.
const KEYS: &[&str] = &[
    "shift",
    "shift_r",
    "alt",
    "alt_r",
    "ctrl",
    "ctrl_r",
    "meta_l",
    "meta_r",
    "menu",
    "esc",
    "minus",
    "equal",
    "backspace",
    "tab",
    "ret",
    "spc",
    "caps_lock",
    "num_lock",
    "scroll_lock",
    "sysrq",
    "print",
    "home",
    "pgup",
    "pgdn",
    "end",
    "left",
    "up",
    "down",
    "right",
    "insert",
    "delete",
    "pause",
    "comma",
    "dot",
    "slash",
    "semicolon",
    "apostrophe",
    "grave_accent",
    "backslash",
    "bracket_left",
    "bracket_right",
    "less",
    "asterisk",
    "f1",
    "f2",
    "f3",
    "f4",
    "f5",
    "f6",
    "f7",
    "f8",
    "f9",
    "f10",
    "f11",
    "f12",
];

fn is_key(name: &str) -> bool {
    let mut letters = name.chars();
    let single = matches!((letters.next(), letters.next()), (Some(one), None) if one.is_ascii_alphanumeric());
    single || KEYS.contains(&name) || name.starts_with("kp_") || name.starts_with("0x")
}

/// `PUT …/sendkey`: a bad key is a 400 without text or body (recorded).
pub(crate) fn sendkey(call: &mut Call<'_>) -> Result<Value, Fail> {
    let vmid = call.params.vmid();
    super::check_skiplock(call)?;
    let guest = call.world.vm(call.params.node(), vmid)?;
    if guest.process.is_none() {
        return Err(Fail::new(format!("VM {vmid} not running")));
    }
    if call.params.text("key").split('-').all(is_key) {
        return Ok(Value::Null);
    }
    Err(Fail::with(400, ""))
}
