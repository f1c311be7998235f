//! Instances: create, get, list, power, delete.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json as Answer};
use client::wire;
use http::HeaderMap;
use model::{
    ByteCount, Caller, DiskSpec, Error, FlavourId, HostId, ImageId, Instance, InstanceId, NicSpec,
    ProjectId, Timestamp,
};
use provisioner::{CreateInstance, HostChoice, House, InstanceFilter, PlannedCreate, PowerChange};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::Failure;
use super::extract::{Authenticated, Id, Json, JsonOrDefault, Params};
use super::terms::Unkept;
use super::{Native, accepted, etag, page};

pub(super) fn routes() -> OpenApiRouter<Native> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, delete))
        .routes(routes!(start))
        .routes(routes!(stop))
        .routes(routes!(shutdown))
        .routes(routes!(reboot))
}

/// The names that instances are shown with.
struct Catalogue {
    images: BTreeMap<ImageId, Arc<model::Image>>,
    flavours: BTreeMap<FlavourId, Arc<model::Flavour>>,
    /// What expires before this expires soon.
    soon: Timestamp,
}

impl Catalogue {
    fn of(house: &House, caller: &Caller) -> Self {
        Self {
            images: house.images(caller).into_iter().map(|image| (image.id, image)).collect(),
            flavours: house.flavours(caller).into_iter().map(|row| (row.id, row)).collect(),
            soon: house.expiring_before(),
        }
    }

    fn image(&self, id: ImageId) -> wire::Named {
        let name = self.images.get(&id).map(|image| image.name.clone());
        wire::Named { id: id.to_string(), name }
    }

    fn flavour(&self, id: FlavourId) -> wire::Named {
        let name = self.flavours.get(&id).map(|flavour| flavour.name.clone());
        wire::Named { id: id.to_string(), name }
    }
}

fn view(instance: &Instance, catalogue: &Catalogue, now: Timestamp) -> wire::Instance {
    let spec = &instance.spec;
    let observed = instance.observed.as_ref();
    let address =
        |address: &model::Address| wire::Address { ip: address.ip, mac: address.mac.clone() };
    wire::Instance {
        id: instance.id,
        name: spec.name.clone(),
        project: instance.project.to_string(),
        state: instance.state().into(),
        phase: instance.phase.into(),
        power: observed.map(|seen| seen.power.into()),
        image: spec.image.map(|id| catalogue.image(id)),
        flavour: spec.flavour.map(|id| catalogue.flavour(id)),
        cores: spec.cores,
        memory_bytes: spec.memory.as_bytes(),
        disks: spec
            .disks
            .iter()
            .map(|disk| wire::Disk { size_bytes: disk.size.as_bytes() })
            .collect(),
        addresses: observed
            .map_or_else(Vec::new, |seen| seen.addresses.iter().map(address).collect()),
        provider: instance.provider.to_string(),
        host: observed.map(|seen| seen.host.to_string()),
        fault: instance.fault.as_ref().map(|fault| wire::Fault {
            message: fault.message.clone(),
            at: fault.at.into(),
            operation: fault.operation,
            stuck: fault.stuck,
        }),
        operation: instance
            .operation
            .map(|(id, kind)| wire::RunningOperation { id, kind: kind.into() }),
        observed_at: observed.map(|seen| seen.at.into()),
        age_seconds: observed.map(|seen| now.since(seen.at).as_secs()),
        created_at: instance.created_at.into(),
        managed_by: instance.managed_by.into(),
        labels: spec.labels.clone(),
        description: spec.description.clone(),
        tags: spec.tags.clone(),
        protected: spec.protected,
        ownership: instance.ownership.into(),
        expires_at: spec.expires_at.map(Into::into),
        expiring: spec.expires_at.is_some_and(|at| at <= catalogue.soon),
        pending: observed.map(|seen| seen.pending.clone()).unwrap_or_default(),
        snapshots: u32::try_from(instance.snapshots.taken.len()).unwrap_or(u32::MAX),
        generation: instance.generation,
    }
}

