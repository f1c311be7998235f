//! `/cluster/acme`: certificates from a certificate authority. Accounts are
//! listed, never registered: there is no authority here.

use serde_json::{Value, json};

use super::directory;
use crate::calls::Plain;
use crate::calls::sections::Spec;
use crate::engine::Call;
use crate::fail::Fail;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path.strip_prefix("/acme")?) {
        ("GET", "") => |_| {
            Ok(directory(
                "name",
                &["account", "tos", "meta", "directories", "plugins", "challenge-schema"],
            ))
        },
        ("GET", "/account") => |_| Ok(json!([])),
        ("GET", "/account/{name}") => no_account,
        ("GET", "/plugins") => plugins,
        ("POST", "/plugins") => |call| PLUGINS.create(call),
        ("GET", "/plugins/{id}") => |call| PLUGINS.read(call),
        ("PUT", "/plugins/{id}") => |call| PLUGINS.update(call),
        ("DELETE", "/plugins/{id}") => |call| PLUGINS.delete(call),
        ("GET", "/directories") => directories,
        ("GET", "/challenge-schema") => |_| Ok(json!([])),
        _ => return None,
    })
}

const PLUGINS: Spec = Spec {
    file: "acme/plugins",
    id: "id",
    create: "/cluster/acme/plugins",
    kind: Some("type"),
    secret: &[],
    taken: |id| Fail::new(format!("ACME plugin ID '{id}' already exists")),
    missing: |id, _| Fail::new(format!("ACME plugin '{id}' not defined")),
};

fn plugins(call: &mut Call<'_>) -> Result<Value, Fail> {
    let Value::Array(mut rows) = PLUGINS.list(call)? else { return Ok(json!([])) };
    for row in &mut rows {
        row["plugin"] = row["id"].clone();
    }
    let wanted = call.params.get("type");
    rows.push(json!({"plugin": "standalone", "type": "standalone"}));
    rows.retain(|row| wanted.is_none_or(|kind| row["type"] == kind));
    Ok(Value::Array(rows))
}

fn no_account(call: &mut Call<'_>) -> Result<Value, Fail> {
    let name = call.params.get("name").unwrap_or("default");
    Err(Fail::parameter("name", format!("ACME account config file '{name}' does not exist.")))
}

fn directories(_: &mut Call<'_>) -> Result<Value, Fail> {
    Ok(json!([
        {"name": "Let's Encrypt V2", "url": "https://acme-v02.api.letsencrypt.org/directory"},
        {"name": "Let's Encrypt V2 Staging", "url": "https://acme-staging-v02.api.letsencrypt.org/directory"},
    ]))
}
