//! What handlers take from a request. Each refusal names the field.

use std::error::Error as StdError;
use std::str::FromStr;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use http::request::Parts;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use model::{Caller, Error, ParseIdError, ProviderId};
use serde::de::DeserializeOwned;
use serde::de::value::Error as QueryError;

use super::Native;
use super::error::Failure;

/// Who calls; put there by the authentication.
pub(super) struct Authenticated(pub Caller);

impl<S: Sync> FromRequestParts<S> for Authenticated {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let caller = parts.extensions.get::<Caller>().cloned();
        // A route that was forgotten lets nobody in.
        let caller = caller.ok_or_else(|| Error::internal("a route without authentication"))?;
        Ok(Self(caller))
    }
}

/// The `{id}` of the path.
pub(super) struct Id<T>(pub T);

impl<S, T> FromRequestParts<S> for Id<T>
where
    S: Send + Sync,
    T: FromStr<Err = ParseIdError>,
{
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        let Path(text) = text.map_err(|_| Error::invalid("id", "expected UTF-8 in the path"))?;
        let id =
            text.parse().map_err(|error: ParseIdError| Error::invalid("id", error.to_string()))?;
        Ok(Self(id))
    }
}

/// The id in the path, and the name after it.
pub(super) struct IdAndName<T>(pub T, pub String);

impl<S, T> FromRequestParts<S> for IdAndName<T>
where
    S: Send + Sync,
    T: FromStr<Err = ParseIdError>,
{
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let text = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((id, name)) =
            text.map_err(|_| Error::invalid("id", "expected UTF-8 in the path"))?;
        let id =
            id.parse().map_err(|error: ParseIdError| Error::invalid("id", error.to_string()))?;
        Ok(Self(id, name))
    }
}

/// The provider in the path, and a guest of it as the provider calls it.
pub(super) struct ProviderAndGuest(pub ProviderId, pub String);

impl<S: Send + Sync> FromRequestParts<S> for ProviderAndGuest {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let text = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((provider, guest)) =
            text.map_err(|_| Error::invalid("provider", "expected UTF-8 in the path"))?;
        let provider = provider
            .parse()
            .map_err(|error: ParseIdError| Error::invalid("provider", error.to_string()))?;
        Ok(Self(provider, guest))
    }
}

/// The parameters of the query.
pub(super) struct Params<T>(pub T);

impl<S, T> FromRequestParts<S> for Params<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(bad_query(&rejection).into()),
        }
    }
}

/// The parameter is named by the innermost cause, where axum keeps it.
fn bad_query(rejection: &(dyn StdError + 'static)) -> Error {
    let mut cause = Some(rejection);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<serde_path_to_error::Error<QueryError>>() {
            return invalid(&error.path().to_string(), &error.inner().to_string(), "query");
        }
        cause = error.source();
    }
    Error::invalid("query", rejection.to_string())
}

/// A body in JSON.
pub(super) struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Native> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, native: &Native) -> Result<Self, Failure> {
        check_media_type(request.headers())?;
        let bytes = read_all(request, native).await?;
        parse(&bytes).map(Self).map_err(Failure::from)
    }
}

/// A body in JSON, or none.
pub(super) struct JsonOrDefault<T>(pub T);

impl<T: DeserializeOwned + Default> FromRequest<Native> for JsonOrDefault<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, native: &Native) -> Result<Self, Failure> {
        let declared = check_media_type(request.headers());
        let bytes = read_all(request, native).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        declared?;
        parse(&bytes).map(Self).map_err(Failure::from)
    }
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Failure> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Err(Failure::MediaType(None));
    };
    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
    let essence = text.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Failure::MediaType(Some(text.chars().take(80).collect())))
}

async fn read_all(request: Request<Body>, native: &Native) -> Result<Vec<u8>, Failure> {
    let (parts, body) = request.into_parts();
    read(&parts.headers, body, native).await
}

