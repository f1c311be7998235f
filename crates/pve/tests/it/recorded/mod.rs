//! Answers recorded on running servers, where they are at hand: the client
//! reads all of them, by the typed call where there is one, and every refusal
//! is judged as such.

mod access;
mod cluster;
mod guests;
mod nodes;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use pve::{ApiPath, Client, Error, Method, methods};
use serde::Deserialize;

use crate::server::{Act, Server, soon};

/// What a typed call said; `None` when there is none for the request.
type Typed = Option<Result<(), Error>>;

/// Answers that the client does not read, and why. One that it reads all the
/// same fails the test.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("proxmox/compute/nodes#2", "the recording of the picture is cut after 20,000 characters"),
    ("proxmox/compute/nodes#1", "the recording of the figures is cut after 20,000 characters"),
];

#[derive(Deserialize)]
struct Row {
    name: String,
    request: Asked,
    response: Answered,
}

#[derive(Deserialize)]
struct Asked {
    method: String,
    path: String,
}

#[derive(Clone, Deserialize)]
struct Answered {
    status: u16,
    reason: String,
    #[serde(default)]
    body: Option<String>,
}

fn rows(file: &str) -> Option<Vec<Row>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = folder.join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        // Not `eprintln!`, which the test harness swallows.
        let mut stderr = std::io::stderr();
        let _ = writeln!(stderr, "\n*** SKIPPED: {} is absent ***\n", path.display());
        return None;
    };
    let rows = text.lines().map(|line| serde_json::from_str(line).unwrap());
    Some(rows.collect())
}

/// Calls the typed method for a recorded request.
async fn typed(client: &Client, method: &str, path: &str) -> Typed {
    let path = path.strip_prefix("/api2/json/")?.trim_end_matches('/');
    // What no client sends has no typed call.
    if path.contains("//") || path.starts_with('/') {
        return None;
    }
    let decoded: Vec<String> = path
        .split('/')
        .map(|part| percent_encoding::percent_decode_str(part).decode_utf8().unwrap().into())
        .collect();
    let parts: Vec<&str> = decoded.iter().map(String::as_str).collect();
    let (first, rest) = parts.split_first()?;
    match (method, *first, rest) {
        ("GET", "version", []) => Some(client.version().await.map(drop)),
        ("GET", "nodes", []) => Some(client.nodes().await.map(drop)),
        (_, "nodes", [node, rest @ ..]) => nodes::call(client, node, method, rest).await,
        (_, "cluster", _) => cluster::call(&client.cluster(), method, rest).await,
        (_, "access", _) => access::call(&client.access(), method, rest).await,
        (_, "pools", _) => cluster::pools(client, method, rest).await,
        (_, "storage", _) => nodes::storages(client, method, rest).await,
        _ => None,
    }
}

/// How an answer was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// By a method with types.
    Typed,
    /// By the table of methods.
    Table,
    /// By path.
    Path,
    /// Under a path that a client can send: the recorded one it cannot.
    Elsewhere,
}

/// Reads the answer to a request that has no typed call.
async fn generic(client: &Client, asked: &Asked) -> (Way, Result<(), Error>) {
    let verb = Method::from_bytes(asked.method.as_bytes()).unwrap();
    let path = asked.path.strip_prefix("/api2/json/").unwrap_or_default().trim_end_matches('/');
    let plain = !path.is_empty() && !path.contains("//") && !path.starts_with('/');
    let reads = |reply: pve::Reply| reply.value().map(drop);
    let segments: Vec<String> = path
        .split('/')
        .map(|part| percent_encoding::percent_decode_str(part).decode_utf8().unwrap().into())
        .collect();
    if let Some(method) = methods::of_path(&verb, path).filter(|_| plain) {
        let literal = method.path().split('/').skip(1);
        let values: Vec<(String, String)> = literal
            .zip(&segments)
            .filter_map(|(own, given)| {
                let name = own.strip_prefix('{')?.strip_suffix('}')?;
                Some((name.to_owned(), given.clone()))
            })
            .collect();
        let result = soon(client.call(method, values, ())).await.and_then(reads);
        return (Way::Table, result);
    }
    let (way, path) = match plain {
        true => (Way::Path, ApiPath::new(&segments)),
        false => (Way::Elsewhere, ApiPath::from("version")),
    };
    let verb = if verb == Method::HEAD { Method::GET } else { verb };
    (way, soon(client.request(verb, path, ())).await.and_then(reads))
}

