//! What another program made before: its flavours with their ids, and its guests
//! under the numbers that a door's clients know them by.

use std::collections::BTreeMap;

use model::{
    ByteCount, Caller, Error, Flavour, FlavourId, ImageId, Instance, InstanceId, InstanceSpec,
    Observed, OperationId, OperationKind, Ownership, Phase, ProviderId, Role, SecretId, Timestamp,
};
use secrecy::SecretString;
use store::{Annotation, Change, NUMBERS, Seed, Start};

use super::audit::Asked;
use super::instances::{OPERATION_DEADLINE, token_hash};
use super::{Accepted, public};
use crate::guest::SeedDocuments;
use crate::house::House;
use crate::workflows::{AdoptInput, adopt_kind};

/// A guest that another program made.
#[derive(Clone, Debug)]
pub struct TakeOver {
    /// Where it is.
    pub provider: ProviderId,
    /// What its provider calls it (on Proxmox VE its vmid).
    pub guest: String,
    /// What the clients of the caller's door call it, digits. A guest also asks
    /// for its documents by this.
    pub number: String,
    /// What it was made from, when that is known.
    pub image: Option<ImageId>,
    /// Its flavour, when that is known.
    pub flavour: Option<FlavourId>,
    /// Labels that it gets.
    pub labels: BTreeMap<String, String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The documents that its cloud-init goes on to read.
    pub seed: Option<SeedDocuments>,
    /// What the caller's door keeps about it, sealed.
    pub notes: Vec<(String, SecretString)>,
}

/// What a number means that a door's clients may know.
#[derive(Clone, Debug)]
pub enum Numbered {
    /// This instance.
    Instance(Box<Instance>),
    /// An instance that is gone.
    Gone,
    /// None.
    Nobody,
}

