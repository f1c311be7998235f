//! What a changing request says beside what it asks for: a key by which it can
//! be sent again (`idempotency-key`), and the state in which it wants to find
//! what it changes (`if-match`).

use aws_lc_rs::digest::{Context, SHA256};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use client::wire::{self, IDEMPOTENCY_KEY_HEADER, IDEMPOTENCY_REPLAYED_HEADER};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use model::{Caller, Error, IdempotencyKey};
use provisioner::Answered;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::error::Failure;
use super::extract::read;
use super::{Native, accepted, etag};

/// Longer keys are refused.
const KEY_MOST: usize = 255;
/// More entity tags in one `if-match` are refused.
const TAGS_MOST: usize = 16;

/// An answer that says nothing new when it is given again: it is not kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unkept;

/// What a request was answered, as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    location: Option<String>,
    body: String,
}

/// Puts the terms of a changing request into its caller, and answers one that
/// was sent before as it was answered then.
pub(super) async fn terms(
    State(native): State<Native>,
    mut request: Request,
    next: Next,
) -> Result<Response, Failure> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(next.run(request).await);
    }
    let if_sequence = if_match(request.uri().path(), request.headers())?;
    let key = key(request.headers())?;
    let Some(caller) = request.extensions_mut().get_mut::<Caller>() else {
        // A route that was forgotten lets nobody in.
        return Err(Error::internal("a route without authentication").into());
    };
    caller.request.if_sequence = if_sequence;
    let Some(key) = key else { return Ok(next.run(request).await) };
    let (parts, body) = request.into_parts();
    let bytes = read(&parts.headers, body, &native).await?;
    let fingerprint = fingerprint(&parts, &bytes);
    let mut request = Request::from_parts(parts, Body::from(bytes));
    let Some(caller) = request.extensions_mut().get_mut::<Caller>() else {
        return Err(Error::internal("a route without authentication").into());
    };
    caller.request.key = Some(IdempotencyKey { key, fingerprint });
    let caller = caller.clone();
    if let Some(answered) = native.house.answered(&caller).await? {
        return replay(answered);
    }
    let response = next.run(request).await;
    match response.status() {
        status if status.is_success() && response.extensions().get::<Unkept>().is_none() => {
            keep(&native, &caller, response).await
        }
        // The same request may have been quicker over another connection.
        StatusCode::CONFLICT => match native.house.answered(&caller).await? {
            Some(answered) => replay(answered),
            None => Ok(response),
        },
        _ => Ok(response),
    }
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let refused = || {
        let message = format!("expected one key of 1 to {KEY_MOST} visible ASCII characters");
        Error::invalid(IDEMPOTENCY_KEY_HEADER, message)
    };
    let mut values = headers.get_all(IDEMPOTENCY_KEY_HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().map_err(|_| refused())?.trim();
    let good = (1..=KEY_MOST).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if !good || values.next().is_some() {
        return Err(refused());
    }
    Ok(Some(text.to_owned()))
}

