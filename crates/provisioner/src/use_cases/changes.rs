//! What changes an instance that is there: its size, its name and tags, its
//! snapshots, its host.

use std::collections::BTreeSet;
use std::time::Duration;

use model::{
    ByteCount, Caller, DiskSpec, EditIntent, Error, FlavourId, HostId, Instance, InstanceId,
    Intent, OperationId, OperationKind, ResizeIntent, Snapshots, Timestamp, check_name,
    check_snapshot_name,
};
use store::Start;

use super::checks::{check_description, check_expiry, check_groups, check_size, check_tags};
use super::instances::{Wish, refuse_observed};
use crate::house::House;
use crate::placement::HostChoice;
use crate::workflows::{MigrateInput, edit_kind, migrate_kind, resize_kind, snapshot_kind};

/// How long a change of a configuration may take before it unwinds.
const CHANGE_DEADLINE: Duration = Duration::from_secs(3600);
/// How long work on whole disks or memories may take.
const COPY_DEADLINE: Duration = Duration::from_secs(6 * 3600);

/// A new size. What is not given stays, or comes from the flavour.
#[derive(Clone, Debug, Default)]
pub struct ResizeInstance {
    /// A named size.
    pub flavour: Option<FlavourId>,
    /// Cores.
    pub cores: Option<u32>,
    /// Memory.
    pub memory: Option<ByteCount>,
    /// The root disk; it only ever grows.
    pub root_disk: Option<ByteCount>,
}

/// What people call an instance, and what protects it; `None` leaves it.
#[derive(Clone, Debug, Default)]
pub struct EditInstance {
    /// Its name; see [`model::check_name`].
    pub name: Option<String>,
    /// What people say about it.
    pub description: Option<String>,
    /// Its tags, instead of those that it has.
    pub tags: Option<BTreeSet<String>>,
    /// Whether it is protected against deletion.
    pub protected: Option<bool>,
    /// When the house deletes it; `Some(None)`: never.
    pub expires_at: Option<Option<Timestamp>>,
    /// Its security groups in order, instead of those that it was given.
    pub security_groups: Option<Vec<String>>,
}

/// A snapshot to take.
#[derive(Clone, Debug, Default)]
pub struct NewSnapshot {
    /// Its name; see [`model::check_snapshot_name`].
    pub name: String,
    /// What people say about it.
    pub description: String,
    /// Whether the memory of a running guest is saved, too.
    pub memory: bool,
}

