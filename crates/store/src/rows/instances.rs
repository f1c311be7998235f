use model::{
    ExpiryNotes, Instance, InstanceId, Observed, OperationId, OperationKind, Ownership, Phase,
    ProjectId, ProviderId, Snapshots,
};
use serde_json::Value as Json;

use super::{aliases, annotations, events, ids, page, projects, secrets, seeds};
use crate::change::InstanceUpdate;
use crate::db::{Connection, Row, Tx, Value, int, json, text, word};
use crate::feed::FeedKind;
use crate::flow::instance_of_claim;
use crate::{Error, SpecUpdate};

/// Which instances are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceFilter {
    /// Those of this project.
    pub project: Option<ProjectId>,
    /// Those of this provider.
    pub provider: Option<ProviderId>,
    /// Those of this name.
    pub name: Option<String>,
    /// Those in this phase.
    pub phase: Option<Phase>,
    /// Those after this one, for the next page. Pages are in the order of ids.
    pub after: Option<InstanceId>,
    /// How many at most (1 to 10,000).
    pub limit: u32,
}

impl Default for InstanceFilter {
    fn default() -> Self {
        Self { project: None, provider: None, name: None, phase: None, after: None, limit: 1000 }
    }
}

/// The claim of an instance is held by the operation that is changing it, and
/// may be waited for by the one that takes it over: that one is shown.
macro_rules! select {
    ($condition:literal) => {
        concat!(
            "SELECT i.id, i.project, i.managed_by, i.provider, i.spec, i.generation, i.phase,
                i.attempt, i.attempts, i.native, i.observed, i.fault, i.snapshots, i.ownership, i.expiry,
                i.created_at,
                o.id AS operation, o.kind AS operation_kind,
                COALESCE(f.sequence, 0) AS sequence
            FROM instances i
            LEFT JOIN claims c ON c.resource = 'instance/' || i.id
            LEFT JOIN operations o ON o.id = COALESCE(c.next_workflow, c.workflow)
            LEFT JOIN feed f ON f.kind = 'instance' AND f.id = i.id
            WHERE ",
            $condition
        )
    };
}

fn read(row: &Row) -> Result<Instance, Error> {
    let operation: Option<OperationId> = row.opt_parsed("operation")?;
    let kind: Option<OperationKind> = row.opt_parsed("operation_kind")?;
    Ok(Instance {
        id: row.parsed("id")?,
        project: row.parsed("project")?,
        managed_by: row.word("managed_by")?,
        provider: row.parsed("provider")?,
        spec: row.json("spec")?,
        generation: row.uint("generation")?,
        phase: row.word("phase")?,
        attempt: row.parsed("attempt")?,
        attempts: row.small("attempts")?,
        native: row.json("native")?,
        observed: row.opt_json("observed")?,
        fault: row.opt_json("fault")?,
        operation: operation.zip(kind),
        snapshots: row.opt_json("snapshots")?.unwrap_or_default(),
        ownership: match row.opt_text("ownership")? {
            Some(_) => row.word("ownership")?,
            None => Ownership::default(),
        },
        expiry: row.opt_json("expiry")?.unwrap_or_default(),
        created_at: row.time("created_at")?,
        sequence: row.uint("sequence")?,
    })
}

pub(crate) async fn get(db: &mut Connection, id: InstanceId) -> Result<Option<Instance>, Error> {
    let row = db.fetch_one(select!("i.id = $1"), &[text(id)]).await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn list(
    db: &mut Connection,
    filter: &InstanceFilter,
) -> Result<Vec<Instance>, Error> {
    let optional = |text: Option<String>| Value::Text(text);
    let phase = filter.phase.as_ref().map(word).transpose()?;
    let rows = db
        .fetch_all(
            select!(
                "($1 IS NULL OR i.project = $1) AND ($2 IS NULL OR i.provider = $2)
                AND ($3 IS NULL OR i.name = $3) AND ($4 IS NULL OR i.phase = $4)
                AND ($5 IS NULL OR i.id > $5) ORDER BY i.id LIMIT $6"
            ),
            &[
                optional(filter.project.as_ref().map(ToString::to_string)),
                optional(filter.provider.as_ref().map(ToString::to_string)),
                optional(filter.name.clone()),
                phase.unwrap_or(Value::Text(None)),
                optional(filter.after.map(|id| id.to_string())),
                page(filter.limit),
            ],
        )
        .await?;
    rows.iter().map(read).collect()
}

pub(crate) async fn insert(tx: &mut Tx, instance: &Instance) -> Result<(), Error> {
    let insert = "INSERT INTO instances (id, project, managed_by, provider, name, spec,
            generation, phase, attempt, attempts, native, observed, fault, created_at,
            snapshots, ownership, expiry)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
    let parameters = [
        text(instance.id),
        text(&instance.project),
        word(&instance.managed_by)?,
        text(&instance.provider),
        text(&instance.spec.name),
        json(&instance.spec)?,
        int(instance.generation)?,
        word(&instance.phase)?,
        text(instance.attempt),
        instance.attempts.into(),
        json(&instance.native)?,
        instance.observed.as_ref().map_or(Ok(Value::Text(None)), json)?,
        instance.fault.as_ref().map_or(Ok(Value::Text(None)), json)?,
        instance.created_at.into(),
        snapshots(instance)?,
        ownership(instance)?,
        expiry(instance)?,
    ];
    tx.db.execute(insert, &parameters).await?;
    tx.touch(FeedKind::Instance, instance.id);
    projects::note_size(tx, instance).await?;
    events::of_instance(tx, "instance.created", instance, &[]).await
}

