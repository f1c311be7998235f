//! Events as they happen, and who asked for what.

use std::sync::Arc;
use std::time::Duration;

use api::{ConnectionLimits, native, serve};
use client::wire::{AuditQuery, CreateInstance, EventQuery};
use model::Role;
use model::time::ManualClock;
use serde_json::Value;
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::support::{Doors, call};

/// One event of a stream.
#[derive(Debug)]
struct Sent {
    id: Option<u64>,
    kind: String,
    data: Value,
}

/// A reader of a stream.
struct Reader(Lines<BufReader<TcpStream>>);

impl Reader {
    async fn open(address: SocketAddr, path: &str, token: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\
             accept: text/event-stream\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        let status = lines.next_line().await.unwrap().unwrap();
        assert!(status.contains(" 200 "), "{status}");
        Self(lines)
    }

    /// The next event; the sizes of chunks and comments are passed over.
    async fn next(&mut self) -> Option<Sent> {
        let (mut id, mut kind) = (None, String::new());
        loop {
            let line = tokio::time::timeout(Duration::from_secs(20), self.0.next_line());
            let line = line.await.expect("an event in time").unwrap()?;
            match line.split_once(": ") {
                Some(("id", text)) => id = text.parse().ok(),
                Some(("event", text)) => kind = text.to_owned(),
                Some(("data", text)) => {
                    return Some(Sent { id, kind, data: serde_json::from_str(text).unwrap() });
                }
                _ => {}
            }
        }
    }

    async fn until(&mut self, kind: &str) -> Vec<Sent> {
        let mut seen = Vec::new();
        loop {
            let sent = self.next().await.unwrap_or_else(|| panic!("no {kind} after {seen:?}"));
            let last = sent.kind == kind;
            seen.push(sent);
            if last {
                return seen;
            }
        }
    }
}

fn request(name: &str) -> CreateInstance {
    let mut request = CreateInstance::new(name, "debian");
    (request.cores, request.memory_bytes) = (Some(1), Some(1 << 30));
    request
}

#[tokio::test]
async fn a_creation_is_followed_and_taken_up_where_it_broke() {
    let doors = Doors::open().await;
    let client = doors.client("default", Role::Member).await;
    let token = doors.token("default", Role::Member, None).await;
    let theirs = doors.token("theirs", Role::Reader, None).await;
    let mut reader = Reader::open(doors.native, "/v1/events", &token, "").await;
    let mut other = Reader::open(doors.native, "/v1/events", &theirs, "").await;
    let made = client.create_instance(&request("web-1")).await.unwrap();
    let seen = reader.until("operation.succeeded").await;
    let of = |sent: &Sent, key: &str| sent.data[key].as_str().map(str::to_owned);
    assert!(seen.iter().any(|sent| sent.kind == "instance.created"), "{seen:?}");
    assert!(seen.iter().any(|sent| sent.kind == "operation.running"), "{seen:?}");
    for sent in &seen {
        assert_eq!(of(sent, "instance"), Some(made.instance.to_string()), "{sent:?}");
        assert_eq!(sent.data["sequence"].as_u64(), sent.id, "{sent:?}");
    }
    assert!(seen.windows(2).all(|pair| pair[0].id < pair[1].id), "{seen:?}");
    // Taken up after the first, it shows the rest again, and nothing else.
    drop(reader);
    let last = format!("last-event-id: {}\r\n", seen[0].id.unwrap());
    let path = format!("/v1/events?instance={}", made.instance);
    let mut reader = Reader::open(doors.native, &path, &token, &last).await;
    let again = reader.until("operation.succeeded").await;
    let ids = |list: &[Sent]| list.iter().map(|sent| sent.id).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(&seen[1..]));
    let listed = client.events(&EventQuery::default()).await.unwrap().events;
    let listed: Vec<_> = listed.iter().map(|event| Some(event.sequence)).collect();
    assert_eq!(listed[..seen.len()], ids(&seen));
    // Another project has seen nothing of it.
    let own = doors.client("theirs", Role::Member).await;
    let made = own.create_instance(&request("db-1")).await.unwrap();
    let first = other.next().await.unwrap();
    assert_eq!(of(&first, "instance"), Some(made.instance.to_string()), "{first:?}");
}

