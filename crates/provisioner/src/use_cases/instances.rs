//! Instances: create, power, delete, get, list.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use engine::{NewWorkflow, WorkflowId};
use model::{
    ByteCount, Caller, DiskSpec, Error, FlavourId, HostId, Image, ImageId, Instance, InstanceId,
    InstanceSpec, Intent, NicSpec, Operation, OperationId, OperationKind, OperationState,
    Ownership, Phase, ProjectId, Role, SeedAccess, Timestamp, check_name,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use store::{Change, Start};

use super::audit::{Asked, accepted};
use super::checks::{check_expiry, check_guest, check_spec, spec_of};
use super::dialect::names_and_notes;
use super::keys::terms;
use super::power::guest_patience;
use super::public;
use crate::guest::{SeedRequest, render_nocloud};
use crate::house::House;
use crate::read_model::InstanceFilter;
use crate::workflows::{
    CreateInput, DeleteInput, IntentInput, create_kind, delete_kind, instance_claim, operation_kind,
};

/// A request for an instance. Cores, memory and the root disk come from the
/// flavour unless they are given.
#[derive(Clone, Debug, Default)]
pub struct CreateInstance {
    /// The guest's name; see [`model::check_name`].
    pub name: String,
    /// What it is made from.
    pub image: Option<ImageId>,
    /// A named size.
    pub flavour: Option<FlavourId>,
    /// Cores.
    pub cores: Option<u32>,
    /// Memory.
    pub memory: Option<ByteCount>,
    /// Disks; the first is the root disk.
    pub disks: Vec<DiskSpec>,
    /// Interfaces; empty keeps the image's.
    pub nics: Vec<NicSpec>,
    /// Security groups in order.
    pub security_groups: Vec<String>,
    /// A host, when it must be that one.
    pub host: Option<HostId>,
    /// Whether it is powered on.
    pub start: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The user's cloud-init document.
    pub user_data: Option<SecretString>,
    /// The guest's network configuration, as cloud-init takes it.
    pub network_config: Option<SecretString>,
    /// Keys that may log in.
    pub ssh_authorized_keys: Vec<String>,
    /// What people say about it.
    pub description: String,
    /// The guest's tags; empty keeps the image's.
    pub tags: BTreeSet<String>,
    /// Whether it is protected against deletion.
    pub protected: bool,
    /// When the house deletes it; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// More of its cloud-init meta-data, as lines of YAML.
    pub meta_data: Option<SecretString>,
    /// The instance gets the next number of the caller's door as its name
    /// there, at least this one.
    pub number_from: Option<u64>,
    /// What the caller's door keeps about it, sealed.
    pub notes: Vec<(String, SecretString)>,
    /// Another project than the caller's (administrators only).
    pub project: Option<ProjectId>,
}

/// An accepted request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The instance; readable at once.
    pub instance: InstanceId,
    /// The operation that makes it.
    pub operation: OperationId,
}

/// Which workflow carries out a change, and how long it may take.
pub(super) struct Wish {
    pub(super) kind: engine::Kind,
    pub(super) deadline: Duration,
}

/// How long a creation may take before it unwinds.
pub(super) const OPERATION_DEADLINE: Duration = Duration::from_secs(3600);
/// How long a deletion may take before it is stuck. It may have to wait for
/// whatever it supersedes, with its unwinding; its own steps have deadlines.
const DELETE_DEADLINE: Duration = Duration::from_secs(24 * 3600);

