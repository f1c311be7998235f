//! Every answer that a test gets is compared with what the schema says of it.
//!
//! Where Proxmox itself contradicts its schema, `answers/exceptions.txt` says
//! so: `VERSIONS METHOD PATH PLACE REASON`. A reason that begins with
//! `recorded` is checked against the recordings, where they are present.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use pve_sim::{Mismatch, Simulator, Version, check_answer};
use serde_json::Value;

use crate::recorded;

/// Version, method, path and place, to the reason.
type Exceptions = BTreeMap<(Version, String), String>;

fn exceptions() -> &'static Exceptions {
    static READ: OnceLock<Exceptions> = OnceLock::new();
    READ.get_or_init(|| {
        let text = include_str!("answers/exceptions.txt");
        let mut found = Exceptions::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let parts: Vec<&str> = line.splitn(5, ' ').collect();
            let [versions, verb, path, at, reason] = parts[..] else {
                panic!("expected VERSIONS METHOD PATH PLACE REASON: {line}");
            };
            for version in versions.split(',') {
                let version = match version {
                    "7.4" => Version::V7_4,
                    "8.4" => Version::V8_4,
                    "9.2" => Version::V9_2,
                    other => panic!("there is no version {other}: {line}"),
                };
                let before = found.insert((version, format!("{verb} {path} {at}")), reason.into());
                assert!(before.is_none(), "excepted twice: {line}");
            }
        }
        found
    })
}

fn key(found: &Mismatch) -> (Version, String) {
    (found.version, format!("{} {} {}", found.verb, found.path, found.at))
}

/// What answers of the simulator contradicted in the schema, exceptions left out.
pub fn contradictions(simulator: &Simulator) -> Vec<String> {
    let found = simulator.mismatches().into_iter();
    let found = found.filter(|one| !exceptions().contains_key(&key(one)));
    found.map(|one| one.to_string()).collect()
}

/// Fails the test when an answer of the simulator contradicted the schema.
pub fn judge(simulator: &Simulator) {
    let wrong = contradictions(simulator);
    assert!(wrong.is_empty(), "answers contradict the schema:\n{}", wrong.join("\n"));
}

/// What recorded answers contradict in the schema, each place once.
fn recorded_mismatches(version: Version, rows: &[recorded::Row]) -> BTreeSet<(Version, String)> {
    let mut found = BTreeSet::new();
    for row in rows.iter().filter(|row| row.response.status == 200) {
        let Some(path) = row.request.path.strip_prefix("/api2/json") else { continue };
        let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
        let body = row.response.body.as_deref().unwrap_or_default();
        let Ok(body) = serde_json::from_str::<Value>(body) else { continue };
        let path = path.replace("//", "/");
        let all = check_answer(version, &row.request.method, &path, &body["data"]);
        found.extend(all.iter().map(key));
    }
    found
}

#[test]
fn what_is_called_recorded_was_recorded() {
    for (name, version) in [("8.4", Version::V8_4), ("9.2", Version::V9_2)] {
        let Some(rows) = recorded::rows(name) else { continue };
        let seen = recorded_mismatches(version, &rows);
        let claimed = exceptions()
            .iter()
            .filter(|((of, _), reason)| *of == version && reason.starts_with("recorded"));
        let wrong: Vec<&String> = claimed
            .map(|(place, _)| place)
            .filter(|place| !seen.contains(*place))
            .map(|(_, place)| place)
            .collect();
        assert!(wrong.is_empty(), "{name}: not in the recordings: {wrong:#?}");
        if std::env::var_os("PVE_ANSWERS").is_some() {
            let unknown = seen.iter().filter(|place| !exceptions().contains_key(*place));
            for (_, place) in unknown {
                recorded::say(&format!("{name} {place} recorded"));
            }
        }
    }
}
