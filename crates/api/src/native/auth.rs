//! Bearer tokens.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, header};
use model::{Door, Error};
use secrecy::SecretString;

use super::Native;
use super::error::Failure;
use super::request::RequestId;

/// Tokens are far shorter.
const TOKEN_MOST: usize = 512;

/// Lets a request through with its [`model::Caller`], before anything of its
/// body is read.
pub(super) async fn authenticate(
    State(native): State<Native>,
    mut request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let bearer = bearer(request.headers())?;
    let mut caller = native.house.authenticate(&bearer, Door::Native).await?;
    if let Some(RequestId(id)) = request.extensions().get() {
        caller.request.id = id.clone();
    }
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

fn bearer(headers: &HeaderMap) -> Result<SecretString, Error> {
    let refused = |message: &str| Error::Unauthenticated { message: message.to_owned() };
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(refused("expected one header `authorization: Bearer <token>`"));
    };
    // The scheme's case does not matter (RFC 9110, section 11.1).
    let token = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .filter(|token| (1..=TOKEN_MOST).contains(&token.len()))
        .ok_or_else(|| refused("expected a header `authorization: Bearer <token>`"))?;
    Ok(SecretString::from(token.to_owned()))
}
