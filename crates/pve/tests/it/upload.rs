//! Uploads.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use pve::{Client, Error, Upload, UploadRequest};
use tokio::io::{AsyncRead, ReadBuf};

use crate::server::{Act, Server, data, soon};

const UPID: &str = "\"UPID:pve1:000033BF:000ABDA6:6B007E8C:imgcopy::root@pam:\"";

fn request(length: u64) -> UploadRequest {
    UploadRequest {
        content: "iso".into(),
        filename: "tiny.iso".into(),
        length,
        checksum: Some("abcd".into()),
        checksum_algorithm: Some("sha256".into()),
    }
}

fn file(chunks: usize) -> impl futures::Stream<Item = std::io::Result<Bytes>> + Send + 'static {
    let chunk = Bytes::from(vec![7_u8; 64 * 1024]);
    futures::stream::iter((0..chunks).map(move |_| Ok(chunk.clone())))
}

#[tokio::test]
async fn uploads_have_an_exact_length_and_their_fields_first() {
    let server = Server::start(|_| data(UPID)).await;
    let storage = server.client().node("pve1").storage("local");
    let length = 20 * 64 * 1024;
    let task = soon(storage.upload(&request(length), file(20))).await.unwrap();
    assert_eq!(task.kind(), "imgcopy");
    let sent = server.requests().pop().unwrap();
    assert_eq!(sent.target, "/api2/json/nodes/pve1/storage/local/upload");
    assert_eq!(sent.header("transfer-encoding"), None);
    let stated: usize = sent.header("content-length").unwrap().parse().unwrap();
    assert_eq!(stated, sent.body.len());
    let kind = sent.header("content-type").unwrap();
    assert!(kind.starts_with("multipart/form-data; boundary="), "{kind}");
    let text = sent.text();
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what}"));
    let places = [
        at("name=\"content\"\r\n\r\niso\r\n"),
        at("name=\"checksum-algorithm\"\r\n\r\nsha256\r\n"),
        at("name=\"checksum\"\r\n\r\nabcd\r\n"),
        at("name=\"filename\"; filename=\"tiny.iso\"\r\n"),
    ];
    assert!(places.is_sorted(), "{places:?}");
    let content = sent.body.iter().filter(|byte| **byte == 7).count();
    assert_eq!(content as u64, length);
}

#[tokio::test]
async fn files_of_another_length_are_broken_off() {
    let server = Server::start(|_| data(UPID)).await;
    let storage = server.client().node("pve1").storage("local");
    for chunks in [1, 3] {
        let error = soon(storage.upload(&request(2 * 64 * 1024), file(chunks))).await;
        let error = error.unwrap_err();
        assert!(matches!(error, Error::Ambiguous { .. }), "{error:?}");
    }
    assert!(server.requests().is_empty(), "no whole request arrived");
}

#[tokio::test]
async fn uploads_have_their_own_timeout() {
    let server = Server::start(|_| Act::Late(Duration::from_secs(2), answer())).await;
    let mut config = server.config();
    config.timeouts.connect = Duration::from_secs(1);
    config.timeouts.read = Duration::from_millis(50);
    config.timeouts.task = Duration::from_millis(50);
    config.timeouts.upload = Duration::from_secs(20);
    let storage = Client::new(config.clone()).unwrap().node("pve1").storage("local");
    soon(storage.upload(&request(64 * 1024), file(1))).await.unwrap();
    config.timeouts.upload = Duration::from_millis(50);
    let storage = Client::new(config).unwrap().node("pve1").storage("local");
    let endless = file(1).chain(futures::stream::pending());
    let error = soon(storage.upload(&request(1 << 40), endless)).await.unwrap_err();
    assert!(matches!(error, Error::Ambiguous { .. }), "{error:?}");
}

#[tokio::test]
async fn a_file_is_sent_under_its_own_name_with_its_checksum() {
    let server = Server::start(|_| data(UPID)).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.iso");
    std::fs::write(&path, vec![7; 100_000]).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let upload = Upload::from_file("iso", &path).await.unwrap().checksum("sha256", "ab12");
    let upload = upload.on_progress(move |at| log.lock().unwrap().push((at.sent, at.total)));
    let storage = server.client().node("pve1").storage("local");
    assert_eq!(soon(storage.upload_from(upload)).await.unwrap().kind(), "imgcopy");
    let text = server.requests().pop().unwrap().text();
    assert!(text.contains("filename=\"own.iso\"") && text.contains("ab12"));
    let seen = seen.lock().unwrap();
    assert!(seen.is_sorted() && seen.len() > 1, "{seen:?}");
    assert_eq!(seen.last(), Some(&(100_000, 100_000)));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_anything_is_sent() {
    let server = Server::start(|_| data(UPID)).await;
    let storage = server.client().node("pve1").storage("local");
    let bad = UploadRequest { checksum_algorithm: None, ..request(1) };
    let error = soon(storage.upload(&bad, file(0))).await.unwrap_err();
    assert!(matches!(error, Error::InvalidRequest { .. }), "{error:?}");
    assert!(error.to_string().contains("checksum_algorithm"), "{error}");
    let error = Upload::from_file("iso", "/nowhere/a.iso").await.unwrap_err().to_string();
    assert!(error.contains("/nowhere/a.iso"), "{error}");
    assert!(server.requests().is_empty());
}

/// Counts what was read of it, and says how far that is ahead of `taken`.
struct Counting {
    left: usize,
    read: usize,
    taken: Arc<AtomicUsize>,
    furthest: Arc<AtomicUsize>,
}

impl AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let count = buffer.remaining().min(self.left);
        buffer.initialize_unfilled_to(count).fill(7);
        buffer.advance(count);
        self.left -= count;
        self.read += count;
        let ahead = self.read.saturating_sub(self.taken.load(Ordering::SeqCst));
        self.furthest.fetch_max(ahead, Ordering::SeqCst);
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_file_is_read_no_faster_than_the_server_takes_it() {
    const LENGTH: usize = 96 << 20;
    let taken = Arc::new(AtomicUsize::new(0));
    let server = Server::swallowing(taken.clone(), answer()).await;
    let furthest = Arc::new(AtomicUsize::new(0));
    let reader =
        Counting { left: LENGTH, read: 0, taken: taken.clone(), furthest: furthest.clone() };
    let storage = server.client().node("pve1").storage("local");
    let upload = Upload::from_reader(request(LENGTH as u64), reader);
    let upload = storage.upload_from(upload);
    let result = tokio::time::timeout(Duration::from_secs(120), upload).await.unwrap();
    result.unwrap();
    assert!(taken.load(Ordering::SeqCst) > LENGTH);
    let furthest = furthest.load(Ordering::SeqCst);
    // The rest is in the sockets' buffers, at most some MiB.
    assert!(furthest < LENGTH / 4, "{furthest} bytes ahead");
}

fn answer() -> Vec<u8> {
    crate::server::answer(200, "OK", &format!("{{\"data\":{UPID}}}"))
}
