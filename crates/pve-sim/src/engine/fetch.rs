//! Fetches files over plain HTTP from this machine, for `download-url` and
//! `query-url-metadata`. Nothing leaves the machine: other addresses fail as if
//! the node had no way out.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;

use crate::http::multipart::Summary;
use crate::machine::BackendError;
use crate::tasks::Fetched;

/// The largest file in bytes.
const MAX_FILE: u64 = 16 << 30;
/// How long the server may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// Fetches a file; its content is counted and hashed, not kept.
pub(crate) async fn fetch(url: &str) -> Result<Fetched, BackendError> {
    let failed = |text: String| BackendError::new(format!("download failed: {text}"));
    let (host, path) = local(url).ok_or_else(|| {
        failed(format!(
            "could not resolve the host of '{url}': Temporary failure in name resolution"
        ))
    })?;
    let stream = tokio::time::timeout(PATIENCE, tokio::net::TcpStream::connect(&host)).await;
    let stream = stream
        .map_err(|_| failed(format!("connection to '{host}' timed out")))?
        .map_err(|error| failed(format!("connection to '{host}' failed: {error}")))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failed(error.to_string()))?;
    let driver = tokio::spawn(connection);
    let request = hyper::Request::get(path)
        .header(hyper::header::HOST, &host)
        .body(Empty::<Bytes>::new())
        .map_err(|error| failed(error.to_string()))?;
    let answer = tokio::time::timeout(PATIENCE, sender.send_request(request)).await;
    let answer = answer
        .map_err(|_| failed("no answer".into()))?
        .map_err(|error| failed(error.to_string()))?;
    if !answer.status().is_success() {
        driver.abort();
        return Err(failed(format!("HTTP status {}", answer.status())));
    }
    let mimetype = answer.headers().get(hyper::header::CONTENT_TYPE);
    let mimetype = mimetype.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut summary = Summary::new();
    let mut size = 0;
    let mut body = answer.into_body();
    loop {
        let frame = tokio::time::timeout(PATIENCE, body.frame()).await;
        let Some(frame) = frame.map_err(|_| failed("the server fell silent".into()))? else {
            break;
        };
        let frame = frame.map_err(|error| failed(error.to_string()))?;
        if let Ok(part) = frame.into_data() {
            size += part.len() as u64;
            if size > MAX_FILE {
                return Err(failed("the file is too large".into()));
            }
            summary.add(&part);
        }
    }
    let (size, digests, head) = summary.finish();
    let name = url.split(['?', '#']).next().unwrap_or(url);
    let name = name.rsplit('/').next().unwrap_or_default().to_owned();
    Ok(Fetched { name, size, digests, head, mimetype })
}

/// Host with port, and path, of an address of this machine.
fn local(url: &str) -> Option<(String, String)> {
    let rest = url.strip_prefix("http://")?;
    let at = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(at);
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if !matches!(name, "127.0.0.1" | "localhost" | "[::1]") {
        return None;
    }
    let host = if name == host { format!("{host}:80") } else { host.to_owned() };
    Some((host, if path.is_empty() { "/".into() } else { path.to_owned() }))
}