fn image_called(house: &House, caller: &Caller, text: &str) -> Result<ImageId, Error> {
    find("image", text, &house.images(caller), |image| (image.id, &image.name))
}

pub(super) fn flavour_called(
    house: &House,
    caller: &Caller,
    text: &str,
) -> Result<FlavourId, Error> {
    find("flavour", text, &house.flavours(caller), |flavour| (flavour.id, &flavour.name))
}

/// What a request calls a thing by: an id, or a name that only one has.
fn find<Id, T>(
    field: &str,
    text: &str,
    things: &[Arc<T>],
    of: impl Fn(&T) -> (Id, &str),
) -> Result<Id, Error>
where
    Id: std::str::FromStr + std::fmt::Display,
{
    const SHOWN: usize = 10;
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let given: String = text.chars().take(80).collect();
    let mut found: Vec<Id> = things
        .iter()
        .map(|thing| of(thing))
        .filter(|(_, name)| *name == text)
        .map(|(id, _)| id)
        .collect();
    match (found.pop(), found.as_slice()) {
        (Some(id), []) => Ok(id),
        (Some(id), others) => {
            let ids: Vec<String> =
                others.iter().chain([&id]).take(SHOWN).map(ToString::to_string).collect();
            let message =
                format!("more than one is called {given:?}; give an id: {}", ids.join(", "));
            Err(Error::invalid(field, message))
        }
        (None, _) if things.is_empty() => Err(Error::invalid(
            field,
            format!("there is no {field} {given:?}; there is none at all"),
        )),
        (None, _) => {
            let mut names: Vec<&str> = things.iter().map(|thing| of(thing).1).collect();
            names.sort_unstable();
            names.truncate(SHOWN);
            if things.len() > SHOWN {
                names.push("…");
            }
            let message = format!("there is no {field} {given:?}; there are {}", names.join(", "));
            Err(Error::invalid(field, message))
        }
    }
}

pub(super) fn name_of<T: std::str::FromStr<Err = model::ParseIdError>>(
    field: &str,
    text: Option<String>,
) -> Result<Option<T>, Error> {
    text.map(|text| {
        text.parse().map_err(|error: model::ParseIdError| Error::invalid(field, error.to_string()))
    })
    .transpose()
}

fn request_of(
    house: &House,
    caller: &Caller,
    request: wire::CreateInstance,
) -> Result<CreateInstance, Error> {
    let image = image_called(house, caller, &request.image)?;
    let flavour = request.flavour.as_ref();
    let flavour = flavour.map(|text| flavour_called(house, caller, text)).transpose()?;
    let disk = |disk: wire::Disk| DiskSpec { size: ByteCount::bytes(disk.size_bytes) };
    Ok(CreateInstance {
        name: request.name,
        image: Some(image),
        flavour,
        cores: request.cores,
        memory: request.memory_bytes.map(ByteCount::bytes),
        disks: request.disks.into_iter().map(disk).collect(),
        nics: request.nics.into_iter().map(|nic| NicSpec { network: nic.network }).collect(),
        security_groups: request.security_groups,
        host: name_of::<HostId>("host", request.host)?,
        start: request.start,
        labels: request.labels,
        user_data: request.user_data.map(wire::Secret::into_inner),
        network_config: request.network_config.map(wire::Secret::into_inner),
        ssh_authorized_keys: request.ssh_authorized_keys,
        description: request.description,
        tags: request.tags,
        protected: request.protected,
        expires_at: request.expires_at.map(|at| at.0),
        project: name_of::<ProjectId>("project", request.project)?,
        ..CreateInstance::default()
    })
}