impl House {
    /// Accepts a request for an instance: when this returns the instance can be
    /// read, and its creation survives whatever happens to this process.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] naming the field; [`Error::Forbidden`];
    /// [`Error::Unavailable`] when the store does not answer.
    pub async fn create_instance(
        &self,
        caller: &Caller,
        request: CreateInstance,
    ) -> Result<Accepted, Error> {
        caller.require(Role::Member)?;
        let (image, spec) = self.accept_spec(&request)?;
        let project = self.project_of(caller, request.project.as_ref())?;
        let core = &self.core;
        let power_on = spec.start;
        let instance = self.unsaved(caller, &image.provider, project, spec);
        let id = instance.id;
        let operation = OperationId::generate(&*core.clock, &*core.random);
        let input = CreateInput { instance: id, provider: image.provider.clone(), power_on };
        let mut changes = vec![
            Change::InsertInstance(Box::new(instance.clone())),
            Change::CheckQuota { id, intent: None },
        ];
        if core.seed_access(&image.provider) != SeedAccess::None {
            changes.extend(self.seed_changes(&instance, &request)?);
        }
        changes.extend(names_and_notes(caller, id, &request));
        let start = Start {
            workflow: self.workflow(operation, create_kind(), &input, id, OPERATION_DEADLINE)?,
            operation: Some(self.operation_row(
                caller,
                &instance,
                operation,
                OperationKind::Create,
            )),
            changes,
        };
        self.start(caller, start).await?;
        Ok(Accepted { instance: id, operation })
    }

    /// Accepts a change of an instance that is there by one intent to its
    /// provider, which `intent` gives by the row and the operation's id.
    pub(super) async fn change(
        &self,
        caller: &Caller,
        id: InstanceId,
        wish: Wish,
        intent: impl FnOnce(&Instance, OperationId) -> Result<Intent, Error>,
    ) -> Result<OperationId, Error> {
        let instance = self.changeable(caller, id).await?;
        let operation = OperationId::generate(&*self.core.clock, &*self.core.random);
        let intent = intent(&instance, operation)?;
        refuse_observed(&instance, &intent)?;
        let kind = operation_kind(&intent);
        let check = || Change::CheckQuota { id, intent: Some(Box::new(intent.clone())) };
        let changes = matches!(intent, Intent::Resize(_)).then(check).into_iter().collect();
        let input = IntentInput::of(&instance, intent);
        let start = Start {
            workflow: self.workflow(operation, wish.kind, &input, id, wish.deadline)?,
            operation: Some(self.operation_row(caller, &instance, operation, kind)),
            changes,
        };
        self.start(caller, start).await?;
        Ok(operation)
    }

    /// The row of an instance that the caller may change and that is there.
    pub(super) async fn changeable(
        &self,
        caller: &Caller,
        id: InstanceId,
    ) -> Result<Instance, Error> {
        caller.require(Role::Member)?;
        let instance = self.instance_row(caller, id).await?;
        manageable(caller, &instance)?;
        if instance.phase == Phase::Ready {
            return Ok(instance);
        }
        Err(Error::Conflict {
            message: format!("the instance is {}", instance.state()),
            operation: instance.operation.map(|(id, _)| id),
        })
    }

    /// Accepts a deletion. It supersedes whatever else is changing the
    /// instance; a repeated deletion joins the one under way.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Forbidden`]; [`Error::Conflict`] when
    /// another door manages the instance, or it is protected.
    pub async fn delete_instance(
        &self,
        caller: &Caller,
        id: InstanceId,
    ) -> Result<OperationId, Error> {
        self.delete_after(caller, id, None).await
    }

    /// The same, for a guest that is asked to shut down first: it is powered off
    /// when it has not after this time (1 s to 1 h).
    ///
    /// # Errors
    /// As [`House::delete_instance`]; [`Error::InvalidRequest`].
    pub async fn delete_instance_gently(
        &self,
        caller: &Caller,
        id: InstanceId,
        grace: Duration,
    ) -> Result<OperationId, Error> {
        self.delete_after(caller, id, Some(guest_patience(grace)?)).await
    }

