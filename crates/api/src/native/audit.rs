//! The audit log: what was refused is written down here, what was accepted with
//! the change itself.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::{MatchedPath, OriginalUri, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use client::wire;
use http::Method;
use model::{Caller, Error};
use provisioner::{AuditEntry, AuditFilter};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::Failure;
use super::extract::{Authenticated, Params};
use super::instances::name_of;
use super::{Native, page};

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Writes down a change that was refused for what it asks, not for how.
pub(super) async fn refusals(
    State(native): State<Native>,
    route: MatchedPath,
    request: Request,
    next: Next,
) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let caller = request.extensions().get::<Caller>().cloned();
    let action = format!("{} {}", request.method(), route.as_str());
    let target = request.uri().path().to_owned();
    let response = next.run(request).await;
    let failure = response.extensions().get::<Arc<Failure>>();
    if let (Some(caller), Some(Failure::House(error))) = (caller, failure.map(|one| &**one))
        && is_refusal(error)
    {
        native.house.audit_refusal(&caller, &action, &target, error).await;
    }
    response
}

/// Whether an error says no to what was asked. What could not be read asked for
/// nothing, and what is not there, or not for this caller, was asked of nobody.
const fn is_refusal(error: &Error) -> bool {
    match error {
        Error::Forbidden { .. }
        | Error::AlreadyExists { .. }
        | Error::Conflict { .. }
        | Error::PreconditionFailed { .. }
        | Error::QuotaExceeded { .. }
        | Error::InsufficientCapacity { .. }
        | Error::ReadOnly { .. }
        | Error::Unsupported { .. }
        | Error::Internal(_) => true,
        // A store that is away takes no entry either.
        Error::Unavailable { .. }
        | Error::InvalidRequest { .. }
        | Error::Unauthenticated { .. }
        | Error::NotFound { .. }
        | Error::Gone { .. }
        | Error::TooManyRequests { .. } => false,
    }
}

fn view(entry: AuditEntry) -> wire::AuditEntry {
    wire::AuditEntry {
        sequence: entry.sequence,
        at: entry.at.into(),
        principal: entry.principal.id,
        principal_name: entry.principal.name,
        role: entry.role.into(),
        project: entry.project.to_string(),
        door: entry.door.into(),
        request_id: entry.request_id,
        action: entry.action,
        target: entry.target,
        operation: entry.operation,
        outcome: entry.outcome,
        detail: entry.detail,
    }
}

/// List who asked for what, newest first (administrators)
///
/// Every change that was accepted, and those that were refused for what they ask.
/// Kept for a year.
#[utoipa::path(
    get,
    path = "/v1/audit",
    tag = "audit",
    params(wire::AuditQuery),
    responses((status = 200, description = "One page", body = wire::AuditList))
)]
async fn list(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    OriginalUri(uri): OriginalUri,
    Params(query): Params<wire::AuditQuery>,
) -> Result<impl IntoResponse + use<>, Failure> {
    let limit = page::limit(query.limit)?;
    page::check_sequence("after", query.after.unwrap_or(0))?;
    let filter = AuditFilter {
        project: name_of("project", query.project)?,
        principal: query.principal,
        action: query.action,
        target: query.target,
        outcome: query.outcome,
        before: query.after,
        limit: u32::try_from(limit + 1).unwrap_or(u32::MAX),
    };
    let mut entries = native.house.audit(&caller, &filter).await?;
    let next = page::cut(&mut entries, limit, |last| last.sequence);
    let entries = entries.into_iter().map(view).collect();
    Ok((page::link(&uri, next.as_ref()), Answer(wire::AuditList { entries, next })))
}
