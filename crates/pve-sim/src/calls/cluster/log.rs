//! `/cluster/log`: the newest events of the cluster. Here they are the starts
//! and ends of tasks.

use serde_json::{Value, json};

use crate::calls::Plain;
use crate::engine::Call;
use crate::fail::Fail;

/// The handlers of this file.
pub(super) fn handler(verb: &str, path: &str) -> Option<Plain> {
    (verb == "GET" && path == "/log").then_some(log)
}

/// How many entries are shown unless the caller wants another number. Source:
/// the schema's default of `max`.
const SHOWN: usize = 50;

fn log(call: &mut Call<'_>) -> Result<Value, Fail> {
    let limit = call.params.number("max").map_or(SHOWN, |max| max as usize);
    let all = call.may("/", "Sys.Syslog");
    let mut events = Vec::new();
    // Two events per task at most: no more tasks than entries are needed.
    for task in call.world.tasks.newest().filter(|task| !task.is_hidden()).take(limit) {
        if !all && task.upid.user != call.caller.id() {
            continue;
        }
        let text = task.upid.text();
        if let (Some(end), Some(exit)) = (task.end, &task.exit) {
            events.push((end.as_secs(), 1, task, format!("end task {text} {exit}")));
        }
        events.push((task.upid.start, 0, task, format!("starting task {text}")));
    }
    events
        .sort_by_key(|(time, order, task, _)| std::cmp::Reverse((*time, task.upid.pstart, *order)));
    let count = events.len();
    let rows = events.into_iter().take(limit).enumerate().map(|(at, (time, _, task, msg))| {
        let uid = (count - at).to_string();
        json!({
            "uid": uid, "id": format!("{uid}:{}", task.upid.node), "node": task.upid.node,
            "time": time, "user": task.upid.user, "tag": "pvedaemon", "pid": task.upid.pid,
            "pri": if msg.ends_with("OK") || msg.starts_with("starting") { 6 } else { 3 }, "msg": msg,
        })
    });
    Ok(rows.collect())
}
