//! Instances: reads from memory, and what changes one. A change is accepted and
//! carried out behind; one that comes while another is under way waits for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use model::{Error, HostId, Instance, InstanceState, OperationId, OperationState, Phase};
use provisioner::{EditInstance, PowerChange};
use serde_json::{Value, json};

use super::create::{object, text};
use super::error::Failure;
use super::wire::{Identifier, InstanceAnswer, address};
use super::{IMAGE_LABEL, Visa};

type Answer = Result<Json<Value>, Failure>;

fn message(text: &str) -> Answer {
    Ok(Json(json!({ "message": text })))
}

impl Visa {
    fn found(&self, id: &str) -> Result<Arc<Instance>, Failure> {
        self.house.numbered(&self.caller, id).map_err(Failure::from)
    }

    fn answer(&self, row: &Instance) -> Option<InstanceAnswer> {
        let number = self.house.number_of(&self.caller, row.id)?;
        // An image's row stays when its template goes.
        let key = |id| match self.house.image(&self.caller, id) {
            Ok(image) => self.house.image_key(&self.caller, &image),
            Err(_) => id.to_string(),
        };
        // One that was taken over may be made from what is gone.
        let label = || row.spec.labels.get(IMAGE_LABEL).cloned().unwrap_or_default();
        let image = row.spec.image.map_or_else(label, key);
        Some(InstanceAnswer::new(row, number, image))
    }
}

pub(super) async fn list(State(visa): State<Visa>) -> Json<Vec<InstanceAnswer>> {
    let rows = visa.house.instances(&visa.caller, &visa.ours());
    Json(rows.iter().filter_map(|row| visa.answer(row)).collect())
}

pub(super) async fn identifiers(State(visa): State<Visa>) -> Json<Vec<Identifier>> {
    let rows = visa.house.instances(&visa.caller, &visa.ours());
    let identifier = |row: &Arc<Instance>| {
        let id = visa.house.number_of(&visa.caller, row.id)?;
        Some(Identifier { id, name: row.spec.name.clone() })
    };
    Json(rows.iter().filter_map(identifier).collect())
}

pub(super) async fn get(
    State(visa): State<Visa>,
    Path(id): Path<String>,
) -> Result<Json<InstanceAnswer>, Failure> {
    let row = visa.found(&id)?;
    visa.answer(&row).map(Json).ok_or(Failure::NotFound)
}

pub(super) async fn ip(State(visa): State<Visa>, Path(id): Path<String>) -> Answer {
    let row = visa.found(&id)?;
    Ok(Json(json!({ "ip": address(&row) })))
}

pub(super) async fn groups(
    State(visa): State<Visa>,
    Path(id): Path<String>,
) -> Result<Json<Vec<String>>, Failure> {
    Ok(Json(visa.found(&id)?.spec.security_groups.clone()))
}

/// Asks until it is accepted: while something else changes the instance, that is
/// waited for, as long as the client's patience lasts.
async fn accepted<T, F: Future<Output = Result<T, Error>>>(
    visa: &Visa,
    id: &str,
    ask: impl Fn(Arc<Instance>) -> F,
) -> Result<T, Failure> {
    let until = Instant::now() + visa.settings.patience;
    loop {
        let row = visa.found(id)?;
        let (instance, there) = (row.id, row.phase == Phase::Ready);
        let refused = match ask(row).await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let left = until.saturating_duration_since(Instant::now());
        match &refused {
            Error::Conflict { operation: Some(_), .. } | Error::PreconditionFailed { .. }
                if there && !left.is_zero() =>
            {
                visa.house.at_rest(&visa.caller, instance, left).await?;
                // A stuck operation keeps its claim: no use in asking at once.
                tokio::time::sleep(Duration::from_millis(50).min(left)).await;
            }
            _ => return Err(refused.into()),
        }
    }
}

/// Waits for an operation's end, as long as the client's patience lasts. What
/// goes on beyond that goes on.
async fn ended(visa: &Visa, row: &Instance, operation: OperationId) -> Result<(), Failure> {
    visa.house.at_rest(&visa.caller, row.id, visa.settings.patience).await?;
    let operation = visa.house.operation(&visa.caller, operation).await?;
    match operation.state {
        OperationState::Failed | OperationState::Stuck => {
            Err(Failure::Failed(operation.reason.unwrap_or_default()))
        }
        _ => Ok(()),
    }
}

