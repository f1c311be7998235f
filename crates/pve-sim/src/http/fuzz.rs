//! The reader of requests under bytes from a fuzzer: it answers or hangs up,
//! and what a client wrote by the book is read as it was meant.
//!
//! Each target runs for a second, or for `INNKEEPER_FUZZ_SECONDS`. A failure
//! prints its seed (`BOLERO_RANDOM_SEED=…` repeats it).
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::engine::Request;

/// The longest input, in bytes; each stands for a word or a byte.
const LONGEST: usize = 160;

fn duration() -> Duration {
    let seconds = std::env::var("INNKEEPER_FUZZ_SECONDS");
    let seconds = seconds.map(|text| text.parse().expect("INNKEEPER_FUZZ_SECONDS in seconds"));
    Duration::from_secs(seconds.unwrap_or(1))
}

/// Runs `target` with many inputs.
macro_rules! fuzz {
    ($target:expr) => {{
        let check = bolero::check!().with_test_time(duration()).with_max_len(LONGEST);
        let target: fn(&[u8]) = $target;
        check.for_each(target);
    }};
}

/// What came of some bytes: the requests that were read, and what was answered.
#[derive(Default)]
struct Seen {
    requests: Vec<Request>,
    answer: Vec<u8>,
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

/// Sends `bytes`, at most `step` at once, and then nothing more.
fn send(bytes: &[u8], step: usize) -> Seen {
    let requests = RefCell::new(Vec::new());
    let (mut client, server) = tokio::io::duplex(step);
    let service = hyper::service::service_fn(|request: hyper::Request<Incoming>| async {
        let reply = match read::request(request).await {
            Ok(request) => {
                requests.borrow_mut().push(request);
                Reply {
                    status: 200,
                    reason: "OK".into(),
                    body: b"{\"data\":null}".to_vec(),
                    json: true,
                    relayed: false,
                }
            }
            Err(Outcome::Reply(reply)) => reply,
            Err(Outcome::Drop) => return Err(Dropped),
        };
        Ok(write(reply, true))
    });
    let mut answer = Vec::new();
    let talk = async {
        let (mut from, mut to) = tokio::io::split(&mut client);
        let sent = async {
            // The server may hang up before it has read everything.
            let _ = to.write_all(bytes).await;
            let _ = to.shutdown().await;
        };
        let _ = tokio::join!(sent, from.read_to_end(&mut answer));
    };
    // Without it, the end of what is sent would end an answer on its way.
    let serve = protocol().half_close(true).serve_connection(TokioIo::new(server), service);
    let both = async { tokio::join!(serve, talk) };
    let ended = runtime().block_on(async {
        // Of real time; what hangs does so for ever.
        tokio::time::timeout(Duration::from_secs(20), both).await.is_ok()
    });
    assert!(ended, "no end of {:?}", String::from_utf8_lossy(bytes));
    Seen { requests: requests.into_inner(), answer }
}

/// Words of HTTP and of uploads.
const WORDS: [&str; 52] = [
    "\r\n",
    "\r\n\r\n",
    "\n",
    ": ",
    " ",
    "/",
    "&",
    "=",
    ";",
    "%",
    "%2F",
    "%ff",
    "+",
    "--",
    "\"",
    "GET ",
    "POST ",
    "PUT ",
    "DELETE ",
    "OPTIONS ",
    "/api2/json",
    "/api2/extjs/",
    "/api2",
    "//",
    "/nodes/pve1/storage/local/upload",
    "?",
    "vmid=500",
    "boot=order=scsi0;net0",
    " HTTP/1.1\r\n",
    " HTTP/1.0\r\n",
    "Host: x\r\n",
    "Content-Length: ",
    "0",
    "5",
    "64",
    "18446744073709551616",
    "Transfer-Encoding: chunked\r\n",
    "Content-Type: ",
    "application/json",
    "{\"a\":[1,{}]}",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=",
    "XX",
    "\r\n--XX",
    "--XX\r\n",
    "Content-Disposition: form-data; name=\"",
    "filename=\"a.iso\"",
    "Cookie: PVEAuthCookie=",
    "Authorization: PVEAPIToken=",
    "CSRFPreventionToken: ",
    "Expect: 100-continue\r\n",
    "é",
];

/// Words for most bytes, the byte itself for some.
fn words(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for byte in bytes {
        match *byte {
            byte if usize::from(byte) < WORDS.len() * 4 => {
                text.extend_from_slice(WORDS[usize::from(byte) % WORDS.len()].as_bytes());
            }
            byte => text.push(byte.wrapping_mul(5)),
        }
    }
    text
}

#[test]
fn any_bytes_are_answered_or_end_the_connection() {
    fuzz!(|bytes| {
        let Some((first, rest)) = bytes.split_first() else { return };
        let sent = words(rest);
        let seen = send(&sent, usize::from(*first) + 1);
        // Who asks in HTTP/1.0 is answered in HTTP/1.0.
        let http = seen.answer.is_empty() || seen.answer.starts_with(b"HTTP/1.");
        assert!(http, "{:?}", String::from_utf8_lossy(&seen.answer));
    });
}

#[test]
fn any_head_and_body_are_answered_or_end_the_connection() {
    fuzz!(|bytes| {
        let [first, kind, rest @ ..] = bytes else { return };
        let target = ["/nodes/pve1/qemu", "/nodes/pve1/storage/local/upload", ""];
        let target = target[usize::from(*kind) % target.len()];
        let verb = ["POST", "PUT", "GET", "DELETE"][usize::from(*kind / 3) % 4];
        let content = [
            "multipart/form-data; boundary=XX",
            "application/x-www-form-urlencoded",
            "application/json",
            "multipart/form-data; boundary=\"XX\"",
            "",
        ][usize::from(*kind / 12) % 5];
        let (query, body) = rest.split_at(rest.len() / 4);
        let query = percent_encode(&words(query), NON_ALPHANUMERIC).to_string();
        let body = words(body);
        let mut sent = format!(
            "{verb} /api2/json{target}?{query} HTTP/1.1\r\nHost: x\r\nContent-Type: {content}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        sent.extend(body);
        let seen = send(&sent, usize::from(*first) + 1);
        let http = seen.answer.is_empty() || seen.answer.starts_with(b"HTTP/1.1 ");
        assert!(http, "{:?}", String::from_utf8_lossy(&seen.answer));
        assert!(seen.requests.len() <= 1, "one was sent");
    });
}

#[test]
fn any_form_is_read_as_it_was_written() {
    fuzz!(|bytes| {
        let Some((first, rest)) = bytes.split_first() else { return };
        let mut fields: BTreeMap<String, Value> = BTreeMap::new();
        for pair in rest.chunks(8) {
            let (name, value) = pair.split_at(pair.len().min(2));
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            fields.insert(text(name), Value::String(text(value)));
        }
        let encode = |text: &str| percent_encode(text.as_bytes(), NON_ALPHANUMERIC).to_string();
        let mark = if first.is_multiple_of(2) { "&" } else { ";" };
        let pairs = fields.iter();
        let pairs: Vec<String> = pairs
            .map(|(name, value)| format!("{}={}", encode(name), encode(value.as_str().unwrap())))
            .collect();
        let body = pairs.join(mark);
        let sent =
            format!("PUT /api2/json/x HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let seen = send(sent.as_bytes(), usize::from(*first) + 1);
        assert_eq!(seen.requests.len(), 1, "{:?}", String::from_utf8_lossy(&seen.answer));
        assert_eq!(seen.requests[0].parameters, fields, "{body}");
    });
}

#[test]
fn any_upload_is_read_as_it_was_written() {
    fuzz!(|bytes| {
        let [first, rest @ ..] = bytes else { return };
        let (field, file) = rest.split_at(rest.len() / 3);
        let field: String = field.iter().map(|byte| char::from(*byte)).collect();
        let file = words(file);
        let boundary = "----a-boundary";
        // A client chooses a boundary that is nowhere in its data.
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"checksum-algorithm\"\r\n\r\nsha256\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"content\"\r\n\r\n{field}\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"filename\"; filename=\"a b.iso\"\r\n\r\n"
        );
        let tail = format!("\r\n--{boundary}--\r\n");
        let mut sent = format!(
            "POST /api2/json/nodes/n/storage/s/upload HTTP/1.1\r\nContent-Type: multipart/form-data; boundary={boundary}\r\nContent-Length: {}\r\n\r\n",
            head.len() + file.len() + tail.len()
        )
        .into_bytes();
        sent.extend(head.as_bytes());
        sent.extend(&file);
        sent.extend(tail.as_bytes());
        let seen = send(&sent, usize::from(*first) + 1);
        assert_eq!(seen.requests.len(), 1, "{:?}", String::from_utf8_lossy(&seen.answer));
        let request = &seen.requests[0];
        assert_eq!(request.parameters.get("content"), Some(&Value::String(field)));
        let upload = request.upload.as_ref().unwrap();
        let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &file);
        let sum = crate::world::guest::hex(sum.as_ref());
        assert_eq!((upload.filename.as_str(), upload.size), ("a b.iso", file.len() as u64));
        assert_eq!(upload.digests.get("sha256"), Some(&sum));
    });
}

#[test]
fn any_plain_http_is_redirected_or_ends_the_connection() {
    fuzz!(|bytes| {
        let sent = words(bytes);
        let (mut client, server) = tokio::io::duplex(16 * 1024);
        let mut answer = Vec::new();
        runtime().block_on(async {
            client.write_all(&sent).await.unwrap();
            client.shutdown().await.unwrap();
            let _ = redirect(server).await;
            client.read_to_end(&mut answer).await.unwrap();
        });
        let text = String::from_utf8_lossy(&answer);
        assert!(text.starts_with("HTTP/1.1 30"), "{text:?}");
        assert_eq!(text.matches("\r\n\r\n").count(), 1, "{text:?}");
    });
}
