//! What the cloud consists of, as tests see it.

use std::time::Duration;

use model::{ByteCount, HostId, InstanceId, Mark, PowerState, Timestamp};
use secrecy::SecretString;

use super::faults::Call;

/// A guest of the cloud.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Its id, unique in the cloud.
    pub id: u64,
    /// Its name; need not be unique.
    pub name: String,
    /// The mark that it carries.
    pub mark: Option<Mark>,
    /// Given by the cloud when it is made; never given twice.
    pub uuid: String,
    /// The image that it was made from.
    pub image: Option<String>,
    /// Where it is.
    pub host: HostId,
    /// Cores.
    pub cores: u32,
    /// Memory.
    pub memory: ByteCount,
    /// The networks of its interfaces; empty as in the image.
    pub networks: Vec<Option<String>>,
    /// Its security groups in order.
    pub groups: Vec<String>,
    /// The address of its seed.
    pub seed_url: Option<SecretString>,
    /// Its power state.
    pub power: PowerState,
    /// How many times it has been powered on or restarted.
    pub boots: u32,
    /// Whether it goes down when it is asked to.
    pub obeys: bool,
    /// Whether it tells its addresses once it has booted.
    pub answers: bool,
    /// The clone that is making it, or that died while it was.
    pub(super) lock: Option<u64>,
    /// Changes with its configuration.
    pub(super) digest: u64,
    /// When it was last powered on or restarted, by the monotonic clock.
    pub(super) booted_at: Duration,
}

impl Guest {
    /// Whether it is locked, because it is still being made or because what
    /// made it died.
    pub fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    pub(super) fn is_running(&self) -> bool {
        self.power == PowerState::Running
    }
}

/// How long the cloud's tasks take.
#[derive(Clone, Copy, Debug)]
pub struct Durations {
    /// A clone.
    pub clone: Duration,
    /// The growing of a disk.
    pub grow: Duration,
    /// Powering on.
    pub start: Duration,
    /// From having been powered on to telling addresses.
    pub boot: Duration,
    /// Powering off.
    pub stop: Duration,
    /// How long a guest that obeys takes to go down.
    pub shutdown: Duration,
    /// How long a guest that obeys takes to restart.
    pub reboot: Duration,
    /// A removal.
    pub destroy: Duration,
}

impl Default for Durations {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            clone: seconds(5),
            grow: seconds(1),
            start: seconds(1),
            boot: seconds(2),
            stop: seconds(1),
            shutdown: seconds(3),
            reboot: seconds(3),
            destroy: seconds(1),
        }
    }
}

/// One request that has arrived at the cloud, or was tried.
#[derive(Clone, Debug)]
pub struct Request {
    /// When.
    pub at: Timestamp,
    /// The label of the provider that sent it: which process.
    pub caller: String,
    /// What kind of call of the provider it was sent by.
    pub call: Call,
    /// It is an effect that has come (long) after its answer was lost; logged
    /// when it was sent, without effect, and again when it lands.
    pub late: bool,
    /// The action's name, or that of the read (`observe`, `exists`, …).
    pub action: Option<String>,
    /// The instance that it is about.
    pub instance: Option<InstanceId>,
    /// The guest's id.
    pub guest: Option<u64>,
    /// Whether it has changed something, or begun a task.
    pub effect: bool,
    /// What was answered, for people.
    pub answer: String,
}