async fn change_power(visa: &Visa, id: &str, change: PowerChange) -> Result<(), Failure> {
    accepted(
        visa,
        id,
        |row| async move { visa.house.change_power(&visa.caller, row.id, change).await },
    )
    .await
    .map(drop)
}

pub(super) async fn start(State(visa): State<Visa>, Path(id): Path<String>) -> Answer {
    if visa.found(&id)?.state() != InstanceState::Starting {
        change_power(&visa, &id, PowerChange::Start).await?;
    }
    message("Starting instance")
}

pub(super) async fn shutdown(State(visa): State<Visa>, Path(id): Path<String>) -> Answer {
    if visa.found(&id)?.state() != InstanceState::Stopping {
        let timeout = visa.settings.shutdown_timeout;
        change_power(&visa, &id, PowerChange::Shutdown { timeout, force: true }).await?;
    }
    message("Shutting down instance")
}

pub(super) async fn reboot(State(visa): State<Visa>, Path(id): Path<String>) -> Answer {
    if visa.found(&id)?.state() != InstanceState::Rebooting {
        let timeout = visa.settings.shutdown_timeout;
        change_power(&visa, &id, PowerChange::Reboot { timeout }).await?;
    }
    message("Rebooting instance")
}

/// Final, whatever the instance is in: nobody asks twice.
pub(super) async fn delete(State(visa): State<Visa>, Path(id): Path<String>) -> Answer {
    let row = visa.found(&id)?;
    let grace = visa.settings.delete_grace;
    visa.house.delete_instance_gently(&visa.caller, row.id, grace).await?;
    message("Deleted instance")
}

/// The name of a group: the only key that counts.
fn group_name(body: &[u8]) -> Result<String, Failure> {
    text(&object(body)?, "name")
}

/// Changes the groups by what they are now, and waits: the next change of VISA
/// follows at once.
async fn change_groups(
    visa: &Visa,
    id: &str,
    change: impl Fn(&mut Vec<String>),
) -> Result<(), Failure> {
    let begun = accepted(visa, id, |row| {
        let mut groups = row.spec.security_groups.clone();
        change(&mut groups);
        async move {
            if groups == row.spec.security_groups {
                return Ok(None);
            }
            let mut caller = visa.caller.clone();
            caller.request.if_sequence = Some(vec![row.sequence]);
            let edit = EditInstance { security_groups: Some(groups), ..EditInstance::default() };
            let operation = visa.house.edit_instance(&caller, row.id, edit).await?;
            Ok(Some((row, operation)))
        }
    })
    .await?;
    match begun {
        Some((row, operation)) => ended(visa, &row, operation).await,
        None => Ok(()),
    }
}

pub(super) async fn add_group(
    State(visa): State<Visa>,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer {
    let name = group_name(&body)?;
    let add = |groups: &mut Vec<String>| {
        if !groups.contains(&name) {
            groups.push(name.clone());
        }
    };
    change_groups(&visa, &id, add).await?;
    message("Added security group")
}

pub(super) async fn remove_group(
    State(visa): State<Visa>,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer {
    let name = group_name(&body)?;
    change_groups(&visa, &id, |groups| groups.retain(|group| *group != name)).await?;
    message("Removed security group")
}

/// Moves the instance, running or not, to the host that is named or to the best.
pub(super) async fn migrate(
    State(visa): State<Visa>,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer {
    let host = match object(&body)?.get("host") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) if name.is_empty() => None,
        Some(Value::String(name)) => {
            let name = name.rsplit('/').next().unwrap_or_default();
            let host = name.parse::<HostId>();
            Some(host.map_err(|_| Failure::Invalid("\"host\" must be a host".to_owned()))?)
        }
        Some(_) => return Err(Failure::Invalid("\"host\" must be a string".to_owned())),
    };
    accepted(&visa, &id, |row| {
        let (visa, host) = (&visa, host.clone());
        async move { visa.house.migrate_instance(&visa.caller, row.id, host, true).await }
    })
    .await?;
    message("Migrating instance")
}
