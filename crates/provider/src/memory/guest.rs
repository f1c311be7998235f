//! What the cloud consists of, as tests see it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::{ByteCount, EditIntent, HostId, InstanceId, Mark, OperationId, PowerState, Timestamp};
use secrecy::SecretString;

use super::actions::Size;
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
    /// The size that it has from its next start on.
    pub(super) pending: Option<Size>,
    /// What people say about it.
    pub description: String,
    /// Its tags.
    pub tags: BTreeSet<String>,
    /// Whether it is protected against removal.
    pub protected: bool,
    /// Its snapshots by name.
    pub(super) snapshots: BTreeMap<String, Saved>,
    /// Changes with each rollback.
    pub(super) state: u32,
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

/// A snapshot: what of a guest it brings back.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    pub token: OperationId,
    pub name: String,
    pub size: Size,
    pub tags: BTreeSet<String>,
    pub protected: bool,
    pub disk: Option<ByteCount>,
    /// With its memory, of a guest that ran.
    pub running: bool,
}

impl Guest {
    /// The names of its snapshots.
    pub fn snapshot_names(&self) -> Vec<String> {
        self.snapshots.keys().cloned().collect()
    }

    /// The size that it has from its next start on.
    pub(super) fn size_to_be(&self) -> Size {
        self.pending.unwrap_or(Size { cores: self.cores, memory: self.memory })
    }

    /// What waits for its next start.
    pub fn pending_names(&self) -> Vec<&'static str> {
        let to_be = self.size_to_be();
        let cores = (to_be.cores != self.cores).then_some("cores");
        let memory = (to_be.memory != self.memory).then_some("memory");
        cores.into_iter().chain(memory).collect()
    }

    /// Gives it a size: at once when it is off.
    pub(super) fn resize(&mut self, to: Size) {
        if self.is_running() {
            let now = Size { cores: self.cores, memory: self.memory };
            self.pending = Some(to).filter(|to| *to != now);
        } else {
            (self.cores, self.memory, self.pending) = (to.cores, to.memory, None);
        }
    }

    /// What waits for a start comes about.
    pub(super) fn apply_pending(&mut self) {
        let to = self.size_to_be();
        (self.cores, self.memory, self.pending) = (to.cores, to.memory, None);
    }

    pub(super) fn carry(&mut self, mark: Option<Mark>) {
        self.digest += 1;
        self.mark = mark;
    }

    pub(super) fn is_as_edited(&self, edit: &EditIntent) -> bool {
        edit.name.as_ref().is_none_or(|name| *name == self.name)
            && edit.description.as_ref().is_none_or(|text| *text == self.description)
            && edit.tags.as_ref().is_none_or(|tags| *tags == self.tags)
            && edit.protected.is_none_or(|protected| protected == self.protected)
    }

    pub(super) fn edit(&mut self, edit: &EditIntent) {
        let edit = edit.clone();
        self.name = edit.name.unwrap_or(std::mem::take(&mut self.name));
        self.description = edit.description.unwrap_or(std::mem::take(&mut self.description));
        self.tags = edit.tags.unwrap_or(std::mem::take(&mut self.tags));
        self.protected = edit.protected.unwrap_or(self.protected);
    }

    pub(super) fn save(&self, token: OperationId, memory: bool, disk: Option<ByteCount>) -> Saved {
        Saved {
            token,
            name: self.name.clone(),
            size: Size { cores: self.cores, memory: self.memory },
            tags: self.tags.clone(),
            protected: self.protected,
            disk,
            running: memory && self.is_running(),
        }
    }

    pub(super) fn restore(&mut self, saved: &Saved) {
        self.name.clone_from(&saved.name);
        (self.cores, self.memory, self.pending) = (saved.size.cores, saved.size.memory, None);
        self.tags.clone_from(&saved.tags);
        self.protected = saved.protected;
        self.power = if saved.running { PowerState::Running } else { PowerState::Stopped };
        self.state += 1;
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
    /// Taking, going back to or deleting a snapshot.
    pub snapshot: Duration,
    /// A move to another host.
    pub migrate: Duration,
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
            snapshot: seconds(2),
            migrate: seconds(4),
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
