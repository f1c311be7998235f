//! Guests with our mark that belong to no instance (administrators).

use axum::Json as Answer;
use axum::extract::State;
use axum::response::IntoResponse;
use client::wire;
use model::Timestamp;
use provisioner::{Looked, OrphanInfo};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::Failure;
use super::extract::{Authenticated, ProviderAndGuest};
use super::{Native, accepted};

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(collect))
}

fn orphan(orphan: OrphanInfo, now: Timestamp) -> wire::Orphan {
    wire::Orphan {
        provider: orphan.provider.to_string(),
        guest: orphan.guest,
        name: orphan.name,
        host: orphan.host.to_string(),
        power: orphan.power.into(),
        instance: orphan.instance,
        copy: orphan.copy,
        found_at: orphan.found_at.into(),
        age_seconds: now.since(orphan.found_at).as_secs(),
    }
}

fn looked(looked: Looked, now: Timestamp) -> wire::Looked {
    wire::Looked {
        provider: looked.provider.to_string(),
        complete_at: looked.complete_at.map(Into::into),
        age_seconds: looked.complete_at.map(|at| now.since(at).as_secs()),
        incomplete: looked.incomplete,
    }
}

/// List orphans (administrators)
///
/// Guests that carry this installation's mark and belong to no instance, as last
/// seen. Nothing removes them but a collection that somebody asks for.
#[utoipa::path(get, path = "/v1/orphans", tag = "orphans", responses((status = 200, description = "The orphans, and when everything was last seen", body = wire::OrphanList)))]
async fn list(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
) -> Result<Answer<wire::OrphanList>, Failure> {
    let (report, now) = (native.house.orphans(&caller).await?, native.clock.now());
    Ok(Answer(wire::OrphanList {
        orphans: report.orphans.into_iter().map(|found| orphan(found, now)).collect(),
        looked: report.looked.into_iter().map(|look| looked(look, now)).collect(),
    }))
}

/// Remove an orphan with its disks (administrators)
///
/// Only the guest that was reported is removed; whose it is is read again
/// immediately before. One that belongs to an instance by now is a conflict.
#[utoipa::path(
    post,
    path = "/v1/orphans/{provider}/{guest}/collect",
    tag = "orphans",
    params(
        ("provider" = String, Path, description = "The provider where it is"),
        ("guest" = String, Path, description = "What its provider calls it")
    ),
    responses((status = 202, description = "Accepted", body = wire::AcceptedOperation))
)]
async fn collect(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    ProviderAndGuest(provider, guest): ProviderAndGuest,
) -> Result<impl IntoResponse + use<>, Failure> {
    let operation = native.house.collect_orphan(&caller, &provider, &guest).await?;
    Ok(accepted(operation, wire::AcceptedOperation { operation }))
}