/// List instances, oldest first
///
/// Those of the token's project; all for an administrator.
#[utoipa::path(
    get,
    path = "/v1/instances",
    tag = "instances",
    params(wire::InstanceQuery),
    responses((status = 200, description = "One page", body = wire::InstanceList))
)]
async fn list(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    Params(query): Params<wire::InstanceQuery>,
) -> Result<Response, Failure> {
    let limit = page::limit(query.limit)?;
    let filter = filter_of(&native.house, &caller, query, limit)?;
    // Before the rows: what changes meanwhile is in the next answer's tag.
    let tag = etag::of_list(native.house.sequence());
    Ok(etag::answer(&headers, &tag, || {
        let mut instances = native.house.instances(&caller, &filter);
        let next = page::cut(&mut instances, limit, |last| last.id);
        let (catalogue, now) = (Catalogue::of(&native.house, &caller), native.clock.now());
        let instances = instances.iter().map(|instance| view(instance, &catalogue, now)).collect();
        let body = Answer(wire::InstanceList { instances, next });
        (page::link(&uri, next.as_ref()), body).into_response()
    }))
}

fn filter_of(
    house: &House,
    caller: &Caller,
    query: wire::InstanceQuery,
    limit: usize,
) -> Result<InstanceFilter, Error> {
    let label = query.label.map(|label| match label.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (label, None),
    });
    let image = query.image.map(|text| image_called(house, caller, &text)).transpose()?;
    let flavour = query.flavour.map(|text| flavour_called(house, caller, &text)).transpose()?;
    Ok(InstanceFilter {
        name: query.name,
        state: query.state.map(Into::into),
        host: name_of("host", query.host)?,
        provider: name_of("provider", query.provider)?,
        image,
        flavour,
        tag: query.tag,
        label,
        managed_by: query.managed_by.map(Into::into),
        project: name_of("project", query.project)?,
        after: query.after,
        // One more than asked for shows whether there is another page.
        limit: limit + 1,
    })
}

pub(super) fn host_score(choice: HostChoice) -> wire::HostScore {
    wire::HostScore {
        host: choice.host.to_string(),
        score: choice.score.as_ref().ok().copied(),
        refused: choice.score.err(),
    }
}

fn dry_run(planned: PlannedCreate) -> wire::DryRun {
    let spec = planned.spec;
    let disk = |disk: DiskSpec| wire::Disk { size_bytes: disk.size.as_bytes() };
    wire::DryRun {
        possible: planned.refused.is_none(),
        refused: planned.refused,
        project: planned.project.to_string(),
        cores: spec.cores,
        memory_bytes: spec.memory.as_bytes(),
        disks: spec.disks.into_iter().map(disk).collect(),
        host: planned.host.map(|host| host.to_string()),
        hosts: planned.hosts.into_iter().map(host_score).collect(),
        actions: planned.actions,
    }
}

/// Create an instance
///
/// The instance can be read at once; the operation makes it. With `dry_run` the
/// answer says what would be done, and nothing is.
#[utoipa::path(
    post,
    path = "/v1/instances",
    tag = "instances",
    params(wire::CreateQuery),
    request_body = wire::CreateInstance,
    responses(
        (status = 202, description = "Accepted", body = wire::Accepted),
        (status = 200, description = "With `dry_run`: what would be done", body = wire::DryRun),
    )
)]
async fn create(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Params(query): Params<wire::CreateQuery>,
    Json(request): Json<wire::CreateInstance>,
) -> Result<Response, Failure> {
    let request = request_of(&native.house, &caller, request)?;
    if query.dry_run {
        let planned = native.house.plan_instance(&caller, request).await?;
        return Ok((Extension(Unkept), Answer(dry_run(planned))).into_response());
    }
    let answer = native.house.create_instance(&caller, request).await?;
    let body = wire::Accepted { instance: answer.instance, operation: answer.operation };
    Ok(accepted(answer.operation, body).into_response())
}

