//! The matrix is only worth something if it fails when the house is broken:
//! with an undo taken out, some case must fail.

use std::sync::Arc;

use async_trait::async_trait;
use e2e::bench::Wrap;
use e2e::world::{At, MakeWorld, MemoryWorld, ProxmoxWorld, Trouble, What};
use model::{Address, HostId, Intent, Mark};
use provider::{
    Action, ActionContext, Applied, Batch, Error, Existence, Facts, Handle, HandleState, IdRequest,
    Orphan, Plan, Probe, Provider, ReservedId, Undone,
};
use serde_json::Value;

use super::cases::{Case, Disturbance, baseline, try_run};
use super::samples::Sample;

/// A provider that does not take back one action.
struct Mutant {
    inner: Arc<dyn Provider>,
    without: String,
}

fn without_undo_of(action: &str) -> Wrap {
    let without = action.to_owned();
    Arc::new(move |inner| Arc::new(Mutant { inner, without: without.clone() }))
}

#[async_trait]
impl Provider for Mutant {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn ids_needed(&self, intent: &Intent, facts: &Facts) -> Result<Vec<IdRequest>, Error> {
        self.inner.ids_needed(intent, facts)
    }

    fn plan(&self, intent: &Intent, facts: &Facts, ids: &[ReservedId]) -> Result<Plan, Error> {
        self.inner.plan(intent, facts, ids)
    }

    async fn apply(&self, action: &Action, context: &ActionContext) -> Result<Applied, Error> {
        self.inner.apply(action, context).await
    }

    async fn probe(&self, action: &Action, context: &ActionContext) -> Result<Probe, Error> {
        self.inner.probe(action, context).await
    }

    async fn undo(&self, action: &Action, context: &ActionContext) -> Result<Undone, Error> {
        if action.name == self.without {
            return Ok(Undone::Done);
        }
        self.inner.undo(action, context).await
    }

    fn failure(&self, action: &Action, text: &str) -> Error {
        self.inner.failure(action, text)
    }

    async fn poll(&self, host: &HostId, handles: &[Handle]) -> Result<Vec<HandleState>, Error> {
        self.inner.poll(host, handles).await
    }

    async fn observe(&self) -> Result<Batch, Error> {
        self.inner.observe().await
    }

    fn guest_key(&self, native: &Value) -> Option<String> {
        self.inner.guest_key(native)
    }

    async fn addresses(&self, native: &Value) -> Result<Option<Vec<Address>>, Error> {
        self.inner.addresses(native).await
    }

    async fn exists(&self, native: &Value, mark: &Mark) -> Result<Existence, Error> {
        self.inner.exists(native, mark).await
    }

    async fn destinations(
        &self,
        native: &Value,
        mark: &Mark,
    ) -> Result<provider::Destinations, Error> {
        self.inner.destinations(native, mark).await
    }

    async fn inspect(&self, key: &str) -> Result<Option<Orphan>, Error> {
        self.inner.inspect(key).await
    }

    async fn describe(&self, key: &str) -> Result<Option<provider::GuestDetails>, Error> {
        self.inner.describe(key).await
    }
}

/// All actions stand on the clone, and taking it back takes back all of them:
/// its undo is the one that counts.
async fn is_noticed(make: MakeWorld) {
    let good = baseline(make, Sample::CreateFull).await;
    let refused = Disturbance::Trouble(Trouble {
        action: good.effects.last().unwrap().clone(),
        at: At::Apply,
        what: What::Refuse,
        times: Some(1),
    });
    let case = Case { sample: good.sample, seed: 1, disturbances: vec![refused] };
    try_run(make, &good, &case, None).await.unwrap();
    let reason = try_run(make, &good, &case, Some(without_undo_of("clone"))).await.unwrap_err();
    assert!(reason.contains("left in the world"), "noticed for another reason: {reason}");
}

#[tokio::test]
async fn a_clone_that_is_not_taken_back_is_noticed_over_memory() {
    is_noticed(MemoryWorld::make).await;
}

#[tokio::test]
async fn a_clone_that_is_not_taken_back_is_noticed_over_proxmox() {
    is_noticed(ProxmoxWorld::make).await;
}
