//! The sample of exchanges with releases 5 to 7, answered by the simulator as 7.4.
//!
//! The sample's rows are out of many sessions, with what lay between them left
//! out. So `sample.txt` says what has to happen before them:
//!
//! - `scene NAME`: a new machine;
//! - `12`: row 12 of the file (from 0), after everything that runs has ended;
//!   `12 now`: at once;
//! - `wait 10`: that many seconds pass;
//! - `METHOD PATH [BODY]`: sent before the next row; `=> TEXT` at its end: the
//!   task or backup in the answer is what the recording calls TEXT.
//!
//! Node names are the recording machines'; here the node is `pve`.

use std::collections::BTreeMap;
use std::time::Duration;

use pve_sim::Version;
use serde_json::Value;

use super::play::{PASSWORD, Player};
use super::{Answered, Asked, Row, Tally};
use crate::support::Client;

/// 2023-05-11, when the newest rows were recorded.
const BEGUN: u64 = 1_683_810_000;

/// The node's name in the recordings becomes that of the simulator.
fn node(text: &str) -> String {
    let mut text = text.replace("proxmox-noris", "pve");
    for around in ["/nodes/{}/", "'nodes/{}/", "node '{}'", "UPID:{}:"] {
        text = text.replace(&around.replace("{}", "proxmox"), &around.replace("{}", "pve"));
    }
    text
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    value.as_array().into_iter().flatten().map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

fn escaped(text: &str) -> String {
    const PLAIN: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
    percent_encoding::utf8_percent_encode(text, PLAIN).to_string()
}

fn row(index: usize, line: &str) -> Row {
    let row: Value = serde_json::from_str(line).unwrap();
    let (asked, answered) = (&row["request"], &row["response"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let refused = answered["status"] == 401;
    let mut headers = BTreeMap::new();
    let auth = match asked["auth"].as_str().unwrap() {
        "ticket+csrf" => {
            headers.insert("CSRFPreventionToken".into(), String::new());
            "ticket"
        }
        "token" if refused => "wrong token",
        other => other,
    };
    let body: Vec<String> = pairs(&asked["body"])
        .into_iter()
        .map(|(key, value)| {
            let known = key == "password" && asked["path"] == "/api2/json/access/ticket";
            let value = if known && !refused { PASSWORD.into() } else { value };
            format!("{}={}", escaped(&key), escaped(&value))
        })
        .collect();
    let reason = text(&answered["reason"]);
    if reason.starts_with("chunked") {
        headers.insert("Transfer-Encoding".into(), "chunked".into());
    }
    let kind = answered["headers"]["Content-Type"][0].as_str();
    Row {
        name: index.to_string(),
        request: Asked {
            auth: auth.into(),
            method: text(&asked["method"]),
            path: node(&text(&asked["path"])),
            query: pairs(&asked["query"]).into_iter().collect(),
            headers,
            body: (!body.is_empty()).then(|| body.join("&")),
        },
        response: Answered {
            status: u16::try_from(answered["status"].as_u64().unwrap()).unwrap(),
            reason: node(&reason),
            headers: kind.map(|kind| ("Content-Type".into(), kind.into())).into_iter().collect(),
            body: Some(node(&text(&answered["body"]))),
        },
        limit: None,
    }
}

async fn machine() -> Player {
    let mut player = Player::with(Version::V7_4, include_str!("sample.toml"), BEGUN).await;
    player.tokens.insert("token", "root@pam!root1=right".into());
    player.tokens.insert("wrong token", "root@pam!root1=wrong".into());
    player
}

/// Sends a line of the script: `METHOD PATH [BODY] [=> TEXT]`.
async fn prepare(player: &mut Player, line: &str) -> Result<(), String> {
    let (request, name) = match line.split_once(" => ") {
        Some((request, name)) => (request, Some(name)),
        None => (line, None),
    };
    let mut parts = request.splitn(3, ' ');
    let (method, path) = (parts.next().unwrap(), parts.next().unwrap());
    let body = parts.next().or((matches!(method, "POST" | "PUT")).then_some(""));
    // A ticket, as most rows have: some things root may not do with a token.
    let simulator = player.simulator.clone();
    let client = Client::with_password(&simulator, "root@pam", PASSWORD).await;
    let answer = client.send(method, path, body).await;
    if answer.status != 200 {
        return Err(format!("preparation: {line}: {} {}", answer.line(), answer.body));
    }
    simulator.settle().await;
    if let Some(name) = name {
        let here = [&player.task_ids, &player.backups];
        let here = here.into_iter().find_map(|pattern| pattern.find(&answer.body));
        let here = here.ok_or_else(|| format!("preparation: {line}: nothing in {answer:?}"))?;
        player.names.push((name.to_owned(), here.as_str().to_owned()));
    }
    Ok(())
}

#[tokio::test]
async fn exchanges_of_5_to_7_are_answered_by_7_4_as_recorded() {
    let Some(text) = super::data("pve-traffic-sample.jsonl") else { return };
    let rows: Vec<Row> = text.lines().enumerate().map(|(index, line)| row(index, line)).collect();
    let mut tally = Tally::new("7.4", &rows);
    let mut player = machine().await;
    let mut left: std::collections::BTreeSet<usize> = (0..rows.len()).collect();
    let script = include_str!("sample.txt").lines();
    for line in script.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with("scene ") {
            tally.wrong.extend(player.contradictions());
            player = machine().await;
        } else if let Some(seconds) = line.strip_prefix("wait ") {
            player.simulator.advance(Duration::from_secs(seconds.parse().unwrap())).await;
        } else if line.starts_with(|first: char| first.is_ascii_digit()) {
            let (index, now) = line.split_once(' ').unwrap_or((line, ""));
            let index: usize = index.parse().unwrap();
            assert!(left.remove(&index), "row {index} is played twice");
            if now.is_empty() {
                player.simulator.settle().await;
            }
            let (request, differences) = player.play(&rows[index]).await;
            tally.count(&rows[index], &request, &differences);
        } else {
            tally.wrong.extend(prepare(&mut player, line).await.err());
        }
    }
    assert!(left.is_empty(), "rows that are not played: {left:?}");
    tally.wrong.extend(player.contradictions());
    tally.end();
}