pub(crate) async fn update(
    tx: &mut Tx,
    id: InstanceId,
    update: InstanceUpdate,
) -> Result<(), Error> {
    let Some(mut instance) = get(&mut tx.db, id).await? else {
        // Seen by the observer while it was deleted, say.
        return match update.spec {
            Some(_) => Err(Error::not_found("instance", id)),
            None => Ok(()),
        };
    };
    if update.if_sequence.is_some_and(|sequence| sequence != instance.sequence) {
        return Ok(());
    }
    let before = instance.clone();
    merge(&mut instance, update, tx)?;
    let write = "UPDATE instances SET provider = $2, name = $3, spec = $4, generation = $5,
            phase = $6, attempt = $7, attempts = $8, native = $9, observed = $10, fault = $11,
            snapshots = $12, expiry = $13, ownership = $14
        WHERE id = $1";
    let parameters = [
        text(id),
        text(&instance.provider),
        text(&instance.spec.name),
        json(&instance.spec)?,
        int(instance.generation)?,
        word(&instance.phase)?,
        text(instance.attempt),
        instance.attempts.into(),
        json(&instance.native)?,
        instance.observed.as_ref().map_or(Ok(Value::Text(None)), json)?,
        instance.fault.as_ref().map_or(Ok(Value::Text(None)), json)?,
        snapshots(&instance)?,
        expiry(&instance)?,
        ownership(&instance)?,
    ];
    tx.db.execute(write, &parameters).await?;
    tx.touch(FeedKind::Instance, id);
    if before.generation != instance.generation {
        projects::note_size(tx, &instance).await?;
    }
    match events::differences(&before, &instance).as_slice() {
        [] => Ok(()),
        changed => events::of_instance(tx, "instance.changed", &instance, changed).await,
    }
}

fn merge(instance: &mut Instance, update: InstanceUpdate, tx: &Tx) -> Result<(), Error> {
    if let Some(SpecUpdate { replaces, spec }) = update.spec {
        if replaces != instance.generation {
            return Err(Error::Conflict(instance.generation));
        }
        instance.generation += 1;
        instance.spec = *spec;
    }
    if let Some(native) = update.native {
        merge_native(&mut instance.native, native);
    }
    if let Some(observed) = update.observed {
        instance.observed = observed;
    }
    if let (Some(addresses), Some(seen)) = (update.addresses, &instance.observed) {
        instance.observed = Some(Observed { addresses, at: tx.now, ..seen.clone() });
    }
    if let (Some(power), Some(seen)) = (update.power, &instance.observed) {
        instance.observed = Some(Observed { power, at: tx.now, ..seen.clone() });
    }
    if let Some(seen) = &mut instance.observed {
        if let Some(host) = update.host {
            (seen.host, seen.at) = (host, tx.now);
        }
        seen.pending = update.pending.unwrap_or(std::mem::take(&mut seen.pending));
    }
    if let Some(snapshots) = update.snapshots {
        instance.snapshots = snapshots;
    }
    instance.ownership = update.ownership.unwrap_or(instance.ownership);
    instance.expiry = update.expiry.unwrap_or(instance.expiry);
    if let Some(fault) = update.fault {
        instance.fault = fault.map(|mut fault| {
            fault.operation = fault.operation.or(tx.origin);
            fault
        });
    }
    instance.phase = update.phase.unwrap_or(instance.phase);
    instance.attempt = update.attempt.unwrap_or(instance.attempt);
    instance.attempts = update.attempts.unwrap_or(instance.attempts);
    if let Some(provider) = update.provider {
        instance.provider = provider;
    }
    Ok(())
}

/// What we made says nothing of its ownership.
fn ownership(instance: &Instance) -> Result<Value, Error> {
    let made = instance.ownership == Ownership::Made;
    if made { Ok(Value::Text(None)) } else { word(&instance.ownership) }
}

fn expiry(instance: &Instance) -> Result<Value, Error> {
    let none = instance.expiry == ExpiryNotes::default();
    if none { Ok(Value::Text(None)) } else { json(&instance.expiry) }
}

fn snapshots(instance: &Instance) -> Result<Value, Error> {
    let none = instance.snapshots == Snapshots::default();
    if none { Ok(Value::Text(None)) } else { json(&instance.snapshots) }
}

fn merge_native(native: &mut Json, update: Json) {
    match (native, update) {
        (Json::Object(native), Json::Object(update)) => native.extend(update),
        (native, update) => *native = update,
    }
}

/// Refuses an instance that does not stand at one of these sequences.
pub(crate) async fn expect(tx: &mut Tx, id: InstanceId, sequences: &[u64]) -> Result<(), Error> {
    let found = get(&mut tx.db, id).await?.ok_or_else(|| Error::not_found("instance", id))?;
    if sequences.contains(&found.sequence) {
        return Ok(());
    }
    Err(Error::Moved(found.sequence))
}

/// Forgets an instance with everything that belongs to it.
pub(crate) async fn remove(tx: &mut Tx, id: InstanceId) -> Result<(), Error> {
    if let Some(row) = get(&mut tx.db, id).await? {
        events::of_instance(tx, "instance.deleted", &row, &[]).await?;
    }
    seeds::remove(tx, id).await?;
    secrets::remove_of(tx, id).await?;
    annotations::remove_of(tx, id).await?;
    aliases::bury(tx, id).await?;
    ids::retire(tx, id, None, false).await?;
    tx.db.execute("DELETE FROM instances WHERE id = $1", &[text(id)]).await?;
    tx.touch(FeedKind::Instance, id);
    Ok(())
}

/// The claim of this resource has changed: if it is an instance's, that
/// instance shows another operation.
pub(crate) fn claim_changed(tx: &mut Tx, resource: &str) {
    if let Some(id) = instance_of_claim(resource) {
        tx.touch(FeedKind::Instance, id);
    }
}