/// Get an instance
///
/// The last known state, with its age, whether or not its hypervisor answers.
#[utoipa::path(
    get,
    path = "/v1/instances/{id}",
    tag = "instances",
    params(("id" = String, Path, format = "uuid", description = "The instance's id")),
    responses((status = 200, description = "The instance", body = wire::Instance))
)]
async fn get(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
    Id(id): Id<InstanceId>,
) -> Result<Response, Failure> {
    let instance = native.house.instance(&caller, id)?;
    Ok(etag::answer(&headers, &etag::of_instance(instance.sequence), || {
        let catalogue = Catalogue::of(&native.house, &caller);
        Answer(view(&instance, &catalogue, native.clock.now())).into_response()
    }))
}

/// Delete an instance with everything that belongs to it
///
/// Whatever else is changing it is superseded. Repeated, it joins the deletion
/// under way.
#[utoipa::path(
    delete,
    path = "/v1/instances/{id}",
    tag = "instances",
    params(("id" = String, Path, format = "uuid", description = "The instance's id")),
    responses((status = 202, description = "Accepted", body = wire::Accepted))
)]
async fn delete(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Id(id): Id<InstanceId>,
) -> Result<impl IntoResponse + use<>, Failure> {
    let operation = native.house.delete_instance(&caller, id).await?;
    Ok(accepted(operation, wire::Accepted { instance: id, operation }))
}

async fn power(
    native: &Native,
    caller: &Caller,
    id: InstanceId,
    change: PowerChange,
) -> Result<impl IntoResponse + use<>, Failure> {
    let operation = native.house.change_power(caller, id, change).await?;
    Ok(accepted(operation, wire::Accepted { instance: id, operation }))
}

/// Power an instance on
#[utoipa::path(
    post,
    path = "/v1/instances/{id}/start",
    tag = "instances",
    params(("id" = String, Path, format = "uuid", description = "The instance's id")),
    responses((status = 202, description = "Accepted", body = wire::Accepted))
)]
async fn start(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Id(id): Id<InstanceId>,
) -> Result<impl IntoResponse + use<>, Failure> {
    power(&native, &caller, id, PowerChange::Start).await
}

/// Power an instance off, hard
#[utoipa::path(
    post,
    path = "/v1/instances/{id}/stop",
    tag = "instances",
    params(("id" = String, Path, format = "uuid", description = "The instance's id")),
    responses((status = 202, description = "Accepted", body = wire::Accepted))
)]
async fn stop(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Id(id): Id<InstanceId>,
) -> Result<impl IntoResponse + use<>, Failure> {
    power(&native, &caller, id, PowerChange::Stop).await
}

/// Ask an instance to shut down
///
/// The body may be left out.
#[utoipa::path(
    post,
    path = "/v1/instances/{id}/shutdown",
    tag = "instances",
    params(("id" = String, Path, format = "uuid", description = "The instance's id")),
    request_body = Option<wire::Shutdown>,
    responses((status = 202, description = "Accepted", body = wire::Accepted))
)]
async fn shutdown(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Id(id): Id<InstanceId>,
    JsonOrDefault(request): JsonOrDefault<wire::Shutdown>,
) -> Result<impl IntoResponse + use<>, Failure> {
    let timeout = Duration::from_secs(request.timeout_seconds);
    power(&native, &caller, id, PowerChange::Shutdown { timeout, force: request.force }).await
}

/// Ask an instance to restart
///
/// The body may be left out.
#[utoipa::path(
    post,
    path = "/v1/instances/{id}/reboot",
    tag = "instances",
    params(("id" = String, Path, format = "uuid", description = "The instance's id")),
    request_body = Option<wire::Reboot>,
    responses((status = 202, description = "Accepted", body = wire::Accepted))
)]
async fn reboot(
    State(native): State<Native>,
    Authenticated(caller): Authenticated,
    Id(id): Id<InstanceId>,
    JsonOrDefault(request): JsonOrDefault<wire::Reboot>,
) -> Result<impl IntoResponse + use<>, Failure> {
    let timeout = Duration::from_secs(request.timeout_seconds);
    power(&native, &caller, id, PowerChange::Reboot { timeout }).await
}
