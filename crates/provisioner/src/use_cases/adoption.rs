//! Guests that are there already: adopt and release.

use model::{
    ByteCount, Caller, Error, InstanceId, InstanceSpec, OperationId, OperationKind, Ownership,
    Phase, ProjectId, ProviderId, Role, Timestamp,
};
use store::{Change, Start};

use super::Accepted;
use super::checks::check_expiry;
use super::instances::{OPERATION_DEADLINE, manageable};
use crate::house::House;
use crate::workflows::{AdoptInput, DeleteInput, adopt_kind, release_kind};

/// A guest to adopt.
#[derive(Clone, Debug)]
pub struct AdoptInstance {
    /// Where it is.
    pub provider: ProviderId,
    /// What its provider calls it (on Proxmox VE its vmid).
    pub guest: String,
    /// Whether it becomes ours: it gets our mark, may be changed, and is removed
    /// when the instance is deleted. Otherwise it is watched, started and
    /// stopped, and stays when the instance is deleted.
    pub owned: bool,
    /// When the house deletes (or releases) it; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// Another project than the caller's.
    pub project: Option<ProjectId>,
}

impl House {
    /// Accepts the adoption of a guest that is there. Whether it can be had is
    /// read by the operation: one with another installation's mark cannot.
    ///
    /// # Errors
    /// [`Error::Forbidden`] but for administrators; [`Error::NotFound`] when no
    /// such guest was seen; [`Error::Conflict`] when an instance has it.
    pub async fn adopt_instance(
        &self,
        caller: &Caller,
        request: AdoptInstance,
    ) -> Result<Accepted, Error> {
        caller.require(Role::Admin)?;
        let core = &self.core;
        check_expiry(request.expires_at, core.clock.now())?;
        self.unclaimed(&request.provider, &request.guest)?;
        let view = core.read_model.provider_view(&request.provider);
        let shown: String = request.guest.chars().take(80).collect();
        let seen = view.guests.get(&request.guest);
        let seen =
            seen.ok_or_else(|| Error::not_found("guest", format!("{}/{shown}", request.provider)))?;
        let operation = OperationId::generate(&*core.clock, &*core.random);
        let project = self.project_of(caller, request.project.as_ref())?;
        // Its size is read by the operation.
        let mut spec = InstanceSpec::new(&seen.name, None, 0, ByteCount::default());
        spec.expires_at = request.expires_at;
        let mut instance = self.unsaved(caller, &request.provider, project, spec);
        let id = instance.id;
        // Ours only once it carries our mark: until then nothing may remove it.
        instance.ownership = Ownership::Observed;
        let input = AdoptInput {
            instance: id,
            provider: request.provider,
            guest: request.guest,
            owned: request.owned,
            attempt: instance.attempt,
        };
        let start = Start {
            workflow: self.workflow(operation, adopt_kind(), &input, id, OPERATION_DEADLINE)?,
            operation: Some(self.operation_row(caller, &instance, operation, OperationKind::Adopt)),
            changes: vec![Change::InsertInstance(Box::new(instance))],
        };
        self.start(caller, start).await?;
        Ok(Accepted { instance: id, operation })
    }

    /// Accepts that an instance's guest is let go: the instance is forgotten, our
    /// mark is taken off, and the guest stays as it is.
    ///
    /// # Errors
    /// [`Error::Forbidden`] but for administrators; [`Error::NotFound`];
    /// [`Error::Conflict`] when another operation is changing the instance, or it
    /// was never finished.
    pub async fn release_instance(
        &self,
        caller: &Caller,
        id: InstanceId,
    ) -> Result<OperationId, Error> {
        caller.require(Role::Admin)?;
        let instance = self.instance_row(caller, id).await?;
        manageable(caller, &instance)?;
        if !matches!(instance.phase, Phase::Ready | Phase::Lost) {
            return Err(Error::Conflict {
                message: format!("the instance is {}", instance.state()),
                operation: instance.operation.map(|(id, _)| id),
            });
        }
        let operation = OperationId::generate(&*self.core.clock, &*self.core.random);
        let input = DeleteInput { instance: id, provider: instance.provider.clone(), grace: None };
        let start = Start {
            workflow: self.workflow(operation, release_kind(), &input, id, OPERATION_DEADLINE)?,
            operation: Some(self.operation_row(
                caller,
                &instance,
                operation,
                OperationKind::Release,
            )),
            changes: Vec::new(),
        };
        self.start(caller, start).await?;
        Ok(operation)
    }
}
