//! QEMU's control socket: one connection per command, which QEMU serves in turn.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::json_lines::JsonLines;

/// QEMU answers at once unless the machine is overloaded.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Runs one command and returns its `return` member.
pub(super) async fn execute(socket: &Path, command: &str, arguments: Value) -> io::Result<Value> {
    let talk = async {
        let mut lines = JsonLines::connect(socket).await?;
        lines.receive().await?; // the greeting
        ask(&mut lines, "qmp_capabilities", json!({})).await?;
        ask(&mut lines, command, arguments).await
    };
    tokio::time::timeout(ANSWER_WITHIN, talk)
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "QEMU does not answer"))?
}

async fn ask(lines: &mut JsonLines, command: &str, arguments: Value) -> io::Result<Value> {
    let request = json!({ "execute": command, "arguments": arguments });
    lines.send(b"", &request).await?;
    loop {
        let mut answer = lines.receive().await?;
        if let Some(value) = answer.get_mut("return") {
            return Ok(value.take());
        }
        if let Some(error) = answer.get("error") {
            let text = error["desc"].as_str().unwrap_or("unknown error");
            return Err(io::Error::other(format!("{command}: {text}")));
        }
        // Anything else is an event.
    }
}
