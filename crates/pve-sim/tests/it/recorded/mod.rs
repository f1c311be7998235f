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
mod sample;
mod shape;

/// One exchange.
#[derive(Deserialize)]
pub struct Row {
    pub name: String,
    pub request: Asked,
    pub response: Answered,
    #[serde(default)]
    pub limit: Option<String>,
}

#[derive(Deserialize)]
pub struct Asked {
    pub auth: String,
    pub method: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub headers: BTreeMap<String, String>,
    pub body: Option<String>,
}

#[derive(Deserialize)]
pub struct Answered {
    pub status: u16,
    pub reason: String,
    pub headers: Vec<(String, String)>,
    #[serde(default)]
    pub body: Option<String>,
}

impl Answered {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Prints past the test harness, which swallows `println!` of tests that pass.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A file of the recordings; `None`, after saying so, when it is absent.
fn data(name: &str) -> Option<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        say(&format!("\n*** SKIPPED: {} is absent ***\n", path.display()));
    }
    text
}

pub fn rows(version: &str) -> Option<Vec<Row>> {
    let text = data(&format!("pve-{version}-recorded.jsonl"))?;
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// Whether a row is to be compared.
fn wanted(name: &str, prefixes: Option<&str>) -> bool {
    prefixes.is_none_or(|prefixes| prefixes.split(',').any(|prefix| name.starts_with(prefix)))
}

/// What became of the rows of a recording.
struct Tally {
    version: &'static str,
    prefixes: Option<String>,
    excepted: BTreeMap<String, String>,
    wrong: Vec<String>,
    matched: usize,
    excused: usize,
    skipped: usize,
}

impl Tally {
    fn new(version: &'static str, rows: &[Row]) -> Self {
        let excepted = exceptions::of(version);
        let names: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        let wrong = excepted
            .keys()
            .filter(|name| !names.contains(name.as_str()))
            .map(|name| format!("exception for {name}: there is no such row"))
            .collect();
        let prefixes = std::env::var("PVE_RECORDED").ok();
        Self { version, prefixes, excepted, wrong, matched: 0, excused: 0, skipped: 0 }
    }

    fn count(&mut self, row: &Row, request: &str, differences: &[String]) {
        let (name, version) = (&row.name, self.version);
        if !wanted(name, self.prefixes.as_deref()) {
            return;
        }
        if row.limit.is_some() {
            self.skipped += 1;
            return;
        }
        if self.prefixes.is_some() && !differences.is_empty() {
            say(&format!("\n{name} {version}\n{request}\n  {}", differences.join("\n  ")));
        }
        match (differences.is_empty(), self.excepted.contains_key(name)) {
            (true, false) => self.matched += 1,
            (false, true) => self.excused += 1,
            (true, true) => {
                self.wrong.push(format!("{name} {version}: matches now; remove the exception"));
            }
            (false, false) => {
                self.wrong.push(format!("{name} {version}: {}", differences.join("; ")));
            }
        }
    }

    fn end(self) {
        let Self { version, matched, excused, skipped, wrong, .. } = self;
        say(&format!(
            "recorded exchanges of {version}: {matched} match, {excused} excepted, {skipped} \
             skipped (the recording machine's own), {} wrong",
            wrong.len()
        ));
        assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
    }
}

async fn replay(version: &'static str, played: pve_sim::Version) {
    let Some(rows) = rows(version) else { return };
    let mut tally = Tally::new(version, &rows);
    let mut player = play::Player::start(played, &rows).await;
    for row in &rows {
        let (request, differences) = player.play(row).await;
        tally.count(row, &request, &differences);
    }
    tally.wrong.extend(player.contradictions());
    tally.end();
}

#[tokio::test]
async fn exchanges_of_8_4_are_answered_as_recorded() {
    replay("8.4", pve_sim::Version::V8_4).await;
}

#[tokio::test]
async fn exchanges_of_9_2_are_answered_as_recorded() {
    replay("9.2", pve_sim::Version::V9_2).await;
}
