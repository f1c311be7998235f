//! Projects and their quotas.

use axum::Json as Answer;
use axum::extract::State;
use client::wire;
use http::StatusCode;
use model::ProjectId;
use provisioner::{ProjectInfo, Quota};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Native;
use super::error::Failure;
use super::extract::{Authenticated, Id, Json};

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get, set, forget))
}

fn view(info: ProjectInfo) -> wire::Project {
    let (project, used) = (info.project, info.used);
    wire::Project {
        name: project.name.to_string(),
        description: project.description,
        quota: wire::Quota {
            instances: project.quota.instances,
            cores: project.quota.cores,
            memory_bytes: project.quota.memory,
            disk_bytes: project.quota.disk,
        },
        used: wire::Usage {
            instances: used.instances,
            cores: used.cores,
            memory_bytes: used.memory,
            disk_bytes: used.disk,
        },
        created_at: project.created_at.into(),
    }
}

/// List the projects that have limits, with what they use
///
/// For others than administrators their own project alone.
#[utoipa::path(get, path = "/v1/projects", tag = "projects", responses((status = 200, description = "The projects", body = wire::ProjectList)))]
async fn list(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
) -> Result<Answer<wire::ProjectList>, Failure> {
    let projects = native.house.projects(&caller).await?;
    Ok(Answer(wire::ProjectList { projects: projects.into_iter().map(view).collect() }))
}

/// Get a project, with what it may use and does use
#[utoipa::path(
    get,
    path = "/v1/projects/{id}",
    tag = "projects",
    params(("id" = String, Path, description = "The project's name")),
    responses((status = 200, description = "The project", body = wire::Project))
)]
async fn get(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Id(name): Id<ProjectId>,
) -> Result<Answer<wire::Project>, Failure> {
    Ok(Answer(view(native.house.project(&caller, &name).await?)))
}

/// Set what a project may use (administrators)
///
/// What it uses already stays, however much: only what adds to it is refused.
#[utoipa::path(
    put,
    path = "/v1/projects/{id}",
    tag = "projects",
    params(("id" = String, Path, description = "The project's name")),
    request_body = wire::SetProject,
    responses((status = 200, description = "The project", body = wire::Project))
)]
async fn set(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Id(name): Id<ProjectId>,
    Json(request): Json<wire::SetProject>,
) -> Result<Answer<wire::Project>, Failure> {
    let quota = Quota {
        instances: request.quota.instances,
        cores: request.quota.cores,
        memory: request.quota.memory_bytes,
        disk: request.quota.disk_bytes,
    };
    let set = native.house.set_project(&caller, name, request.description, quota).await?;
    Ok(Answer(view(set)))
}

/// Forget a project's limits (administrators); what belongs to it stays
#[utoipa::path(
    delete,
    path = "/v1/projects/{id}",
    tag = "projects",
    params(("id" = String, Path, description = "The project's name")),
    responses((status = 204, description = "It has no limits any more"))
)]
async fn forget(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Id(name): Id<ProjectId>,
) -> Result<StatusCode, Failure> {
    native.house.forget_project(&caller, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
