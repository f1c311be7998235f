//! Sending one request and reading its answer.

use bytes::{Bytes, BytesMut};
use hyper::ext::ReasonPhrase;

use crate::error::{Call, Error, Transport, TransportKind, with_sources};
use crate::judge::lost;
use crate::tls::PinMismatch;

/// What came back.
pub(crate) struct Answer {
    pub status: u16,
    pub reason: String,
    pub body: Bytes,
}

pub(crate) async fn exchange(
    http: &reqwest::Client,
    call: &Call,
    request: reqwest::Request,
    limit: usize,
) -> Result<Answer, Error> {
    let response = send(http, call, request).await?;
    collect(call, response, limit).await
}

/// Sends a request; the answer's head is here, its body may be under way.
pub(crate) async fn send(
    http: &reqwest::Client,
    call: &Call,
    request: reqwest::Request,
) -> Result<reqwest::Response, Error> {
    http.execute(request).await.map_err(|error| transport_error(call, &error.without_url()))
}

/// Reads the rest of an answer, at most `limit` bytes.
pub(crate) async fn collect(
    call: &Call,
    mut response: reqwest::Response,
    limit: usize,
) -> Result<Answer, Error> {
    let status = response.status();
    let reason = match response.extensions().get::<ReasonPhrase>() {
        Some(phrase) => String::from_utf8_lossy(phrase.as_bytes()).trim().to_owned(),
        None => status.canonical_reason().unwrap_or_default().to_owned(),
    };
    let open_ended = response.content_length().is_none()
        && !response.headers().contains_key(http::header::TRANSFER_ENCODING);
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(None) => break,
            Ok(Some(chunk)) if body.len().saturating_add(chunk.len()) > limit => {
                let size = body.len() + chunk.len();
                return Err(Error::Malformed {
                    call: call.clone(),
                    reason: format!(
                        "the body is too large: {size} bytes, at most {limit} are read"
                    ),
                });
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            // The status line of a refusal says all that matters, and many come
            // without a length, end with the connection and no farewell.
            Err(_) if status.as_u16() >= 400 => break,
            // Proxmox closes without TLS's farewell. Where no length was given
            // either, a whole document shows that nothing is missing.
            Err(error) if open_ended && is_unclean_end(&error) && is_whole(&body) => break,
            Err(error) => {
                let transport = Transport {
                    kind: TransportKind::Closed,
                    detail: with_sources(&error.without_url()),
                };
                return Err(lost(call, transport));
            }
        }
    }
    Ok(Answer { status: status.as_u16(), reason, body: body.freeze() })
}

fn is_unclean_end(error: &reqwest::Error) -> bool {
    find_source::<std::io::Error>(error)
        .is_some_and(|error| error.kind() == std::io::ErrorKind::UnexpectedEof)
}

/// Is it one JSON value from the beginning to the end?
fn is_whole(body: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
}

/// What a failed exchange means.
fn transport_error(call: &Call, error: &reqwest::Error) -> Error {
    let connecting = error.is_connect();
    let tls = find_source::<rustls::Error>(error);
    let kind = match () {
        () if error.is_dns() => TransportKind::Dns,
        () if error.is_timeout() => TransportKind::Timeout,
        () if connecting && tls.is_some() => TransportKind::Tls,
        () if connecting => TransportKind::Connect,
        () => TransportKind::Closed,
    };
    let detail = match tls.and_then(pin_mismatch) {
        Some(mismatch) => mismatch.to_string(),
        None => with_sources(error),
    };
    let source = Transport { kind, detail };
    if connecting || error.is_builder() {
        let call = call.clone();
        return Error::NotSent { call, source };
    }
    lost(call, source)
}

fn find_source<'a, T: std::error::Error + 'static>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        // An io::Error skips what it wraps in source().
        next = match error.downcast_ref::<std::io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as _),
            None => error.source(),
        };
    }
    None
}

fn pin_mismatch(error: &rustls::Error) -> Option<&PinMismatch> {
    match error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) => {
            other.0.downcast_ref()
        }
        _ => None,
    }
}