/// A body within its limits.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    native: &Native,
) -> Result<Vec<u8>, Failure> {
    let limits = native.limits;
    let declared = headers.get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limits.body_bytes) {
        return Err(Failure::BodyTooLarge(limits.body_bytes));
    }
    let body = Limited::new(body, limits.body_bytes).collect();
    match tokio::time::timeout(limits.body_timeout, body).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes().into()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Failure::BodyTooLarge(limits.body_bytes))
        }
        Ok(Err(_)) => Err(Error::invalid("body", "the body ended early").into()),
        Err(_) => Err(Failure::BodyTimeout(limits.body_timeout)),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    // serde would take an array for a structure, field by field.
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if first.is_some_and(|byte| *byte != b'{') {
        return Err(Error::invalid("body", "expected a JSON object"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|error| invalid(&error.path().to_string(), &error.inner().to_string(), "body"))?;
    deserializer.end().map_err(|error| Error::invalid("body", shortened(&error.to_string())))?;
    Ok(value)
}

/// The error for a field that serde refused. `path` is where it was, `message`
/// what serde says: for a missing, unknown or repeated field the field's own
/// name is in the message only.
fn invalid(path: &str, message: &str, whole: &str) -> Error {
    let path = path.trim_start_matches(['.', '?']);
    let named = ["missing field `", "unknown field `", "duplicate field `"]
        .iter()
        .find_map(|prefix| message.strip_prefix(prefix)?.split_once('`'))
        .map(|(name, _)| name);
    let last = path.rsplit('.').next().unwrap_or_default();
    let field = match (path, named) {
        ("", None) => whole.to_owned(),
        ("", Some(name)) => name.to_owned(),
        (path, Some(name)) if last != name => format!("{path}.{name}"),
        (path, _) => path.to_owned(),
    };
    Error::invalid(shortened(&field), shortened(message))
}

/// Messages repeat what was sent; this much is enough to find it.
fn shortened(text: &str) -> String {
    const MOST: usize = 300;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use client::wire::{CreateInstance, InstanceQuery};

    fn refusal(body: &str) -> (String, String) {
        match parse::<CreateInstance>(body.as_bytes()).unwrap_err() {
            Error::InvalidRequest { field, message } => (field, message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn bad_json_names_the_field() {
        for (body, field, message) in [
            ("", "body", "EOF while parsing"),
            ("{", "body", "EOF while parsing"),
            ("[]", "body", "expected a JSON object"),
            (" nul", "body", "expected a JSON object"),
            (r#"{"image":"i"}"#, "name", "missing field `name`"),
            (r#"{"name":1,"image":"i"}"#, "name", "expected a string"),
            (r#"{"name":"a","image":"i","cores":"2"}"#, "cores", "expected u32"),
            (r#"{"name":"a","image":"i","cores":-1}"#, "cores", "expected u32"),
            (r#"{"name":"a","image":"i","cores":1e99}"#, "cores", "expected u32"),
            (r#"{"name":"a","image":"i","memory":1}"#, "memory", "unknown field `memory`"),
            (r#"{"name":"a","image":"i","disks":[{"size":1}]}"#, "disks[0].size", "unknown field"),
            (r#"{"name":"a","image":"i","disks":[{}]}"#, "disks[0].size_bytes", "missing field"),
            (r#"{"name":"a","image":"i","labels":{"a":1}}"#, "labels.a", "expected a string"),
            (r#"{"name":"a","name":"b","image":"i"}"#, "name", "duplicate field"),
            (r#"{"name":"a","image":"i"} x"#, "body", "trailing characters"),
        ] {
            let (at, says) = refusal(body);
            assert_eq!(at, field, "{body}: {says}");
            assert!(says.contains(message), "{body}: {says}");
        }
    }

    #[test]
    fn deep_and_broken_bodies_are_refused() {
        let deep = format!(r#"{{"name":{}"#, "[".repeat(100_000));
        assert_eq!(refusal(&deep).0, "name");
        let error = parse::<CreateInstance>(b"{\"name\":\"\xff\",\"image\":\"i\"}").unwrap_err();
        assert!(error.to_string().starts_with("name: invalid unicode"), "{error}");
        let long = format!(r#"{{"name":"a","image":"i","{}":1}}"#, "x".repeat(100_000));
        assert!(refusal(&long).1.len() < 400);
    }

    #[test]
    fn a_bad_query_names_the_parameter() {
        for (query, field) in [
            ("limit=x", "limit"),
            ("limit=-1", "limit"),
            ("after=nope", "after"),
            ("state=up", "state"),
            ("bogus=1", "bogus"),
            ("limit=1&limit=2", "limit"),
        ] {
            let uri = format!("/v1/instances?{query}").parse().unwrap();
            let rejection = Query::<InstanceQuery>::try_from_uri(&uri).unwrap_err();
            match bad_query(&rejection) {
                Error::InvalidRequest { field: at, message } => {
                    assert_eq!(at, field, "{query}: {message}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