    async fn delete_after(
        &self,
        caller: &Caller,
        id: InstanceId,
        grace: Option<Duration>,
    ) -> Result<OperationId, Error> {
        caller.require(Role::Member)?;
        let instance = self.instance_row(caller, id).await?;
        manageable(caller, &instance)?;
        // A guest that is only observed is not deleted.
        if instance.spec.protected && instance.ownership != Ownership::Observed {
            return Err(Error::Conflict {
                message:
                    "the instance is protected against deletion: take the protection off first"
                        .to_owned(),
                operation: None,
            });
        }
        let stuck = instance.fault.as_ref().is_some_and(|fault| fault.stuck);
        if let (Some((operation, kind)), false) = (instance.operation, stuck)
            && matches!(kind, OperationKind::Delete | OperationKind::Release)
        {
            return Ok(operation);
        }
        let operation = OperationId::generate(&*self.core.clock, &*self.core.random);
        self.start_deletion(caller, &instance, operation, grace).await
    }

    /// Starts this deletion, or joins the one under way.
    pub(crate) async fn start_deletion(
        &self,
        caller: &Caller,
        instance: &Instance,
        operation: OperationId,
        grace: Option<Duration>,
    ) -> Result<OperationId, Error> {
        let id = instance.id;
        let input = DeleteInput { instance: id, provider: instance.provider.clone(), grace };
        let mut workflow = self.workflow(operation, delete_kind(), &input, id, DELETE_DEADLINE)?;
        workflow.supersede = true;
        let row = self.operation_row(caller, instance, operation, OperationKind::Delete);
        let start = Start { workflow, operation: Some(row), changes: Vec::new() };
        match self.start(caller, start).await {
            // Another deletion was quicker: this one joins it.
            Err(Error::Conflict { operation: Some(other), .. }) => Ok(other),
            Err(error) => Err(error),
            Ok(()) => Ok(operation),
        }
    }

    /// An instance, from memory.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for an instance of another project.
    pub fn instance(&self, caller: &Caller, id: InstanceId) -> Result<Arc<Instance>, Error> {
        self.core
            .read_model
            .instance(id)
            .filter(|instance| caller.sees(&instance.project))
            .ok_or_else(|| Error::not_found("instance", id))
    }

    /// The instances of the caller's project (of all projects for an
    /// administrator), from memory, oldest first.
    pub fn instances(&self, caller: &Caller, filter: &InstanceFilter) -> Vec<Arc<Instance>> {
        self.core.read_model.instances(caller, filter)
    }

    /// An instance, from the store: what a decision is based on.
    pub(super) async fn instance_row(
        &self,
        caller: &Caller,
        id: InstanceId,
    ) -> Result<Instance, Error> {
        let row = self.core.store.instance(id).await.map_err(public)?;
        row.filter(|instance| caller.sees(&instance.project))
            .ok_or_else(|| Error::not_found("instance", id))
    }

    pub(super) fn project_of(
        &self,
        caller: &Caller,
        asked: Option<&ProjectId>,
    ) -> Result<ProjectId, Error> {
        match asked {
            Some(project) if *project != caller.project => {
                caller.require(Role::Admin)?;
                Ok(project.clone())
            }
            _ => Ok(caller.project.clone()),
        }
    }

    pub(super) fn accept_spec(
        &self,
        request: &CreateInstance,
    ) -> Result<(Arc<Image>, InstanceSpec), Error> {
        check_name("name", &request.name)?;
        let image_id =
            request.image.ok_or_else(|| Error::invalid("image", "an image is needed"))?;
        let image = self
            .core
            .read_model
            .image(image_id)
            .ok_or_else(|| Error::invalid("image", format!("there is no image {image_id}")))?;
        let flavour =
            match request.flavour {
                Some(id) => Some(self.core.read_model.flavour(id).ok_or_else(|| {
                    Error::invalid("flavour", format!("there is no flavour {id}"))
                })?),
                None => None,
            };
        let spec = spec_of(request, image_id, flavour.as_deref())?;
        check_spec(&spec, &image)?;
        check_guest(request)?;
        check_expiry(spec.expires_at, self.core.clock.now())?;
        Ok((image, spec))
    }