/// A refusal must be classed by its status, and keep its text.
fn fault_in_refusal(row: &Row, error: &Error) -> Option<String> {
    let Answered { status, reason, .. } = &row.response;
    let fits = match status {
        401 => matches!(error, Error::Unauthenticated(_)),
        595..=599 => matches!(error, Error::Ambiguous { .. } | Error::Unavailable { .. }),
        _ => {
            let refused = matches!(
                error,
                Error::Rejected(_) | Error::Busy { .. } | Error::Unavailable { .. }
            );
            refused && !error.may_have_happened() && error.to_string().contains(reason.as_str())
        }
    };
    let missing =
        *status == 500 && (reason.contains("does not exist") || reason.contains("no such user"));
    let named = *status == 400
        && row.response.body.as_deref().is_some_and(|body| body.contains("\"errors\""));
    let kind = (!missing || error.is_not_found())
        && (!reason.contains("already exists") || error.already_exists())
        && (!named || error.invalid_parameters().next().is_some());
    (!fits || !kind).then(|| format!("{status} {reason}: judged as {error:?}"))
}

fn fault(row: &Row, result: Result<(), Error>) -> Option<String> {
    match result {
        Ok(()) if row.response.status < 300 => None,
        Ok(()) => Some(format!("status {} was read as success", row.response.status)),
        Err(error) if row.response.status >= 400 => fault_in_refusal(row, &error),
        Err(error) => {
            let body = row.response.body.as_deref().unwrap_or_default();
            let begin: String = body.chars().take(200).collect();
            let end: String = body.chars().rev().take(30).collect();
            let end: String = end.chars().rev().collect();
            Some(format!("{error}: {begin} … {end}"))
        }
    }
}

async fn replay(file: &str, at_least_typed: usize) {
    let Some(rows) = rows(file) else {
        return;
    };
    let current: Arc<Mutex<Answered>> = Arc::new(Mutex::new(rows[0].response.clone()));
    let shown = current.clone();
    let server = Server::start(move |_| {
        let answered = shown.lock().unwrap().clone();
        let body = answered.body.unwrap_or_default();
        Act::Send(crate::server::answer(answered.status, &answered.reason, &body))
    })
    .await;
    let mut config = server.config();
    config.retry = None;
    let client = Client::new(config).unwrap();
    let mut ways: BTreeMap<Way, usize> = BTreeMap::new();
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
    for row in &rows {
        *current.lock().unwrap() = row.response.clone();
        let result = soon(typed(&client, &row.request.method, &row.request.path)).await;
        let (way, result) = match result {
            Some(result) => (Way::Typed, result),
            None => generic(&client, &row.request).await,
        };
        *ways.entry(way).or_default() += 1;
        let excepted = EXCEPTIONS.iter().find(|(name, _)| *name == row.name);
        match (fault(row, result), excepted) {
            (Some(_), Some((name, _))) => drop(used.insert(*name)),
            (Some(fault), None) => faults.push(format!("{}: {fault}", row.name)),
            (None, _) => {}
        }
    }
    // Several rows of the sample have the same name.
    let named = |name: &str| rows.iter().any(|row| row.name == name);
    for (name, _) in EXCEPTIONS.iter().filter(|(name, _)| named(name) && !used.contains(name)) {
        faults.push(format!("{name}: the exception is not needed"));
    }
    // Not `eprintln!`, which the test harness swallows.
    let _ = writeln!(std::io::stderr(), "{file}: {} answers: {ways:?}", rows.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(ways.get(&Way::Typed).is_some_and(|count| *count >= at_least_typed), "{ways:?}");
}

#[tokio::test]
async fn answers_of_8_4_are_read() {
    replay("pve-8.4-recorded.jsonl", 740).await;
}

#[tokio::test]
async fn answers_of_9_2_are_read() {
    replay("pve-9.2-recorded.jsonl", 740).await;
}

#[tokio::test]
async fn answers_of_releases_5_to_7_are_read() {
    replay("pve-traffic-sample.jsonl", 200).await;
}