#[tokio::test]
async fn a_stream_ends_with_its_token_and_with_the_house_and_says_so() {
    let doors = Doors::open().await;
    let (id, secret) = doors.token_row("default", Role::Reader, None).await;
    let token = secrecy::ExposeSecret::expose_secret(&secret).to_owned();
    let mut reader = Reader::open(doors.native, "/v1/events", &token, "").await;
    doors.test.house.revoke_token(&doors.test.admin(), id).await.unwrap();
    let cut = reader.until("cut").await.pop().unwrap();
    assert_eq!(cut.data["reason"], "the token has ended");
    assert!(reader.next().await.is_none());
    let token = doors.token("default", Role::Reader, None).await;
    let mut reader = Reader::open(doors.native, "/v1/events", &token, "").await;
    doors.test.house.close();
    let cut = reader.until("cut").await.pop().unwrap();
    assert_eq!(cut.data["reason"], "the server closes");
}

#[tokio::test]
async fn a_reader_that_does_not_keep_up_is_cut_and_told_where_to_go_on() {
    let doors = Doors::open().await;
    let clock = ManualClock::at(doors.test.core.clock.now());
    let limits = native::Limits { streams: 1, ..native::Limits::default() };
    let router =
        native::router(Arc::clone(&doors.test.house), Arc::new(clock.clone()), limits).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, router, ConnectionLimits::default(), stop.clone()));
    let token = doors.token("default", Role::Member, None).await;
    let mut reader = Reader::open(address, "/v1/events", &token, "").await;
    let refused = raw_stream(address, &token).await;
    assert!(refused.contains(" 429 "), "{refused}");
    // What happens from now on is read two minutes later.
    clock.advance(Duration::from_secs(120));
    let client = doors.client("default", Role::Member).await;
    client.create_instance(&request("web-1")).await.unwrap();
    let cut = reader.next().await.unwrap();
    assert_eq!((cut.kind.as_str(), cut.id), ("cut", None), "{cut:?}");
    let reason = cut.data["reason"].as_str().unwrap();
    assert!(reason.contains("behind") && reason.contains("go on after "), "{reason}");
    stop.cancel();
}

async fn raw_stream(address: SocketAddr, token: &str) -> String {
    let request = format!(
        "GET /v1/events HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
         authorization: Bearer {token}\r\naccept: text/event-stream\r\n\r\n"
    );
    crate::support::raw(address, request.as_bytes()).await.head
}

#[tokio::test]
async fn what_was_asked_for_is_in_the_audit_log_with_what_came_of_it() {
    let doors = Doors::open().await;
    let client = doors.client("default", Role::Member).await;
    let admin = doors.client("default", Role::Admin).await;
    let made = client.create_instance(&request("web-1")).await.unwrap();
    let reader = doors.token("default", Role::Reader, None).await;
    let path = format!("/v1/instances/{}", made.instance);
    let refused = call(doors.native, "DELETE", &path, Some(&reader), None).await;
    assert_eq!(refused.status, 403);
    let bad = call(doors.native, "POST", "/v1/instances", Some(&reader), Some("{")).await;
    assert_eq!(bad.status, 400);
    let log = admin.audit(&AuditQuery::default()).await.unwrap().entries;
    let latest = &log[0];
    assert_eq!(latest.action, "DELETE /v1/instances/{id}");
    assert_eq!((latest.target.as_str(), latest.outcome.as_str()), (path.as_str(), "forbidden"));
    assert_eq!(Some(latest.request_id.as_str()), refused.header("x-request-id"));
    assert!(latest.detail.as_ref().unwrap().contains("reader"), "{latest:?}");
    let creation = log.iter().find(|entry| entry.action == "create").unwrap();
    assert_eq!(creation.operation, Some(made.operation));
    assert_eq!(creation.target, made.instance.to_string());
    assert_eq!(creation.outcome, "accepted");
    assert!(log.iter().any(|entry| entry.action == "token.create"), "{log:?}");
    let query = AuditQuery { outcome: Some("forbidden".to_owned()), ..AuditQuery::default() };
    assert_eq!(admin.audit(&query).await.unwrap().entries.len(), 1);
    let denied = client.audit(&AuditQuery::default()).await.unwrap_err();
    assert_eq!(denied.code(), Some("forbidden"));
}