    fn seed_changes(
        &self,
        instance: &Instance,
        request: &CreateInstance,
    ) -> Result<Vec<Change>, Error> {
        let core = &self.core;
        let documents = render_nocloud(&SeedRequest {
            instance: instance.id,
            name: &instance.spec.name,
            user_data: request.user_data.as_ref().map(ExposeSecret::expose_secret),
            network_config: request.network_config.as_ref().map(ExposeSecret::expose_secret),
            meta_data: request.meta_data.as_ref().map(ExposeSecret::expose_secret),
            ssh_authorized_keys: &request.ssh_authorized_keys,
        });
        let mut bytes = [0u8; 32];
        core.random.fill(&mut bytes);
        self.seed_rows(instance.id, &documents, URL_SAFE_NO_PAD.encode(bytes))
    }

    pub(super) fn workflow(
        &self,
        operation: OperationId,
        kind: engine::Kind,
        input: &impl Serialize,
        instance: InstanceId,
        deadline: Duration,
    ) -> Result<NewWorkflow, Error> {
        Ok(NewWorkflow {
            id: WorkflowId::from(operation),
            kind,
            input: serde_json::to_value(input).map_err(Error::internal)?,
            deadline: self.core.clock.now().plus(deadline),
            claim: Some(instance_claim(instance)),
            supersede: false,
        })
    }

    pub(super) fn operation_row(
        &self,
        caller: &Caller,
        instance: &Instance,
        id: OperationId,
        kind: OperationKind,
    ) -> Operation {
        Operation {
            id,
            kind,
            instance: instance.id,
            instance_name: instance.spec.name.clone(),
            project: instance.project.clone(),
            state: OperationState::Running,
            reason: None,
            left: Vec::new(),
            cancel_requested: false,
            asked_by: caller.principal.name.clone(),
            created_at: self.core.clock.now(),
            ended_at: None,
            steps: Vec::new(),
        }
    }

    /// Writes it down on the caller's terms, and lets reads catch up with it.
    pub(super) async fn start(&self, caller: &Caller, mut start: Start) -> Result<(), Error> {
        if let Some(operation) = &start.operation {
            let (id, made) = (operation.instance, operation.kind == OperationKind::Create);
            let begun = Accepted { instance: id, operation: operation.id };
            let mut terms = terms(caller, Some(begun));
            terms.push(accepted(
                caller,
                Asked {
                    action: operation.kind.as_str(),
                    target: &id.to_string(),
                    operation: Some(operation.id),
                },
            ));
            if let (Some(sequences), false) = (caller.request.if_sequence.clone(), made) {
                terms.push(Change::ExpectSequence { id, sequences });
            }
            start.changes.splice(0..0, terms);
        }
        self.core.store.start(start).await.map_err(public)?;
        self.caught_up().await;
        Ok(())
    }
}

/// How a seed's token is looked up. The token has 256 random bits, so that a
/// plain hash cannot be guessed from.
pub(crate) fn token_hash(token: &str) -> String {
    let hash = digest(&SHA256, token.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A change through another door than the one that manages the instance is a
/// conflict, unless an administrator makes it.
pub(super) fn manageable(caller: &Caller, instance: &Instance) -> Result<(), Error> {
    if caller.door == instance.managed_by || caller.role == Role::Admin {
        return Ok(());
    }
    Err(Error::Conflict {
        message: format!("the instance is managed by the door {}", instance.managed_by),
        operation: None,
    })
}

/// Of a guest that is somebody else's, only the power is changed.
pub(super) fn refuse_observed(instance: &Instance, intent: &Intent) -> Result<(), Error> {
    let harmless = match intent {
        Intent::Start | Intent::Stop | Intent::Shutdown { .. } | Intent::Reboot { .. } => true,
        Intent::Edit(edit) => edit.is_empty(),
        _ => false,
    };
    if harmless || instance.ownership != Ownership::Observed {
        return Ok(());
    }
    Err(Error::Conflict {
        message: "the guest is only observed, it is not ours: release it and adopt it with \
                  ownership to change it"
            .to_owned(),
        operation: None,
    })
}
