use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use model::random::SeededRandom;
use model::time::ManualClock;
use model::{
    AttemptId, ByteCount, Clock, CreateIntent, HostId, Image, ImageId, InstallationId, InstanceId,
    Mark, SeedAccess, Timestamp,
};
use provider::conformance::{self, Harness};
use provider::memory::{MemoryCloud, MemoryProvider};
use provider::{Facts, IdRequest, Provider, ReservedId};
use serde_json::Value;

struct Memory {
    clock: ManualClock,
    random: SeededRandom,
    installation: InstallationId,
    cloud: Arc<MemoryCloud>,
    provider: MemoryProvider,
    next_id: AtomicU64,
}

impl Memory {
    fn new() -> Self {
        let clock = ManualClock::at(Timestamp::from_millis(1_000_000));
        let random = SeededRandom::new(1);
        let cloud = MemoryCloud::sample("lab", Arc::new(clock.clone()));
        cloud.add_foreign(7, "bystander", &host(), None);
        Self {
            installation: InstallationId::generate(&clock, &random),
            provider: MemoryProvider::new(cloud.clone(), "suite"),
            next_id: AtomicU64::new(100_000),
            clock,
            random,
            cloud,
        }
    }
}

fn host() -> HostId {
    "host1".parse().unwrap()
}

#[async_trait]
impl Harness for Memory {
    fn provider(&self) -> &dyn Provider {
        &self.provider
    }

    async fn advance(&self, duration: Duration) {
        self.clock.advance(duration);
    }

    async fn create(&self) -> (CreateIntent, Facts) {
        let batch = self.provider.observe().await.unwrap();
        let view = batch.images.into_iter().find(|image| image.name == "debian").unwrap();
        let image = Image {
            id: ImageId::generate(&self.clock, &self.random),
            name: view.name,
            provider: "lab".parse().unwrap(),
            size: view.size,
            presence: view.presence,
            native: view.native,
            seen_at: self.clock.now(),
        };
        let intent = CreateIntent {
            about: model::EditIntent::default(),
            name: "guest".to_owned(),
            image: image.id,
            host: host(),
            cores: 2,
            memory: ByteCount::gib(1),
            root_disk: Some(ByteCount::gib(10)),
            nics: Vec::new(),
            devices: Vec::new(),
            security_groups: vec!["web".to_owned(), "db".to_owned()],
            seed: SeedAccess::Http,
            power_on: true,
        };
        let host = batch.hosts.into_iter().find(|view| view.id == host());
        (intent, Facts { image: Some(image), host, ..Facts::default() })
    }

    fn mark(&self) -> Mark {
        Mark {
            installation: self.installation,
            instance: InstanceId::generate(&self.clock, &self.random),
            attempt: AttemptId::generate(&self.clock, &self.random),
        }
    }

    fn reserve(&self, request: &IdRequest) -> ReservedId {
        let value = self.next_id.fetch_add(1, Ordering::Relaxed);
        assert!(request.range.contains(&value));
        assert!(request.taken.contains(&7), "ids in use are told: {:?}", request.taken);
        ReservedId { pool: request.pool.clone(), value }
    }

    async fn dump(&self) -> Value {
        self.cloud.dump()
    }

    async fn plant(&self, id: &ReservedId, mark: Option<Mark>) {
        self.cloud.add_foreign(id.value, "planted", &host(), mark);
    }

    async fn uproot(&self, id: &ReservedId) {
        self.cloud.remove_guest(id.value);
    }

    async fn requests(&self) -> Option<usize> {
        Some(self.cloud.requests().len())
    }
}

#[tokio::test]
async fn the_provider_in_memory_conforms() {
    conformance::run(&Memory::new()).await;
}
