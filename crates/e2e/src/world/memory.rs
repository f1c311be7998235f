//! The in-memory provider.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::time::{BoxFuture, ManualClock};
use model::{InstallationId, Mark};
use provider::memory::{Call, Fault, FaultKind, MemoryCloud, MemoryProvider};
use provider::{Error, Provider, Rejection};
use serde_json::Value;

use super::{At, Trouble, What, World};

/// The in-memory provider's world.
pub struct MemoryWorld {
    /// The cloud behind it.
    pub cloud: Arc<MemoryCloud>,
}

impl MemoryWorld {
    /// Two hosts, two images, two security groups, and a guest of somebody
    /// else's, 500.
    pub fn make(clock: &ManualClock) -> BoxFuture<'static, Arc<dyn World>> {
        let world = Self { cloud: MemoryCloud::sample("lab", Arc::new(clock.clone())) };
        #[allow(clippy::expect_used, reason = "a constant that is a valid name")]
        let host = "host2".parse().expect("host2 is a name");
        world.cloud.add_foreign(500, "somebody-elses", &host, None);
        let world: Arc<dyn World> = Arc::new(world);
        Box::pin(std::future::ready(world))
    }
}

#[async_trait]
impl World for MemoryWorld {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn provider(&self, process: &str, _installation: InstallationId) -> Arc<dyn Provider> {
        Arc::new(MemoryProvider::new(Arc::clone(&self.cloud), process))
    }

    fn dump(&self) -> Value {
        self.cloud.dump()
    }

    fn next_event(&self) -> Option<Duration> {
        self.cloud.next_event()
    }

    async fn advanced(&self, _by: Duration) {}

    fn trouble(&self, trouble: &Trouble) -> bool {
        let call = match trouble.at {
            At::Apply => Call::Apply,
            At::Probe => Call::Probe,
            At::Undo => Call::Undo,
        };
        let kind = match trouble.what {
            What::Refuse => FaultKind::Refuse(Rejection::Invalid, "refused".to_owned()),
            What::Partial => FaultKind::Partial(Error::rejected(Rejection::Quota, "no space")),
            What::LostReply => FaultKind::LostReply,
            What::Late(after) => FaultKind::LateEffect { after },
            What::NotSent => FaultKind::NotSent,
            What::Busy => FaultKind::Busy,
            What::Unavailable => FaultKind::Unavailable,
            What::TaskFails => {
                FaultKind::TaskFails { text: "out of space".to_owned(), partial: true }
            }
            What::TaskLost => FaultKind::TaskLost { effect: true },
            What::Foreign => FaultKind::ForeignAppears,
        };
        let fault = Fault::on(call, kind).action(&trouble.action);
        let fault = match trouble.times {
            Some(times) => fault.times(times),
            None => fault.forever(),
        };
        self.cloud.faults().add(fault);
        true
    }

    fn struck(&self) -> u32 {
        self.cloud.faults().fired_in_all()
    }

    fn calm(&self) {
        self.cloud.faults().end();
    }

    fn restore(&self, id: u32, mark: &Mark) {
        #[allow(clippy::expect_used, reason = "a constant that is a valid name")]
        let host = "host1".parse().expect("host1 is a name");
        self.cloud.add_foreign(u64::from(id), "restored", &host, Some(*mark));
    }

    fn plant(&self, id: u32) {
        #[allow(clippy::expect_used, reason = "a constant that is a valid name")]
        let host = "host1".parse().expect("host1 is a name");
        self.cloud.add_foreign(u64::from(id), "planted", &host, None);
    }

    async fn remove(&self, id: u32) {
        self.cloud.remove_guest(u64::from(id));
    }

    fn put_back(&self, id: u32, mark: &Mark, uuid: &str) {
        self.restore(id, mark);
        self.cloud.change_guest(u64::from(id), |guest| {
            guest.uuid = uuid.to_owned();
            guest.power = model::PowerState::Stopped;
        });
    }

    async fn obey(&self, _left: &[String]) {}
}