impl House {
    /// Accepts another size. The instance has it at once where its hypervisor
    /// can, and from its next start on otherwise (it says so).
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] naming the field, also for a disk that would
    /// shrink; [`Error::NotFound`]; [`Error::Conflict`]; [`Error::Forbidden`].
    pub async fn resize_instance(
        &self,
        caller: &Caller,
        id: InstanceId,
        request: ResizeInstance,
    ) -> Result<OperationId, Error> {
        let wish = Wish { kind: resize_kind(), deadline: CHANGE_DEADLINE };
        self.change(caller, id, wish, |instance, _| self.resize_intent(instance, &request)).await
    }

    fn resize_intent(
        &self,
        instance: &Instance,
        request: &ResizeInstance,
    ) -> Result<Intent, Error> {
        let asked = request.cores.is_some() || request.memory.is_some();
        if !asked && request.flavour.is_none() && request.root_disk.is_none() {
            let message = "expected cores, memory, a disk's size or a flavour";
            return Err(Error::invalid("cores", message));
        }
        let flavour =
            match request.flavour {
                None => None,
                Some(id) => Some(self.core.read_model.flavour(id).ok_or_else(|| {
                    Error::invalid("flavour", format!("there is no flavour {id}"))
                })?),
            };
        let named = flavour.as_deref();
        let spec = &instance.spec;
        let mut to = spec.clone();
        to.cores = request.cores.or(named.map(|named| named.cores)).unwrap_or(spec.cores);
        to.memory = request.memory.or(named.map(|named| named.memory)).unwrap_or(spec.memory);
        // Own numbers beside a flavour's, or in place of them, are no flavour.
        to.flavour = request.flavour.or(spec.flavour.filter(|_| !asked));
        let (field, wanted) = match request.root_disk {
            Some(size) => ("disk", Some(size)),
            None => ("flavour", named.and_then(|named| named.disk)),
        };
        let has = match spec.disks.first() {
            Some(root) => Some(root.size),
            None => spec.image.and_then(|id| self.core.read_model.image(id)?.size),
        };
        if let (Some(wanted), Some(has)) = (wanted, has)
            && wanted < has
        {
            let message = format!("a disk only grows: it has {has}, got {wanted}");
            return Err(Error::invalid(field, message));
        }
        to.disks.splice(0..0, wanted.filter(|_| to.disks.is_empty()).map(|size| DiskSpec { size }));
        check_size(&to)?;
        Ok(Intent::Resize(ResizeIntent {
            cores: to.cores,
            memory: to.memory,
            root_disk: wanted.filter(|wanted| has.is_none_or(|has| *wanted > has)),
            cores_before: spec.cores,
            memory_before: spec.memory,
            flavour: to.flavour,
        }))
    }

    /// Accepts a new name, description, tags, protection or expiry. An expiry alone
    /// is changed whether or not the hypervisor answers.
    ///
    /// # Errors
    /// As [`House::resize_instance`].
    pub async fn edit_instance(
        &self,
        caller: &Caller,
        id: InstanceId,
        request: EditInstance,
    ) -> Result<OperationId, Error> {
        let EditInstance { name, description, tags, protected, expires_at, security_groups } =
            request;
        check_expiry(expires_at.flatten(), self.core.clock.now())?;
        name.iter().try_for_each(|name| check_name("name", name))?;
        description.iter().try_for_each(|text| check_description(text))?;
        tags.iter().try_for_each(check_tags)?;
        security_groups.iter().try_for_each(|groups| check_groups(groups))?;
        let description = description.map(|text| text.trim().to_owned());
        let edit = EditIntent { name, description, tags, protected, expires_at, security_groups };
        if edit.is_empty() && edit.expires_at.is_none() {
            let message = "expected a name, a description, tags, a protection or an expiry";
            return Err(Error::invalid("name", message));
        }
        let wish = Wish { kind: edit_kind(), deadline: CHANGE_DEADLINE };
        self.change(caller, id, wish, |_, _| Ok(Intent::Edit(edit))).await
    }

    /// The snapshots of an instance, from memory, the oldest first.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn snapshots(&self, caller: &Caller, id: InstanceId) -> Result<Snapshots, Error> {
        Ok(self.instance(caller, id)?.snapshots.clone())
    }

    /// Accepts a snapshot.
    ///
    /// # Errors
    /// As [`House::resize_instance`]; [`Error::AlreadyExists`] for a name that
    /// is taken; [`Error::QuotaExceeded`] when there are too many.
    pub async fn take_snapshot(
        &self,
        caller: &Caller,
        id: InstanceId,
        new: NewSnapshot,
    ) -> Result<OperationId, Error> {
        check_snapshot_name("name", &new.name)?;
        check_description(&new.description)?;
        let wish = Wish { kind: snapshot_kind(), deadline: COPY_DEADLINE };
        self.change(caller, id, wish, |instance, token| {
            if instance.snapshots.get(&new.name).is_some() {
                return Err(Error::AlreadyExists { what: "snapshot", id: new.name });
            }
            if instance.snapshots.taken.len() >= Snapshots::MOST {
                let message = format!("an instance has at most {} snapshots", Snapshots::MOST);
                return Err(Error::QuotaExceeded { message });
            }
            let description = new.description.trim().to_owned();
            Ok(Intent::TakeSnapshot { name: new.name, description, memory: new.memory, token })
        })
        .await
    }

    /// Accepts going back to a snapshot: what has happened since is lost.
    ///
    /// # Errors
    /// As [`House::resize_instance`]; [`Error::NotFound`] also for a snapshot
    /// that is not there.
    pub async fn roll_back(
        &self,
        caller: &Caller,
        id: InstanceId,
        name: &str,
    ) -> Result<OperationId, Error> {
        let wish = Wish { kind: snapshot_kind(), deadline: COPY_DEADLINE };
        self.change(caller, id, wish, |instance, _| {
            known_snapshot(instance, name).map(|name| Intent::RollBack { name })
        })
        .await
    }

    /// Accepts the deletion of a snapshot.
    ///
    /// # Errors
    /// As [`House::roll_back`].
    pub async fn discard_snapshot(
        &self,
        caller: &Caller,
        id: InstanceId,
        name: &str,
    ) -> Result<OperationId, Error> {
        let wish = Wish { kind: snapshot_kind(), deadline: COPY_DEADLINE };
        self.change(caller, id, wish, |instance, _| {
            known_snapshot(instance, name).map(|name| Intent::DropSnapshot { name })
        })
        .await
    }

    /// Every host with what speaks for or against moving the instance there, as
    /// last seen. The move itself asks the hypervisor.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn destinations(&self, caller: &Caller, id: InstanceId) -> Result<Vec<HostChoice>, Error> {
        Ok(self.core.destinations(&*self.instance(caller, id)?))
    }

    /// Accepts a move to another host: to this one, or to the best. A running
    /// guest is moved only `online`.
    ///
    /// # Errors
    /// As [`House::resize_instance`]; [`Error::InsufficientCapacity`] when the
    /// host that is asked for cannot take it, with the reason.
    pub async fn migrate_instance(
        &self,
        caller: &Caller,
        id: InstanceId,
        host: Option<HostId>,
        online: bool,
    ) -> Result<OperationId, Error> {
        let instance = self.changeable(caller, id).await?;
        if let Some(host) = instance.observed.as_ref().map(|seen| seen.host.clone()) {
            refuse_observed(&instance, &Intent::Migrate { host, online })?;
        }
        self.suits(&instance, host.as_ref())?;
        let operation = OperationId::generate(&*self.core.clock, &*self.core.random);
        let input = MigrateInput {
            instance: id,
            provider: instance.provider.clone(),
            attempt: instance.attempt,
            native: instance.native.clone(),
            host,
            online,
        };
        let row = self.operation_row(caller, &instance, operation, OperationKind::Migrate);
        let workflow = self.workflow(operation, migrate_kind(), &input, id, COPY_DEADLINE)?;
        self.start(caller, Start { workflow, operation: Some(row), changes: Vec::new() }).await?;
        Ok(operation)
    }

    /// Refuses a host of which we know already that it will not do.
    fn suits(&self, instance: &Instance, host: Option<&HostId>) -> Result<(), Error> {
        let Some(host) = host else { return Ok(()) };
        if instance.observed.as_ref().is_some_and(|seen| seen.host == *host) {
            return Err(Error::invalid("host", format!("the instance is on {host} already")));
        }
        let choices = self.core.destinations(instance);
        match choices.into_iter().find(|choice| choice.host == *host) {
            None => Err(Error::invalid("host", format!("there is no host {host}"))),
            Some(HostChoice { score: Err(reason), .. }) => {
                Err(Error::InsufficientCapacity { message: format!("{host}: {reason}") })
            }
            Some(_) => Ok(()),
        }
    }
}

fn known_snapshot(instance: &Instance, name: &str) -> Result<String, Error> {
    let snapshot = instance.snapshots.get(name);
    let found = snapshot.map(|snapshot| snapshot.name.clone());
    found.ok_or_else(|| Error::not_found("snapshot", name.chars().take(80).collect::<String>()))
}
