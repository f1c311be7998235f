//! Bearer tokens: make, list, revoke (administrators).

use axum::Json as Answer;
use axum::extract::State;
use axum::response::IntoResponse;
use client::wire;
use http::{StatusCode, header};
use model::{Error, ProjectId, TokenId};
use provisioner::{NewToken, TokenInfo};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Native;
use super::error::Failure;
use super::extract::{Authenticated, Id, Json};

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

fn view(token: &TokenInfo) -> wire::Token {
    wire::Token {
        id: token.id,
        name: token.name.clone(),
        project: token.project.to_string(),
        role: token.role.into(),
        created_at: token.created_at.into(),
        expires_at: token.expires_at.map(Into::into),
        revoked_at: token.revoked_at.map(Into::into),
    }
}

/// List tokens, without their secrets (administrators)
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", responses((status = 200, description = "All tokens", body = wire::TokenList)))]
async fn list(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
) -> Result<Answer<wire::TokenList>, Failure> {
    let tokens = native.house.tokens(&caller).await?;
    Ok(Answer(wire::TokenList { tokens: tokens.iter().map(view).collect() }))
}

/// Make a token (administrators); its secret is answered once
#[utoipa::path(
    post,
    path = "/v1/tokens",
    tag = "tokens",
    request_body = wire::NewToken,
    responses((status = 201, description = "The token with its secret", body = wire::CreatedToken))
)]
async fn create(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Json(request): Json<wire::NewToken>,
) -> Result<impl IntoResponse + use<>, Failure> {
    let project = match request.project {
        Some(text) => text
            .parse::<ProjectId>()
            .map_err(|error| Error::invalid("project", error.to_string()))?,
        None => caller.project.clone(),
    };
    let request = NewToken {
        name: request.name,
        project,
        role: request.role.into(),
        expires_at: request.expires_at.map(|time| time.0),
    };
    let (token, secret) = native.house.create_token(&caller, request).await?;
    let body = wire::CreatedToken { token: view(&token), secret: secret.into() };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Answer(body)))
}

/// End a token at once (administrators)
#[utoipa::path(
    delete,
    path = "/v1/tokens/{id}",
    tag = "tokens",
    params(("id" = String, Path, format = "uuid", description = "The token's id")),
    responses((status = 204, description = "It is revoked"))
)]
async fn revoke(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Id(id): Id<TokenId>,
) -> Result<StatusCode, Failure> {
    native.house.revoke_token(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
