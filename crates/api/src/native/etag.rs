//! Entity tags: a read whose answer the caller has already is answered with 304.
//!
//! An instance's tag is its change sequence, a list's that of everything that
//! reads are served from. What has no sequence is tagged by a digest of its body.
//! How long ago something was seen is no part of what a tag stands for.

use aws_lc_rs::digest::{SHA256, digest};
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use model::Error;

use super::error::Failure;

/// Longer answers are not tagged by their body.
const TAGGED_MOST: u64 = 1 << 20;

/// The tag of an instance at this change sequence.
pub(super) fn of_instance(sequence: u64) -> String {
    format!("\"i{sequence}\"")
}

/// The tag of a list at this change sequence.
pub(super) fn of_list(sequence: u64) -> String {
    format!("\"l{sequence}\"")
}

/// The change sequence of an instance's tag.
pub(super) fn sequence(tag: &str) -> Option<u64> {
    tag.strip_prefix("\"i")?.strip_suffix('"')?.parse().ok()
}

/// Whether the caller has what this tag stands for (RFC 9110, section 13.1.2:
/// the weak comparison).
pub(super) fn has(headers: &HeaderMap, tag: &str) -> bool {
    headers.get_all(header::IF_NONE_MATCH).iter().any(|value| {
        let mut tags = value.to_str().unwrap_or_default().split(',').map(str::trim);
        tags.any(|given| given == "*" || given.trim_start_matches("W/") == tag)
    })
}

/// The answer with its tag: the whole of it, or that nothing has changed.
pub(super) fn answer(headers: &HeaderMap, tag: &str, whole: impl FnOnce() -> Response) -> Response {
    let mut response = match has(headers, tag) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => whole(),
    };
    tagged(&mut response, tag);
    response
}

fn tagged(response: &mut Response, tag: &str) {
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, value);
    }
    // Another caller may see something else; this one asks again each time.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("authorization"));
}

/// Tags the answers to reads that have no tag of their own.
pub(super) async fn by_body(request: Request, next: Next) -> Result<Response, Failure> {
    let reads = *request.method() == Method::GET;
    let headers = request.headers().clone();
    let response = next.run(request).await;
    let done = response.headers().contains_key(header::ETAG);
    let small = response.body().size_hint().upper().is_some_and(|upper| upper <= TAGGED_MOST);
    if !reads || done || !small || response.status() != StatusCode::OK {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.map_err(Error::internal)?.to_bytes();
    let digest = digest(&SHA256, &bytes);
    let short: String = digest.as_ref().iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    Ok(answer(&headers, &format!("\"{short}\""), || Response::from_parts(parts, Body::from(bytes))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_caller_has_what_one_of_its_tags_stands_for() {
        let has_one = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_str(value).unwrap());
            has(&headers, "\"i7\"")
        };
        assert!(has_one("\"i7\"") && has_one("*") && has_one("\"a\", W/\"i7\""));
        assert!(!has_one("i7") && !has_one("\"i8\"") && !has_one(""));
        assert_eq!(sequence(&of_instance(7)), Some(7));
        assert_eq!(sequence(&of_list(7)), None);
    }
}
