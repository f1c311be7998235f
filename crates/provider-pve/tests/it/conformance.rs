//! The suite of all providers, over both releases.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use model::{CreateIntent, Mark};
use provider::conformance::{self, Harness};
use provider::{Facts, IdRequest, Provider, ReservedId};
use pve_sim::{GuestSeed, NodeSeed, Simulator, StorageSeed, Version};
use serde_json::Value;

use crate::lab::{self, Lab};

struct Simulated {
    lab: Lab,
    next: AtomicU64,
}

#[async_trait]
impl Harness for Simulated {
    fn provider(&self) -> &dyn Provider {
        &self.lab.provider
    }

    async fn advance(&self, duration: Duration) {
        self.lab.sim.advance(duration).await;
    }

    async fn create(&self) -> (CreateIntent, Facts) {
        let intent = lab::intent();
        let facts = self.lab.facts(&intent.host).await;
        (intent, facts)
    }

    fn mark(&self) -> Mark {
        self.lab.mark()
    }

    fn reserve(&self, request: &IdRequest) -> ReservedId {
        let value = request.range.start() + self.next.fetch_add(1, Ordering::Relaxed);
        ReservedId { pool: request.pool.clone(), value }
    }

    async fn dump(&self) -> Value {
        self.lab.sim.dump()
    }

    async fn plant(&self, id: &ReservedId, mark: Option<Mark>) {
        self.uproot(id).await;
        let vmid = u32::try_from(id.value).unwrap();
        let description = mark.map(|mark| format!("{mark}\n"));
        self.lab.sim.foreign_guest("pve1", vmid, "theirs", description.as_deref());
    }

    async fn uproot(&self, id: &ReservedId) {
        let vmid = u32::try_from(id.value).unwrap();
        if !self.lab.exists(vmid) {
            return;
        }
        let client = lab::client(&self.lab.sim, self.lab.sim.token());
        let guest = client.node("pve1").qemu(pve::VmId::new(vmid).unwrap());
        guest.stop().await.unwrap();
        self.lab.sim.settle().await;
        guest.delete(pve::qemu::DeleteRequest::default()).await.unwrap();
        self.lab.sim.settle().await;
        assert!(!self.lab.exists(vmid));
    }

    async fn requests(&self) -> Option<usize> {
        Some(self.lab.sim.requests().len())
    }
}

async fn conforms(version: Version, shared: bool) {
    let storage = if shared { "ceph" } else { "local" };
    let builder = Simulator::builder()
        .version(version)
        .clock(std::sync::Arc::new(pve_sim::ManualClock::new()))
        .stats_interval(Duration::ZERO)
        .node(NodeSeed::new("pve1"))
        .node(NodeSeed::new("pve2"))
        .storage(StorageSeed::new("local", "dir"))
        .storage(StorageSeed::new("ceph", "rbd").shared())
        .firewall_group("web")
        .firewall_group("ssh")
        .template(
            GuestSeed::new(lab::TEMPLATE, "debian-12")
                .on("pve1")
                .disk(storage, 2048)
                .option("tags", "debian;cloud")
                .option("protection", "1"),
        );
    let lab = Lab::of(builder, |_| {}).await;
    conformance::run(&Simulated { lab, next: AtomicU64::new(0) }).await;
}

#[tokio::test]
async fn it_is_a_provider_over_release_8() {
    conforms(Version::V8_4, true).await;
}

#[tokio::test]
async fn it_is_a_provider_over_release_9() {
    conforms(Version::V9_2, false).await;
}
