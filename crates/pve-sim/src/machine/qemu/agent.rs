//! The guest agent's socket.
//!
//! The channel is a serial line: what an earlier, abandoned command left in it
//! is still there. So each connection starts with `guest-sync-delimited`, whose
//! answer the agent precedes with a 0xFF byte (QEMU's documentation of the
//! agent's protocol).

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::json_lines::JsonLines;
use crate::machine::AgentError;

/// How long the agent may take to wake up; a guest without KVM is slow.
const SYNC_WITHIN: Duration = Duration::from_secs(5);
/// How long one command may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Commands after which the agent says nothing when they succeed.
const SILENT: [&str; 4] =
    ["guest-shutdown", "guest-suspend-disk", "guest-suspend-ram", "guest-suspend-hybrid"];
/// How long a silent command may take to fail.
const REFUSAL_WITHIN: Duration = Duration::from_secs(2);

/// Runs one command and returns its `return` member.
pub(super) async fn execute(
    socket: &Path,
    command: &str,
    arguments: Value,
) -> Result<Value, AgentError> {
    let mut lines = tokio::time::timeout(SYNC_WITHIN, synchronise(socket))
        .await
        .map_err(|_| AgentError::NotRunning)?
        .map_err(|_| AgentError::NotRunning)?;
    let mut request = json!({ "execute": command });
    if arguments.as_object().is_some_and(|map| !map.is_empty()) {
        request["arguments"] = arguments;
    }
    let silent = SILENT.contains(&command);
    let within = if silent { REFUSAL_WITHIN } else { ANSWER_WITHIN };
    let talk = async {
        lines.send(b"", &request).await?;
        lines.receive().await
    };
    match tokio::time::timeout(within, talk).await {
        Ok(Ok(answer)) => unwrap_answer(answer),
        // The guest went away while it carried the command out.
        Err(_) | Ok(Err(_)) if silent => Ok(json!({})),
        Err(_) => Err(AgentError::Timeout),
        Ok(Err(_)) => Err(AgentError::NotRunning),
    }
}

fn unwrap_answer(mut answer: Value) -> Result<Value, AgentError> {
    if let Some(error) = answer.get("error") {
        let text = error["desc"].as_str().unwrap_or("unknown error");
        return Err(AgentError::Error(text.to_owned()));
    }
    match answer.get_mut("return") {
        Some(value) => Ok(value.take()),
        None => Err(AgentError::Error("the agent sent no result".into())),
    }
}

async fn synchronise(socket: &Path) -> io::Result<JsonLines> {
    let mut lines = JsonLines::connect(socket).await?;
    let id = i64::from(RandomState::new().hash_one(()) as u32);
    let request = json!({ "execute": "guest-sync-delimited", "arguments": { "id": id } });
    // 0xFF resets the agent's parser, should half a command lie before it.
    lines.send(b"\xff", &request).await?;
    loop {
        lines.skip_past(0xff).await?;
        let answer = lines.receive().await?;
        if answer.get("return").and_then(Value::as_i64) == Some(id) {
            return Ok(lines);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

    /// An agent that first sends the rest of an old answer, then serves one command.
    async fn serve(listener: tokio::net::UnixListener, answer: &'static str) {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"\"old\": 1}\n{\"return\": {}}\n").await.unwrap();
        let mut reader = BufReader::new(stream);
        assert_eq!(reader.read_u8().await.unwrap(), 0xff);
        let mut line = String::new();
        reader.read_line(&mut line).await.unwrap();
        let sync: Value = serde_json::from_str(&line).unwrap();
        let id = &sync["arguments"]["id"];
        let stale = format!("{{\"return\": {}}}\n", id.as_i64().unwrap() - 1);
        let fresh = format!("{{\"return\": {id}}}\n");
        let sent = [b"\xff", stale.as_bytes(), b"\xff", fresh.as_bytes()].concat();
        reader.get_mut().write_all(&sent).await.unwrap();
        line.clear();
        reader.read_line(&mut line).await.unwrap();
        reader.get_mut().write_all(answer.as_bytes()).await.unwrap();
    }

    async fn ask(answer: &'static str) -> Result<Value, AgentError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let agent = tokio::spawn(serve(listener, answer));
        let result = execute(&path, "guest-info", json!({})).await;
        agent.await.unwrap();
        result
    }

    #[tokio::test]
    async fn leftovers_of_an_earlier_command_are_skipped() {
        let answer = ask("{\"return\": {\"version\": \"7\"}}\n").await.unwrap();
        assert_eq!(answer["version"], "7");
    }

    #[tokio::test]
    async fn the_agents_own_error_keeps_its_text() {
        let error =
            ask("{\"error\": {\"class\": \"GenericError\", \"desc\": \"no such thing\"}}\n")
                .await
                .unwrap_err();
        assert_eq!(error, AgentError::Error("no such thing".into()));
    }

    #[tokio::test]
    async fn no_socket_means_no_agent() {
        let error =
            execute(Path::new("/nonexistent/s"), "guest-ping", json!({})).await.unwrap_err();
        assert_eq!(error, AgentError::NotRunning);
    }
}
