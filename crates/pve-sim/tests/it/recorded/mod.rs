//! The exchanges recorded on running servers, replayed: the simulator must
//! answer every request with the recorded status, reason text and body shape.
//!
//! Every difference is listed with its reason in `exceptions/*.txt`
//! (`NAME VERSIONS REASON`, for instance `qemu.config 8.4,9.2 not yet`). A new
//! difference fails the test, and so does an exception that is not needed any
//! more. Rows with a `limit` member answer for the machine that they were
//! recorded on and not for Proxmox: they are sent, but not compared.
//!
//! `PVE_RECORDED=lxc. cargo test -p pve-sim --test it recorded -- --nocapture`
//! compares only the rows whose names begin with `lxc.` (several prefixes:
//! separate them with commas), prints each difference with request and answer,
//! excepted ones too, and fails if there is any that is not excepted.
//!
//! The recordings are not part of this repository; where they are absent the
//! tests say so and check nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::PathBuf;

use serde::Deserialize;

mod exceptions;
mod play;
mod shape;

/// One exchange.
#[derive(Deserialize)]
struct Row {
    name: String,
    request: Asked,
    response: Answered,
    #[serde(default)]
    limit: Option<String>,
}

#[derive(Deserialize)]
struct Asked {
    auth: String,
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Option<String>,
}

#[derive(Deserialize)]
struct Answered {
    status: u16,
    reason: String,
    headers: Vec<(String, String)>,
    #[serde(default)]
    body: Option<String>,
}

impl Answered {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Prints past the test harness, which swallows `println!` of tests that pass.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn rows(version: &str) -> Option<Vec<Row>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = folder.join(format!("pve-{version}-recorded.jsonl"));
    let Ok(text) = std::fs::read_to_string(&path) else {
        say(&format!("\n*** SKIPPED: {} is absent ***\n", path.display()));
        return None;
    };
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// Whether a row is to be compared.
fn wanted(name: &str, prefixes: Option<&str>) -> bool {
    prefixes.is_none_or(|prefixes| prefixes.split(',').any(|prefix| name.starts_with(prefix)))
}

async fn replay(version: &str, played: pve_sim::Version) {
    let Some(rows) = rows(version) else { return };
    let prefixes = std::env::var("PVE_RECORDED").ok();
    let excepted = exceptions::of(version);
    let names: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    let mut wrong: Vec<String> = excepted
        .keys()
        .filter(|name| !names.contains(name.as_str()))
        .map(|name| format!("exception for {name}: there is no such row"))
        .collect();
    let mut player = play::Player::start(played, &rows).await;
    let (mut matched, mut excused, mut skipped) = (0, 0, 0);
    for row in &rows {
        let (request, differences) = player.play(row).await;
        if !wanted(&row.name, prefixes.as_deref()) {
            continue;
        }
        if row.limit.is_some() {
            skipped += 1;
            continue;
        }
        if prefixes.is_some() && !differences.is_empty() {
            say(&format!("\n{} {version}\n{request}\n  {}", row.name, differences.join("\n  ")));
        }
        match (differences.is_empty(), excepted.contains_key(&row.name)) {
            (true, false) => matched += 1,
            (false, true) => excused += 1,
            (true, true) => {
                wrong.push(format!("{} {version}: matches now; remove the exception", row.name));
            }
            (false, false) => {
                wrong.push(format!("{} {version}: {}", row.name, differences.join("; ")));
            }
        }
    }
    say(&format!(
        "recorded exchanges of {version}: {matched} match, {excused} excepted, {skipped} skipped \
         (the recording machine's own), {} wrong",
        wrong.len()
    ));
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn exchanges_of_8_4_are_answered_as_recorded() {
    replay("8.4", pve_sim::Version::V8_4).await;
}

#[tokio::test]
async fn exchanges_of_9_2_are_answered_as_recorded() {
    replay("9.2", pve_sim::Version::V9_2).await;
}
