//! What a creation would do, without doing any of it.

use model::{
    AttemptId, Caller, Error, HostId, Instance, InstanceId, InstanceSpec, Mark, Phase, ProjectId,
    Role,
};
use provider::{IdRequest, ReservedId};

use super::{CreateInstance, public};
use crate::house::House;
use crate::placement::HostChoice;
use crate::workflows::create_intent;

/// What a creation would do now.
#[derive(Clone, Debug)]
pub struct PlannedCreate {
    /// What would be accepted.
    pub spec: InstanceSpec,
    /// For which project.
    pub project: ProjectId,
    /// Where it would be made; `None` when no host would do.
    pub host: Option<HostId>,
    /// Every host with its score or the reason why not.
    pub hosts: Vec<HostChoice>,
    /// The names of the actions in their order; empty without a host.
    pub actions: Vec<String>,
    /// Why it could not be made now.
    pub refused: Option<String>,
}

impl House {
    /// Checks a request for an instance as its creation would, and answers what
    /// that would do: nothing is written, reserved or sent.
    ///
    /// # Errors
    /// As [`House::create_instance`]. That no host would do is no error.
    pub async fn plan_instance(
        &self,
        caller: &Caller,
        request: CreateInstance,
    ) -> Result<PlannedCreate, Error> {
        caller.require(Role::Member)?;
        let (image, spec) = self.accept_spec(&request)?;
        let project = self.project_of(caller, request.project.as_ref())?;
        let instance = self.unsaved(caller, &image.provider, project.clone(), spec.clone());
        let mut planned = PlannedCreate {
            spec,
            project,
            host: None,
            hosts: Vec::new(),
            actions: Vec::new(),
            refused: None,
        };
        if let Err(reason) = self.look_ahead(&instance, &mut planned) {
            planned.refused = Some(reason);
        } else if let Err(error) = self.within_quota(&planned.project, &instance).await? {
            planned.refused = Some(public(error).to_string());
        }
        Ok(planned)
    }

    /// Whether the project has room for it now; the creation itself counts again.
    async fn within_quota(
        &self,
        project: &ProjectId,
        instance: &Instance,
    ) -> Result<Result<(), store::Error>, Error> {
        let store = &self.core.store;
        let Some(row) = store.project(project).await.map_err(public)? else { return Ok(Ok(())) };
        let image = instance.spec.image.and_then(|id| self.core.read_model.image(id)?.size);
        let disk = match instance.spec.disks.as_slice() {
            [] => image.map_or(0, model::ByteCount::as_bytes),
            disks => disks.iter().map(|disk| disk.size.as_bytes()).sum(),
        };
        let (cores, memory) = (u64::from(instance.spec.cores), instance.spec.memory.as_bytes());
        let used = store.usage(project).await.map_err(public)?;
        Ok(row.quota.check(used, store::Usage { instances: 1, cores, memory, disk }))
    }

    fn look_ahead(&self, instance: &Instance, into: &mut PlannedCreate) -> Result<(), String> {
        into.hosts = self.core.rate(instance)?;
        let host = crate::placement::best(&into.hosts).ok_or("no host can carry it")?;
        into.actions = self.actions(instance, into.host.insert(host))?;
        Ok(())
    }

    /// The names of the actions that would make this instance there.
    fn actions(&self, instance: &Instance, host: &HostId) -> Result<Vec<String>, String> {
        let core = &self.core;
        let provider = core.provider(&instance.provider).map_err(|error| error.to_string())?;
        let (installation, attempt) = (core.installation, instance.attempt);
        let mark = Mark { installation, instance: instance.id, attempt };
        let seed = core.seed_access(&instance.provider);
        let intent = create_intent(instance, host, instance.spec.start, seed);
        let intent = intent.map_err(|error| error.to_string())?;
        let facts = core.facts(instance, Some(host), mark);
        let requests = provider.ids_needed(&intent, &facts).map_err(|error| error.to_string())?;
        let ids: Vec<ReservedId> = requests.iter().map(example).collect();
        let plan = provider.plan(&intent, &facts, &ids).map_err(|error| error.to_string())?;
        Ok(plan.actions.into_iter().map(|action| action.name).collect())
    }

    /// The row of an instance that is only asked for.
    pub(super) fn unsaved(
        &self,
        caller: &Caller,
        provider: &model::ProviderId,
        project: ProjectId,
        spec: InstanceSpec,
    ) -> Instance {
        let (clock, random) = (&*self.core.clock, &*self.core.random);
        Instance {
            id: InstanceId::generate(clock, random),
            project,
            managed_by: caller.door,
            provider: provider.clone(),
            spec,
            generation: 1,
            phase: Phase::Creating,
            attempt: AttemptId::generate(clock, random),
            attempts: 1,
            native: serde_json::Value::Null,
            observed: None,
            fault: None,
            operation: None,
            snapshots: model::Snapshots::default(),
            ownership: model::Ownership::Made,
            expiry: model::ExpiryNotes::default(),
            created_at: clock.now(),
            sequence: 0,
        }
    }
}

/// An id that could be given. Which one is given is decided when it is reserved.
fn example(request: &IdRequest) -> ReservedId {
    let free = request.range.clone().find(|value| !request.taken.contains(value));
    ReservedId { pool: request.pool.clone(), value: free.unwrap_or_else(|| *request.range.start()) }
}
