//! Instances that expire: people are warned before, and at the end the house
//! asks for the deletion, once for each generation of the spec. Protection wins.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use model::time::ManualClock;
use model::{
    Caller, Error, ExpiryNotes, Instance, OperationId, Ownership, Phase, Principal, Random, Role,
    Sleep, Timestamp,
};
use store::{Change, InstanceUpdate};
use tokio_util::sync::CancellationToken;

use crate::house::House;

/// How often it is looked whose time has come.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long a process that does not look any more keeps others from looking.
const HELD_FOR: Duration = Duration::from_secs(60);

/// Looks after instances that expire.
pub struct Expiry {
    house: Arc<House>,
}

/// The bytes that a key stands for, instead of chance.
struct Of<'a>(&'a str);

impl Random for Of<'_> {
    fn fill(&self, buffer: &mut [u8]) {
        let hash = digest(&SHA256, self.0.as_bytes());
        buffer.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
    }
}

/// The operation that deletes an instance which expires at this time: always the
/// same for the same generation, so that it is asked for once, whoever asks.
fn deletion(instance: &Instance, at: Timestamp) -> OperationId {
    let key = format!("{}/{}/delete", instance.id, instance.generation);
    OperationId::generate(&ManualClock::at(at), &Of(&key))
}

impl Expiry {
    /// Over this house.
    pub fn new(house: Arc<House>) -> Self {
        Self { house }
    }

    /// Looks until `stop`.
    pub async fn run(&self, sleep: Arc<dyn Sleep>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.look().await;
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep.sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Looks once. What does not succeed now is tried at the next look.
    pub async fn look(&self) {
        let core = &self.house.core;
        if !core.store.hold("expiry", HELD_FOR).await.unwrap_or(false) {
            return;
        }
        let now = core.clock.now();
        for instance in core.read_model.expiring(now.plus(core.settings.expiry_warning)) {
            if let Err(error) = self.take(&instance, now).await {
                tracing::warn!(instance = %instance.id, %error, "cannot look after its expiry");
            }
        }
        if let Err(error) = core.read_model.catch_up(&core.store).await {
            tracing::warn!(%error, "the read model cannot follow");
        }
    }

    async fn take(&self, instance: &Instance, now: Timestamp) -> Result<(), Error> {
        let Some(at) = instance.spec.expires_at else { return Ok(()) };
        let (generation, notes) = (Some(instance.generation), instance.expiry);
        let protected = instance.spec.protected && instance.ownership != Ownership::Observed;
        if at > now {
            let text = format!("it expires at {at}");
            let next = ExpiryNotes { warned: generation, ..notes };
            return self.note(instance, notes.warned == generation, next, text).await;
        }
        if protected {
            let text = format!("it has expired at {at}, and stays: it is protected");
            let next = ExpiryNotes { kept: generation, ..notes };
            return self.note(instance, notes.kept == generation, next, text).await;
        }
        if instance.phase == Phase::Deleting {
            return Ok(());
        }
        self.delete(instance, at).await
    }

    /// Says it, unless it was said.
    async fn note(
        &self,
        instance: &Instance,
        said: bool,
        notes: ExpiryNotes,
        text: String,
    ) -> Result<(), Error> {
        if said {
            return Ok(());
        }
        tracing::info!(instance = %instance.id, text, "expiry");
        let update = InstanceUpdate {
            expiry: Some(notes),
            if_sequence: Some(instance.sequence),
            ..InstanceUpdate::default()
        };
        let changes = vec![
            Change::UpdateInstance { id: instance.id, update: Box::new(update) },
            Change::Note { instance: Some(instance.id), text },
        ];
        self.house.core.store.commit(changes).await.map(drop).map_err(Error::internal)
    }

    async fn delete(&self, instance: &Instance, at: Timestamp) -> Result<(), Error> {
        let operation = deletion(instance, at);
        let store = &self.house.core.store;
        if store.operation(operation).await.map_err(Error::internal)?.is_some() {
            return Ok(());
        }
        tracing::info!(instance = %instance.id, %operation, "it has expired: deleting it");
        let who = Principal { id: "house".to_owned(), name: "house (expired)".to_owned() };
        let project = instance.project.clone();
        let caller = Caller::new(who, project, instance.managed_by, Role::Admin);
        self.house.start_deletion(&caller, instance, operation, None).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_always_stands_for_the_same_operation() {
        let at = Timestamp::from_millis(1_800_000_000_000);
        let id = |key| OperationId::generate(&ManualClock::at(at), &Of(key));
        assert_eq!(id("a/1/delete"), id("a/1/delete"));
        assert_ne!(id("a/1/delete"), id("a/2/delete"));
        assert_eq!(id("a/1/delete").as_uuid().get_version_num(), 7);
    }
}