/// The change sequences that `if-match` allows. Only instances have any.
fn if_match(path: &str, headers: &HeaderMap) -> Result<Option<Vec<u64>>, Error> {
    let field = header::IF_MATCH.as_str();
    let mut values = headers.get_all(header::IF_MATCH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if !path.starts_with("/v1/instances/") {
        return Err(Error::invalid(field, "only changes of one instance take this header"));
    }
    let tags: Vec<&str> = value.to_str().unwrap_or_default().split(',').map(str::trim).collect();
    if values.next().is_some() || tags.len() > TAGS_MOST {
        let message = format!("expected one header with at most {TAGS_MOST} entity tags");
        return Err(Error::invalid(field, message));
    }
    if tags == ["*"] {
        return Ok(None);
    }
    // A weak tag never matches here (RFC 9110, section 13.1.1).
    let strong = |tag: &str| tag.len() > 1 && tag.starts_with('"') && tag.ends_with('"');
    if let Some(bad) = tags.iter().find(|tag| !strong(tag.trim_start_matches("W/"))) {
        let given: String = bad.chars().take(80).collect();
        return Err(Error::invalid(field, format!("expected entity tags, got {given:?}")));
    }
    Ok(Some(tags.into_iter().filter_map(etag::sequence).collect()))
}

fn fingerprint(parts: &http::request::Parts, body: &[u8]) -> String {
    let mut context = Context::new(&SHA256);
    let query = parts.uri.query().unwrap_or_default();
    for part in [parts.method.as_str(), parts.uri.path(), query] {
        context.update(part.as_bytes());
        context.update(b"\n");
    }
    context.update(body);
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn keep(native: &Native, caller: &Caller, response: Response) -> Result<Response, Failure> {
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.map_err(Error::internal)?.to_bytes();
    let location = parts.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    let kept = Kept {
        status: parts.status.as_u16(),
        location: location.map(str::to_owned),
        body: String::from_utf8_lossy(&bytes).into_owned(),
    };
    let text = serde_json::to_string(&kept).map_err(Error::internal)?;
    // What was asked for is done whether or not its answer can be kept.
    if let Err(error) = native.house.keep_answer(caller, SecretString::from(text)).await {
        let cause = error.private_context().map(model::PrivateContext::chain);
        tracing::warn!(%error, cause, "an answer is not kept for its idempotency key");
    }
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

fn replay(answered: Answered) -> Result<Response, Failure> {
    let mut response = match (answered.answer, answered.begun) {
        (Some(text), _) => {
            let kept: Kept = serde_json::from_str(text.expose_secret()).map_err(Error::internal)?;
            restored(kept)?
        }
        (None, Some(begun)) => {
            let body = wire::Accepted { instance: begun.instance, operation: begun.operation };
            accepted(begun.operation, body).into_response()
        }
        (None, None) => {
            let message = "the request with this idempotency key was carried out, and its answer \
                           was lost";
            return Err(Error::Conflict { message: message.to_owned(), operation: None }.into());
        }
    };
    response.headers_mut().insert(IDEMPOTENCY_REPLAYED_HEADER, HeaderValue::from_static("true"));
    Ok(response)
}

fn restored(kept: Kept) -> Result<Response, Error> {
    let empty = kept.body.is_empty();
    let mut response = Response::new(Body::from(kept.body));
    *response.status_mut() = StatusCode::from_u16(kept.status).map_err(Error::internal)?;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if !empty {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Some(location) = kept.location {
        headers.insert(header::LOCATION, HeaderValue::try_from(location).map_err(Error::internal)?);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tags(value: &str) -> Result<Option<Vec<u64>>, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_MATCH, HeaderValue::from_str(value).unwrap());
        if_match("/v1/instances/x", &headers)
    }

    #[test]
    fn if_match_is_a_list_of_strong_tags() {
        assert_eq!(tags("*").unwrap(), None);
        assert_eq!(tags("\"i7\"").unwrap(), Some(vec![7]));
        assert_eq!(tags("\"i7\", \"other\", W/\"i8\"").unwrap(), Some(vec![7]));
        for bad in ["7", "\"i7", "", "\"i7\",", &vec!["\"i7\""; 17].join(",")] {
            assert!(tags(bad).unwrap_err().to_string().starts_with("if-match: "), "{bad}");
        }
    }

    #[test]
    fn another_query_or_body_is_another_request() {
        let parts = |uri: &str| {
            let request = http::Request::post(uri).body(()).unwrap();
            request.into_parts().0
        };
        let one = fingerprint(&parts("/v1/x?a=1"), b"{}");
        assert_eq!(one, fingerprint(&parts("/v1/x?a=1"), b"{}"));
        assert_ne!(one, fingerprint(&parts("/v1/x?a=2"), b"{}"));
        assert_ne!(one, fingerprint(&parts("/v1/x?a=1"), b"{ }"));
    }
}
