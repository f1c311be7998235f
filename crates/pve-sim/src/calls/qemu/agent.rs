//! `/nodes/{node}/qemu/{vmid}/agent`

use serde_json::{Value, json};

use crate::calls::{AgentCall, Handler};
use crate::engine::{Call, Params};
use crate::fail::Fail;
use crate::world::World;

/// The handlers of this file; `rest` is the path below `/nodes/{node}/qemu`.
pub(crate) fn handler(verb: &str, rest: &str) -> Option<Handler> {
    let rest = rest.strip_prefix("/{vmid}/agent")?;
    Some(Handler::Agent(match (verb, rest) {
        ("GET", "") => return Some(Handler::Plain(index)),
        ("POST", "") => any,
        ("GET", "/get-memory-block-info") => |w, p| simple(w, p, "guest-get-memory-block-info"),
        ("GET", "/get-memory-blocks") => |w, p| simple(w, p, "guest-get-memory-blocks"),
        ("POST", "/suspend-disk") => |w, p| simple(w, p, "guest-suspend-disk"),
        ("POST", "/suspend-hybrid") => |w, p| simple(w, p, "guest-suspend-hybrid"),
        ("POST", "/suspend-ram") => |w, p| simple(w, p, "guest-suspend-ram"),
        ("POST", "/set-user-password") => set_password,
        ("POST", "/ping") => |w, p| simple(w, p, "guest-ping"),
        ("GET", "/info") => |w, p| simple(w, p, "guest-info"),
        ("GET", "/get-osinfo") => |w, p| simple(w, p, "guest-get-osinfo"),
        ("GET", "/get-host-name") => |w, p| simple(w, p, "guest-get-host-name"),
        ("GET", "/get-time") => |w, p| simple(w, p, "guest-get-time"),
        ("GET", "/get-timezone") => |w, p| simple(w, p, "guest-get-timezone"),
        ("GET", "/get-users") => |w, p| simple(w, p, "guest-get-users"),
        ("GET", "/get-vcpus") => |w, p| simple(w, p, "guest-get-vcpus"),
        ("GET", "/get-fsinfo") => |w, p| simple(w, p, "guest-get-fsinfo"),
        ("GET", "/network-get-interfaces") => |w, p| simple(w, p, "guest-network-get-interfaces"),
        ("POST", "/fsfreeze-status") => |w, p| simple(w, p, "guest-fsfreeze-status"),
        ("POST", "/fsfreeze-freeze") => |w, p| simple(w, p, "guest-fsfreeze-freeze"),
        ("POST", "/fsfreeze-thaw") => |w, p| simple(w, p, "guest-fsfreeze-thaw"),
        ("POST", "/fstrim") => |w, p| simple(w, p, "guest-fstrim"),
        ("POST", "/shutdown") => |w, p| simple(w, p, "guest-shutdown"),
        ("POST", "/exec") => exec,
        ("GET", "/exec-status") => exec_status,
        ("GET", "/file-read") => file_read,
        ("POST", "/file-write") => file_write,
        _ => return None,
    }))
}

fn index(call: &mut Call<'_>) -> Result<Value, Fail> {
    call.world.vm(call.params.node(), call.params.vmid())?;
    let names = [
        "exec",
        "exec-status",
        "file-read",
        "file-write",
        "fsfreeze-freeze",
        "fsfreeze-status",
        "fsfreeze-thaw",
        "fstrim",
        "get-fsinfo",
        "get-host-name",
        "get-memory-block-info",
        "get-memory-blocks",
        "get-osinfo",
        "get-time",
        "get-timezone",
        "get-users",
        "get-vcpus",
        "info",
        "network-get-interfaces",
        "ping",
        "set-user-password",
        "shutdown",
        "suspend-disk",
        "suspend-hybrid",
        "suspend-ram",
    ];
    Ok(Value::Array(names.iter().map(|name| json!({"name": name})).collect()))
}

/// Refuses a guest without an enabled agent or process (fact 58).
fn available(world: &World, params: &Params) -> Result<u32, Fail> {
    let vmid = params.vmid();
    let guest = world.vm(params.node(), vmid)?;
    if !guest.agent_enabled() {
        return Err(Fail::new("No QEMU guest agent configured"));
    }
    if guest.process.is_none() {
        return Err(Fail::new(format!("VM {vmid} is not running")));
    }
    Ok(vmid)
}

fn ask(vmid: u32, command: &'static str, arguments: Value, shape: fn(Value) -> Value) -> AgentCall {
    AgentCall { vmid, open: None, command, arguments, shape }
}

fn simple(world: &mut World, params: &Params, command: &'static str) -> Result<AgentCall, Fail> {
    let vmid = available(world, params)?;
    Ok(ask(vmid, command, json!({}), |answer| json!({"result": answer})))
}

