//! Webhooks: make, list, resume, forget (administrators).

use axum::Json as Answer;
use axum::extract::State;
use axum::response::IntoResponse;
use client::{Endpoint, wire};
use http::{StatusCode, header};
use model::{Error, ProjectId, WebhookId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Native;
use super::error::Failure;
use super::extract::{Authenticated, Id, Json};
use super::instances::name_of;

/// Longer addresses are refused.
const URL_MOST: usize = 2048;

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(forget))
        .routes(routes!(resume))
}

fn view(hook: provisioner::Webhook) -> wire::Webhook {
    let progress = hook.progress;
    wire::Webhook {
        id: hook.id,
        url: hook.url,
        project: hook.project.map(|project| project.to_string()),
        created_at: hook.created_at.into(),
        cursor: progress.cursor,
        failures: progress.failures,
        last_error: progress.last_error,
        next_at: progress.next_at.map(Into::into),
        dead_at: progress.dead_at.map(Into::into),
    }
}

/// List webhooks with how far they have been told (administrators)
#[utoipa::path(get, path = "/v1/webhooks", tag = "events", responses((status = 200, description = "The webhooks", body = wire::WebhookList)))]
async fn list(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
) -> Result<Answer<wire::WebhookList>, Failure> {
    let webhooks = native.house.webhooks(&caller).await?.into_iter().map(view).collect();
    Ok(Answer(wire::WebhookList { webhooks }))
}

/// Have events posted somewhere (administrators); the secret is answered once
///
/// Each event from now on is posted as JSON, in order and at least once, and is
/// taken when the answer is a success. `innkeeper-signature` is `v1=` with the
/// HMAC-SHA256 in hexadecimal of `innkeeper-timestamp`, a dot and the body, under
/// the secret. After 24 hours of failures it is left alone until it is resumed.
#[utoipa::path(
    post,
    path = "/v1/webhooks",
    tag = "events",
    request_body = wire::NewWebhook,
    responses((status = 201, description = "The webhook with its secret", body = wire::CreatedWebhook))
)]
async fn create(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Json(request): Json<wire::NewWebhook>,
) -> Result<impl IntoResponse + use<>, Failure> {
    if request.url.len() > URL_MOST {
        return Err(Error::invalid("url", format!("expected at most {URL_MOST} bytes")).into());
    }
    Endpoint::parse_url(&request.url).map_err(|error| Error::invalid("url", error.to_string()))?;
    let project = name_of::<ProjectId>("project", request.project)?;
    let (hook, secret) = native.house.create_webhook(&caller, request.url, project).await?;
    let body = wire::CreatedWebhook { webhook: view(hook), secret: secret.into() };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Answer(body)))
}

/// Forget a webhook (administrators)
#[utoipa::path(
    delete,
    path = "/v1/webhooks/{id}",
    tag = "events",
    params(("id" = String, Path, format = "uuid", description = "The webhook's id")),
    responses((status = 204, description = "It is forgotten"))
)]
async fn forget(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Id(id): Id<WebhookId>,
) -> Result<StatusCode, Failure> {
    native.house.delete_webhook(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Let a webhook go on at once from the event that it did not take (administrators)
#[utoipa::path(
    post,
    path = "/v1/webhooks/{id}/resume",
    tag = "events",
    params(("id" = String, Path, format = "uuid", description = "The webhook's id")),
    responses((status = 200, description = "It goes on", body = wire::Webhook))
)]
async fn resume(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Id(id): Id<WebhookId>,
) -> Result<Answer<wire::Webhook>, Failure> {
    Ok(Answer(view(native.house.resume_webhook(&caller, id).await?)))
}
