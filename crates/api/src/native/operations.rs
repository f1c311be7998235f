//! Operations: get, list, log, cancel, resume, abandon.

use axum::Json as Answer;
use axum::extract::{OriginalUri, State};
use axum::response::IntoResponse;
use client::wire;
use model::{Operation, OperationId, StepState, StepView};
use provisioner::OperationFilter;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::Failure;
use super::extract::{Authenticated, Id, Params};
use super::instances::name_of;
use super::{Native, accepted, page};

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(log))
        .routes(routes!(cancel))
        .routes(routes!(resume))
        .routes(routes!(abandon))
}

fn step(step: &StepView) -> wire::Step {
    wire::Step {
        name: step.name.clone(),
        state: step.state.into(),
        attempts: step.attempts,
        began_at: step.began_at.map(Into::into),
        ended_at: step.ended_at.map(Into::into),
        detail: step.detail.clone(),
        percent: step.percent,
    }
}

fn progress(steps: &[StepView]) -> Option<wire::Progress> {
    let count = |steps: usize| u32::try_from(steps).unwrap_or(u32::MAX);
    let done = steps.iter().filter(|step| step.state == StepState::Done).count();
    (!steps.is_empty()).then(|| wire::Progress { done: count(done), total: count(steps.len()) })
}

fn view(operation: Operation) -> wire::Operation {
    wire::Operation {
        id: operation.id,
        kind: operation.kind.into(),
        instance: operation.instance,
        instance_name: operation.instance_name,
        project: operation.project.to_string(),
        state: operation.state.into(),
        reason: operation.reason,
        left: operation.left,
        cancel_requested: operation.cancel_requested,
        asked_by: operation.asked_by,
        created_at: operation.created_at.into(),
        ended_at: operation.ended_at.map(Into::into),
        progress: progress(&operation.steps),
        steps: operation.steps.iter().map(step).collect(),
    }
}

/// List operations, newest first, without their steps
#[utoipa::path(
    get,
    path = "/v1/operations",
    tag = "operations",
    params(wire::OperationQuery),
    responses((status = 200, description = "The operations", body = wire::OperationList))
)]
async fn list(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    OriginalUri(uri): OriginalUri,
    Params(query): Params<wire::OperationQuery>,
) -> Result<impl IntoResponse + use<>, Failure> {
    let limit = page::limit(query.limit)?;
    let filter = OperationFilter {
        instance: query.instance,
        settled: query.settled,
        state: query.state.map(Into::into),
        kind: query.kind.map(Into::into),
        project: name_of("project", query.project)?,
        before: query.after,
        limit: limit + 1,
    };
    let mut operations = native.house.operations(&caller, &filter).await?;
    let next = page::cut(&mut operations, limit, |last| last.id);
    let operations = operations.into_iter().map(view).collect();
    Ok((page::link(&uri, next.as_ref()), Answer(wire::OperationList { operations, next })))
}

/// Get an operation with its steps
#[utoipa::path(
    get,
    path = "/v1/operations/{id}",
    tag = "operations",
    params(("id" = String, Path, format = "uuid", description = "The operation's id")),
    responses((status = 200, description = "The operation", body = wire::Operation))
)]
async fn get(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Id(id): Id<OperationId>,
) -> Result<Answer<wire::Operation>, Failure> {
    Ok(Answer(view(native.house.operation(&caller, id).await?)))
}

/// Get an operation's log
#[utoipa::path(
    get,
    path = "/v1/operations/{id}/log",
    tag = "operations",
    params(("id" = String, Path, format = "uuid", description = "The operation's id")),
    responses((status = 200, description = "Its lines, oldest first", body = wire::OperationLog))
)]
async fn log(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Id(id): Id<OperationId>,
) -> Result<Answer<wire::OperationLog>, Failure> {
    let lines = native.house.operation_log(&caller, id).await?.into_iter();
    let lines = lines.map(|line| wire::LogLine { at: line.at.into(), text: line.text }).collect();
    Ok(Answer(wire::OperationLog { lines }))
}

/// Ask an operation to take back what it did
///
/// It does so unless it is past its point of no return, which is a conflict.
#[utoipa::path(
    post,
    path = "/v1/operations/{id}/cancel",
    tag = "operations",
    params(("id" = String, Path, format = "uuid", description = "The operation's id")),
    responses((status = 202, description = "It will", body = wire::Operation))
)]
async fn cancel(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Id(id): Id<OperationId>,
) -> Result<impl IntoResponse + use<>, Failure> {
    native.house.cancel_operation(&caller, id).await?;
    Ok(accepted(id, view(native.house.operation(&caller, id).await?)))
}

/// Let a stuck operation go on
#[utoipa::path(
    post,
    path = "/v1/operations/{id}/resume",
    tag = "operations",
    params(("id" = String, Path, format = "uuid", description = "The operation's id")),
    responses((status = 202, description = "It goes on", body = wire::Operation))
)]
async fn resume(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Id(id): Id<OperationId>,
) -> Result<impl IntoResponse + use<>, Failure> {
    native.house.resume_operation(&caller, id).await?;
    Ok(accepted(id, view(native.house.operation(&caller, id).await?)))
}

/// Give a stuck operation up, with what it has left behind (administrators)
#[utoipa::path(
    post,
    path = "/v1/operations/{id}/abandon",
    tag = "operations",
    params(("id" = String, Path, format = "uuid", description = "The operation's id")),
    responses((status = 200, description = "It is abandoned", body = wire::Operation))
)]
async fn abandon(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Id(id): Id<OperationId>,
) -> Result<Answer<wire::Operation>, Failure> {
    native.house.abandon_operation(&caller, id).await?;
    Ok(Answer(view(native.house.operation(&caller, id).await?)))
}