impl House {
    /// What the caller's door means by a number, tombstones included.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn meaning_of(&self, caller: &Caller, number: &str) -> Result<Numbered, Error> {
        caller.require(Role::Admin)?;
        let store = &self.core.store;
        let Some(alias) = store.alias(caller.door, NUMBERS, number).await.map_err(public)? else {
            return Ok(Numbered::Nobody);
        };
        let row = store.instance(alias.instance).await.map_err(public)?;
        Ok(row.map_or(Numbered::Gone, |row| Numbered::Instance(Box::new(row))))
    }

    /// Adds a flavour that another program had, with its id.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`]; [`Error::AlreadyExists`]; [`Error::Forbidden`]
    /// unless an administrator asks.
    pub async fn take_over_flavour(&self, caller: &Caller, flavour: Flavour) -> Result<(), Error> {
        caller.require(Role::Admin)?;
        super::flavours::check(&flavour)?;
        let taken = || Error::AlreadyExists { what: "flavour", id: flavour.name.clone() };
        let known = self.core.read_model.flavours();
        if known.iter().any(|row| row.name == flavour.name || row.id == flavour.id) {
            return Err(taken());
        }
        let target = flavour.id.to_string();
        let asked = Asked { action: "flavour.create", target: &target, operation: None };
        let put = Change::PutFlavour(Box::new(flavour.clone()));
        self.commit(caller, asked, vec![put]).await.map_err(|error| match error {
            // Another request was quicker.
            store::Error::Constraint(_) => taken(),
            other => public(other),
        })?;
        self.caught_up().await;
        Ok(())
    }

    /// Accepts that a guest becomes ours which another program made: it can be
    /// read at once, and an operation puts our mark on it. One whose operation
    /// failed is tried again.
    ///
    /// # Errors
    /// [`Error::Forbidden`] but for administrators; [`Error::NotFound`] when no
    /// such guest was seen; [`Error::AlreadyExists`] when the number has a
    /// meaning; [`Error::Conflict`] when an instance has the guest.
    pub async fn take_over(&self, caller: &Caller, request: TakeOver) -> Result<Accepted, Error> {
        caller.require(Role::Admin)?;
        let core = &self.core;
        let operation = OperationId::generate(&*core.clock, &*core.random);
        let (instance, changes) = match self.meaning_of(caller, &request.number).await? {
            Numbered::Instance(row) if is_untaken(&row) => (*row, Vec::new()),
            Numbered::Instance(_) | Numbered::Gone => {
                return Err(Error::AlreadyExists { what: "number", id: request.number });
            }
            Numbered::Nobody => self.rows(caller, &request)?,
        };
        let id = instance.id;
        let input = AdoptInput {
            instance: id,
            provider: request.provider,
            guest: request.guest,
            owned: true,
            attempt: instance.attempt,
        };
        let start = Start {
            workflow: self.workflow(operation, adopt_kind(), &input, id, OPERATION_DEADLINE)?,
            operation: Some(self.operation_row(caller, &instance, operation, OperationKind::Adopt)),
            changes,
        };
        self.start(caller, start).await?;
        Ok(Accepted { instance: id, operation })
    }

    /// The rows of a guest that nobody has.
    fn rows(&self, caller: &Caller, request: &TakeOver) -> Result<(Instance, Vec<Change>), Error> {
        let core = &self.core;
        self.unclaimed(&request.provider, &request.guest)?;
        let view = core.read_model.provider_view(&request.provider);
        let seen = view.guests.get(&request.guest);
        let seen = seen.ok_or_else(|| Error::not_found("guest", &request.guest))?;
        // Its size is read by the operation.
        let mut spec = InstanceSpec::new(&seen.name, request.image, 0, ByteCount::default());
        spec.flavour = request.flavour;
        spec.labels.clone_from(&request.labels);
        let instance = self.unsaved(caller, &request.provider, caller.project.clone(), spec);
        let instance = Instance {
            // It is there, whatever becomes of the operation; and it is not ours
            // before it carries our mark.
            phase: Phase::Ready,
            ownership: Ownership::Observed,
            observed: Some(Observed {
                power: seen.power,
                host: seen.host.clone(),
                addresses: Vec::new(),
                at: core.clock.now(),
                pending: Vec::new(),
            }),
            created_at: request.created_at,
            ..instance
        };
        let (id, door) = (instance.id, caller.door);
        let mut changes = vec![
            Change::InsertInstance(Box::new(instance.clone())),
            Change::PutAlias {
                door,
                scope: NUMBERS.to_owned(),
                external_id: request.number.clone(),
                instance: id,
            },
        ];
        if let Some(documents) = &request.seed {
            changes.extend(self.seed_rows(id, documents, request.number.clone())?);
        }
        let note = |(key, value): &(String, SecretString)| Change::PutAnnotation {
            owner: id,
            door,
            key: key.clone(),
            value: Annotation::Sealed(value.clone()),
        };
        changes.extend(request.notes.iter().map(note));
        Ok((instance, changes))
    }

    /// The rows of a seed: its documents, sealed, and the token that a guest asks
    /// with.
    pub(super) fn seed_rows(
        &self,
        instance: InstanceId,
        documents: &SeedDocuments,
        token: String,
    ) -> Result<Vec<Change>, Error> {
        let core = &self.core;
        let documents = serde_json::to_string(documents).map_err(Error::internal)?;
        let hash = token_hash(&token);
        let secret = || SecretId::generate(&*core.clock, &*core.random);
        let (token_id, documents_id) = (secret(), secret());
        let put = |id: SecretId, text: String| Change::PutSecret {
            id,
            owner: Some(instance),
            value: SecretString::from(text),
        };
        Ok(vec![
            put(token_id, token),
            put(documents_id, documents),
            Change::PutSeed(Seed {
                instance,
                token_hash: hash,
                token: model::Sealed(token_id),
                documents: model::Sealed(documents_id),
            }),
        ])
    }
}

/// Whether it was to be taken over, and that failed.
pub(super) fn is_untaken(row: &Instance) -> bool {
    row.phase == Phase::Failed && row.ownership == Ownership::Observed
}
