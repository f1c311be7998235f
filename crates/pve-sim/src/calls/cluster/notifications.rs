//! `/cluster/notifications`: where notifications go. Nothing is sent.

use serde_json::{Value, json};

use super::directory;
use crate::calls::Plain;
use crate::calls::sections::Spec;
use crate::engine::Call;
use crate::fail::Fail;
use crate::world::sections::Section;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    let rest = path.strip_prefix("/notifications")?;
    if let Some(tail) = rest.strip_prefix("/endpoints/") {
        return endpoint(verb, tail);
    }
    Some(match (verb, rest) {
        ("GET", "") => |_| {
            Ok(directory(
                "name",
                &["endpoints", "matchers", "targets", "matcher-fields", "matcher-field-values"],
            ))
        },
        ("GET", "/endpoints") => {
            |_| Ok(directory("name", &["gotify", "sendmail", "smtp", "webhook"]))
        }
        ("GET", "/targets") => targets,
        ("POST", "/targets/{name}/test") => test_target,
        ("GET", "/matcher-fields") => |_| Ok(directory("name", &["type", "hostname", "job-id"])),
        ("GET", "/matcher-field-values") => field_values,
        ("GET", "/matchers") => matchers,
        ("POST", "/matchers") => |call| MATCHERS.create(call),
        ("GET", "/matchers/{name}") => {
            |call| MATCHERS.read(call).or_else(|fail| built_in_matcher(call, fail))
        }
        ("PUT", "/matchers/{name}") => |call| MATCHERS.update(call),
        ("DELETE", "/matchers/{name}") => |call| MATCHERS.delete(call),
        _ => return None,
    })
}

/// The handlers of one kind of endpoint: they differ in the file alone.
macro_rules! crud {
    ($verb:expr, $tail:expr, $spec:ident) => {
        match ($verb, $tail) {
            ("GET", "") => |call| list(call, &$spec),
            ("POST", "") => |call| $spec.create(call),
            ("GET", "/{name}") => |call| read(call, &$spec),
            ("PUT", "/{name}") => |call| $spec.update(call),
            ("DELETE", "/{name}") => |call| $spec.delete(call),
            _ => return None,
        }
    };
}

fn endpoint(verb: &str, tail: &str) -> Option<Plain> {
    let (kind, tail) = tail.split_at(tail.find('/').unwrap_or(tail.len()));
    Some(match kind {
        "gotify" => crud!(verb, tail, GOTIFY),
        "sendmail" => crud!(verb, tail, SENDMAIL),
        "smtp" => crud!(verb, tail, SMTP),
        "webhook" => crud!(verb, tail, WEBHOOK),
        _ => return None,
    })
}

const fn spec(file: &'static str, create: &'static str) -> Spec {
    Spec {
        file,
        id: "name",
        create,
        kind: None,
        secret: &["token", "password", "secret"],
        taken: |id| {
            Fail::new(format!(
                "could not save configuration: endpoint with name '{id}' already exists"
            ))
        },
        // The library behind these calls answers 404 (source: proxmox-notify).
        missing: |id, _| Fail::with(404, format!("endpoint '{id}' not found")),
    }
}

const GOTIFY: Spec = spec("notifications/gotify", "/cluster/notifications/endpoints/gotify");
const SENDMAIL: Spec = spec("notifications/sendmail", "/cluster/notifications/endpoints/sendmail");
const SMTP: Spec = spec("notifications/smtp", "/cluster/notifications/endpoints/smtp");
const WEBHOOK: Spec = spec("notifications/webhook", "/cluster/notifications/endpoints/webhook");
const MATCHERS: Spec = Spec {
    missing: |id, _| Fail::with(404, format!("matcher '{id}' not found")),
    ..spec("notifications/matcher", "/cluster/notifications/matchers")
};

/// The endpoint that every installation has.
fn mail_to_root() -> Value {
    json!({
        "name": "mail-to-root", "origin": "builtin", "comment": "Send mails to root@pam's email address",
        "mailto-user": ["root@pam"],
    })
}

fn list(call: &mut Call<'_>, spec: &Spec) -> Result<Value, Fail> {
    let Value::Array(mut rows) = spec.list(call)? else { return Ok(json!([])) };
    for row in &mut rows {
        row["origin"] = json!("user-created");
        if let Some(map) = row.as_object_mut() {
            map.remove("digest");
        }
    }
    let shadowed = rows.iter().any(|row| row["name"] == "mail-to-root");
    if spec.file == SENDMAIL.file && !shadowed {
        rows.push(mail_to_root());
    }
    Ok(Value::Array(rows))
}

fn read(call: &mut Call<'_>, spec: &Spec) -> Result<Value, Fail> {
    match spec.read(call) {
        Err(_) if spec.file == SENDMAIL.file && call.params.text("name") == "mail-to-root" => {
            let mut row = mail_to_root();
            row["digest"] = json!(call.world.sections.digest(spec.file));
            Ok(row)
        }
        other => other,
    }
}

fn default_matcher() -> Value {
    json!({
        "name": "default-matcher", "origin": "builtin", "comment": "Route all notifications to mail-to-root",
        "mode": "all", "target": ["mail-to-root"],
    })
}

fn built_in_matcher(call: &Call<'_>, fail: Fail) -> Result<Value, Fail> {
    if call.params.text("name") == "default-matcher" { Ok(default_matcher()) } else { Err(fail) }
}

fn matchers(call: &mut Call<'_>) -> Result<Value, Fail> {
    let Value::Array(mut rows) = list(call, &MATCHERS)? else { return Ok(json!([])) };
    if !rows.iter().any(|row| row["name"] == "default-matcher") {
        rows.push(default_matcher());
    }
    Ok(Value::Array(rows))
}

fn targets(call: &mut Call<'_>) -> Result<Value, Fail> {
    let mut found = Vec::new();
    for (kind, spec) in
        [("gotify", &GOTIFY), ("sendmail", &SENDMAIL), ("smtp", &SMTP), ("webhook", &WEBHOOK)]
    {
        let Value::Array(rows) = list(call, spec)? else { continue };
        for row in rows {
            let mut target = json!({"name": row["name"], "type": kind, "origin": row["origin"]});
            if let Some(comment) = row.get("comment") {
                target["comment"] = comment.clone();
            }
            found.push(target);
        }
    }
    Ok(Value::Array(found))
}

fn test_target(call: &mut Call<'_>) -> Result<Value, Fail> {
    let name = call.params.text("name").to_owned();
    let Value::Array(rows) = targets(call)? else { return Ok(Value::Null) };
    if rows.iter().any(|row| row["name"] == name) {
        Ok(Value::Null)
    } else {
        Err((GOTIFY.missing)(&name, crate::calls::sections::Act::Read))
    }
}

fn field_values(call: &mut Call<'_>) -> Result<Value, Fail> {
    let mut rows: Vec<Value> = ["package-updates", "replication", "vzdump", "fencing"]
        .iter()
        .map(|value| json!({"field": "type", "value": value}))
        .collect();
    rows.extend(call.world.nodes.keys().map(|node| json!({"field": "hostname", "value": node})));
    let jobs = call.world.sections.all("jobs");
    let of_job = |(id, _): (&String, &Section)| json!({"field": "job-id", "value": id});
    rows.extend(jobs.map(of_job));
    Ok(Value::Array(rows))
}
