//! Uploads.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use pve::{Client, Error, UploadRequest};

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

fn answer() -> Vec<u8> {
    crate::server::answer(200, "OK", &format!("{{\"data\":{UPID}}}"))
}