/// Commands that `POST …/agent` takes by name.
const BY_NAME: &[&str] = &[
    "guest-fsfreeze-freeze",
    "guest-fsfreeze-status",
    "guest-fsfreeze-thaw",
    "guest-fstrim",
    "guest-get-fsinfo",
    "guest-get-host-name",
    "guest-get-memory-block-info",
    "guest-get-memory-blocks",
    "guest-get-osinfo",
    "guest-get-time",
    "guest-get-timezone",
    "guest-get-users",
    "guest-get-vcpus",
    "guest-info",
    "guest-network-get-interfaces",
    "guest-ping",
    "guest-shutdown",
    "guest-suspend-disk",
    "guest-suspend-hybrid",
    "guest-suspend-ram",
];

/// `POST …/agent` with `command=ping` and its like.
fn any(world: &mut World, params: &Params) -> Result<AgentCall, Fail> {
    let wanted = params.text("command");
    let found = BY_NAME.iter().find(|name| name.strip_prefix("guest-") == Some(wanted));
    let command = found.ok_or_else(|| {
        Fail::parameter("command", format!("the agent has no command '{wanted}'"))
    })?;
    simple(world, params, command)
}

/// The password goes to the agent in base64.
fn set_password(world: &mut World, params: &Params) -> Result<AgentCall, Fail> {
    use base64::Engine as _;
    let vmid = available(world, params)?;
    let password = base64::engine::general_purpose::STANDARD.encode(params.text("password"));
    let request = json!({
        "username": params.text("username"), "password": password, "crypted": params.flag("crypted"),
    });
    Ok(ask(vmid, "guest-set-user-password", request, |answer| json!({"result": answer})))
}

fn exec(world: &mut World, params: &Params) -> Result<AgentCall, Fail> {
    let vmid = available(world, params)?;
    let words = match params.lists.get("command") {
        Some(words) => words.clone(),
        // Before 8 it is one text, split at zero bytes.
        None => params.text("command").split('\0').map(str::to_owned).collect(),
    };
    let Some((path, arguments)) = words.split_first() else {
        return Err(Fail::parameter("command", crate::schema::check::MISSING));
    };
    let mut request = json!({"path": path, "arg": arguments, "capture-output": true});
    if let Some(input) = params.get("input-data") {
        use base64::Engine as _;
        request["input-data"] = json!(base64::engine::general_purpose::STANDARD.encode(input));
    }
    Ok(ask(vmid, "guest-exec", request, |answer| json!({"pid": answer["pid"]})))
}

fn exec_status(world: &mut World, params: &Params) -> Result<AgentCall, Fail> {
    let vmid = available(world, params)?;
    let request = json!({"pid": params.number("pid")});
    Ok(ask(vmid, "guest-exec-status", request, shape_exec_status))
}

/// Flags as numbers, output decoded (fact 59).
fn shape_exec_status(answer: Value) -> Value {
    use base64::Engine as _;
    let Value::Object(map) = answer else { return answer };
    let exited = map.get("exited").and_then(Value::as_bool).unwrap_or(false);
    let mut shaped = serde_json::Map::new();
    for (key, value) in map {
        let value = match (&value, key.as_str()) {
            (Value::Bool(flag), _) => json!(u8::from(*flag)),
            (Value::String(text), "out-data" | "err-data") => {
                let bytes =
                    base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
                json!(String::from_utf8_lossy(&bytes))
            }
            _ => value,
        };
        shaped.insert(key, value);
    }
    for name in ["out", "err"] {
        if exited && shaped.contains_key(&format!("{name}-data")) {
            shaped.entry(format!("{name}-truncated")).or_insert(json!(0));
        }
    }
    Value::Object(shaped)
}

/// The most that one call reads. Source: PVE/API2/Qemu/Agent.pm.
const MAX_READ: usize = 16 << 20;

fn file_read(world: &mut World, params: &Params) -> Result<AgentCall, Fail> {
    use base64::Engine as _;
    let vmid = available(world, params)?;
    let shape = |answer: Value| {
        let text = answer["buf-b64"].as_str().unwrap_or_default();
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
        let mut row =
            json!({"content": String::from_utf8_lossy(&bytes), "bytes-read": bytes.len()});
        if answer["eof"] == json!(false) {
            row["truncated"] = json!(1);
        }
        row
    };
    let open = json!({"path": params.text("file"), "mode": "r"});
    let mut call = ask(vmid, "guest-file-read", json!({"count": MAX_READ}), shape);
    call.open = Some(open);
    Ok(call)
}

fn file_write(world: &mut World, params: &Params) -> Result<AgentCall, Fail> {
    use base64::Engine as _;
    let vmid = available(world, params)?;
    let mut content = params.text("content").to_owned();
    // `encode=0` says that the content is base64 already.
    if params.get("encode") != Some("0") {
        content = base64::engine::general_purpose::STANDARD.encode(content);
    }
    let open = json!({"path": params.text("file"), "mode": "wb"});
    let mut call = ask(vmid, "guest-file-write", json!({"buf-b64": content}), |_| Value::Null);
    call.open = Some(open);
    Ok(call)
}
