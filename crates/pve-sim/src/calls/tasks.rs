//! `/nodes/{node}/tasks`, and what `/cluster/tasks` shares with it.

use serde_json::{Value, json};

use super::Plain;
use crate::engine::Call;
use crate::fail::Fail;
use crate::schema::Version;
use crate::tasks::{Task, Upid, is_success};

/// The handlers of this file.
pub(crate) fn handler(verb: &str, path: &str) -> Option<Plain> {
    Some(match (verb, path.strip_prefix("/nodes/{node}/tasks")?) {
        ("GET", "") => list,
        ("GET", "/{upid}") => index,
        ("GET", "/{upid}/status") => status,
        ("GET", "/{upid}/log") => log,
        ("DELETE", "/{upid}") => stop,
        _ => return None,
    })
}

/// One task in a list: `status` is the exit text; in the active list the user
/// keeps its token (fact 34).
pub(crate) fn row(task: &Task, active: bool) -> Value {
    let upid = &task.upid;
    let mut row = json!({
        "upid": upid.text(), "node": upid.node, "pid": upid.pid, "pstart": upid.pstart,
        "starttime": upid.start, "type": upid.kind, "id": upid.id, "user": upid.user,
    });
    if active {
        row["saved"] = json!("0");
        row["status"] = json!("RUNNING");
    } else {
        split_user(&mut row, &upid.user);
    }
    if let (Some(end), Some(exit)) = (task.end, &task.exit) {
        row["endtime"] = json!(end.as_secs());
        row["status"] = json!(exit);
    }
    row
}

fn split_user(row: &mut Value, user: &str) {
    if let Some((user, token)) = user.split_once('!') {
        row["user"] = json!(user);
        row["tokenid"] = json!(token);
    }
}

fn own(call: &Call<'_>, task: &Task) -> bool {
    task.upid.user == call.caller.id()
        || task.upid.user.split('!').next() == Some(call.caller.user.as_str())
}

fn list(call: &mut Call<'_>) -> Result<Value, Fail> {
    let params = call.params;
    let node = params.node();
    let all = call.may(&format!("/nodes/{node}"), "Sys.Audit");
    let source = params.get("source").unwrap_or("archive");
    let start = params.number("start").unwrap_or(0) as usize;
    let limit = params.number("limit").unwrap_or(50) as usize;
    let errors = params.flag("errors");
    let statuses: Option<Vec<&str>> =
        params.get("statusfilter").map(|text| text.split([',', ' ', ';']).collect());
    let mut rows = Vec::new();
    let mut total = 0;
    for task in call.world.tasks.of_node(node).filter(|task| !task.is_hidden()) {
        let running = task.is_running();
        let wanted = match source {
            "active" => running,
            "all" => true,
            _ => !running,
        };
        let exit = task.exit.as_deref().unwrap_or_default();
        let fits = wanted
            && (all || own(call, task))
            && params.get("vmid").is_none_or(|vmid| task.upid.id == vmid)
            && params.get("typefilter").is_none_or(|kind| task.upid.kind == kind)
            && params.get("userfilter").is_none_or(|user| task.upid.user.contains(user))
            && params.number("since").is_none_or(|since| task.upid.start >= since)
            && params.number("until").is_none_or(|until| task.upid.start <= until)
            && (!errors || !(running || is_success(exit)))
            && statuses.as_ref().is_none_or(|wanted| wanted.contains(&class(running, exit)));
        if !fits {
            continue;
        }
        total += 1;
        if total > start && rows.len() < limit {
            rows.push(row(task, running));
        }
    }
    // Nothing to count, no count (recorded).
    call.total = (total > 0).then_some(total);
    Ok(Value::Array(rows))
}

fn class(running: bool, exit: &str) -> &'static str {
    match exit {
        _ if running => "unknown",
        "OK" => "ok",
        "unexpected status" => "unknown",
        exit if exit.starts_with("WARNINGS: ") => "warning",
        _ => "error",
    }
}

/// Finds a task; `Err` is the parameter error for a bad or unknown id.
fn find<'a>(call: &'a Call<'_>) -> Result<(u64, &'a Task), Fail> {
    let text = call.params.text("upid");
    let upid =
        Upid::parse(text).ok_or_else(|| Fail::parameter("upid", "unable to parse worker upid"))?;
    let found = call
        .world
        .tasks
        .find(text)
        .filter(|(_, task)| !task.is_hidden() && task.upid.node == call.params.node());
    let (number, task) = found.ok_or_else(|| Fail::parameter("upid", "no such task"))?;
    if !own(call, task) {
        call.require(&format!("/nodes/{}", upid.node), "Sys.Audit")?;
    }
    Ok((number, task))
}

fn index(_: &mut Call<'_>) -> Result<Value, Fail> {
    Ok(json!([{"name": "log"}, {"name": "status"}]))
}

fn status(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (_, task) = find(call)?;
    let upid = &task.upid;
    let mut row = json!({
        "upid": upid.text(), "node": upid.node, "pid": upid.pid, "pstart": upid.pstart, "starttime": upid.start,
        "type": upid.kind, "id": upid.id, "user": upid.user,
        "status": if task.is_running() { "running" } else { "stopped" },
    });
    split_user(&mut row, &upid.user);
    if let Some(exit) = &task.exit {
        row["exitstatus"] = json!(exit);
    }
    Ok(row)
}

fn log(call: &mut Call<'_>) -> Result<Value, Fail> {
    let start = call.params.number("start").unwrap_or(0) as usize;
    let limit = call.params.number("limit").unwrap_or(50) as usize;
    let lines = match find(call) {
        Ok((_, task)) => task.log.clone(),
        // A log without a file is one row; 8.4 forgets the list around it (fact 85).
        Err(fail) if fail.errors.get("upid").is_some_and(|text| text == "no such task") => {
            let row = json!({"n": 1, "t": "unable to open file - No such file or directory"});
            call.total = Some(1);
            return Ok(if call.world.version < Version::V9_2 { row } else { json!([row]) });
        }
        Err(fail) => return Err(fail),
    };
    if lines.is_empty() {
        call.total = Some(1);
        return Ok(json!([{"n": 1, "t": "no content"}]));
    }
    call.total = Some(lines.len());
    let limit = if limit == 0 { usize::MAX } else { limit };
    let rows = lines.iter().enumerate().skip(start).take(limit);
    Ok(Value::Array(rows.map(|(index, text)| json!({"n": index + 1, "t": text})).collect()))
}

fn stop(call: &mut Call<'_>) -> Result<Value, Fail> {
    let (number, task) = find(call)?;
    if !task.is_running() {
        return Ok(Value::Null);
    }
    let own = task.upid.user == call.caller.id();
    if !own {
        call.require(&format!("/nodes/{}", call.params.node()), "Sys.Modify")?;
    }
    // Without the work its effect is under way and can no longer be stopped.
    let Some(task) = call.world.tasks.get_mut(number) else { return Ok(Value::Null) };
    let begun = task.begun;
    let Some(mut work) = task.work.take() else { return Ok(Value::Null) };
    if begun {
        call.ops.extend(work.fail(call.world));
    }
    let now = call.world.now;
    call.world.tasks.end(number, now, work.stopped_text().into());
    if let Some(vmid) = work.locks() {
        call.released.push((number, vmid));
    }
    Ok(Value::Null)
}
