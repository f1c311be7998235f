//! Intents: what the house asks of a provider.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    AttemptId, ByteCount, DeviceRequest, FlavourId, HostId, ImageId, InstallationId, InstanceId,
    NicSpec, OperationId, Timestamp,
};

/// What marks a guest as made by one attempt of one installation. The mark
/// alone proves nothing: copies of a guest carry it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mark {
    /// The installation.
    pub installation: InstallationId,
    /// The instance.
    pub instance: InstanceId,
    /// The attempt.
    pub attempt: AttemptId,
}

impl fmt::Display for Mark {
    /// `innkeeper/1 <installation> <instance> <attempt>`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "innkeeper/1 {} {} {}", self.installation, self.instance, self.attempt)
    }
}

impl Mark {
    /// The mark in a guest's description: the first line that is one.
    pub fn parse(description: &str) -> Option<Self> {
        description.lines().find_map(|line| {
            let mut words = line.trim().strip_prefix("innkeeper/1 ")?.split(' ');
            let mark = Self {
                installation: words.next()?.parse().ok()?,
                instance: words.next()?.parse().ok()?,
                attempt: words.next()?.parse().ok()?,
            };
            words.next().is_none().then_some(mark)
        })
    }
}

/// How a guest gets at its seed (user-data and friends).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeedAccess {
    /// It has none.
    None,
    /// Over HTTP from the metadata door (cloud-init's NoCloud network source).
    /// The address is a secret and is given to the action when it is applied.
    Http,
    /// From a medium that is attached to it until it has started for the first
    /// time. Its bytes are secret and are given to the action when it is applied.
    Medium,
}

/// A guest to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateIntent {
    /// The guest's name.
    pub name: String,
    /// The image.
    pub image: ImageId,
    /// The host that placement chose.
    pub host: HostId,
    /// Cores.
    pub cores: u32,
    /// Memory.
    pub memory: ByteCount,
    /// The root disk's size; `None` keeps the image's.
    pub root_disk: Option<ByteCount>,
    /// Interfaces; empty keeps the image's.
    pub nics: Vec<NicSpec>,
    /// Devices of the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceRequest>,
    /// Security groups in order.
    pub security_groups: Vec<String>,
    /// How the guest gets its seed.
    pub seed: SeedAccess,
    /// Whether to power it on at the end.
    pub power_on: bool,
    /// What people say about it, its tags and its protection, as far as they
    /// differ from the image's.
    #[serde(default)]
    pub about: EditIntent,
}

/// A guest's new size. Every value is given, also one that stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResizeIntent {
    /// Cores.
    pub cores: u32,
    /// Memory.
    pub memory: ByteCount,
    /// The root disk's size, when it is to grow.
    pub root_disk: Option<ByteCount>,
    /// The cores that it goes back to when this is taken back.
    pub cores_before: u32,
    /// The memory that it goes back to when this is taken back.
    pub memory_before: ByteCount,
    /// The flavour that gives this size, when it is one's.
    pub flavour: Option<FlavourId>,
}

/// What people call a guest, and what protects it; `None` leaves it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditIntent {
    /// Its name.
    pub name: Option<String>,
    /// What people say about it; the mark stays beside it.
    pub description: Option<String>,
    /// Its tags; the tag of guests that Innkeeper made stays beside them.
    pub tags: Option<BTreeSet<String>>,
    /// Whether it is protected against removal.
    pub protected: Option<bool>,
    /// When the house deletes it, if at all. No provider's business.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub expires_at: Option<Option<Timestamp>>,
    /// Its security groups in order, in place of those that it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_groups: Option<Vec<String>>,
}

/// A value that is there, be it `null`.
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<Timestamp>>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl EditIntent {
    /// Whether nothing of it is the guest's.
    pub const fn is_empty(&self) -> bool {
        self.name.is_none()
            && self.description.is_none()
            && self.tags.is_none()
            && self.protected.is_none()
            && self.security_groups.is_none()
    }
}

/// What the house asks of a provider about one guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "intent", rename_all = "snake_case")]
pub enum Intent {
    /// Make it.
    Create(Box<CreateIntent>),
    /// Power it on.
    Start,
    /// Power it off, hard.
    Stop,
    /// Ask it to shut down. When it has not after `timeout`, it is powered off
    /// if `force`, and the intent fails otherwise.
    Shutdown {
        /// How long the guest may take.
        timeout: Duration,
        /// Whether to power it off then.
        force: bool,
    },
    /// Ask it to restart.
    Reboot {
        /// How long the guest may take to go down.
        timeout: Duration,
    },
    /// Remove it with everything that belongs to it.
    Destroy,
    /// The same, but ask it to shut down first.
    DestroyGently {
        /// How long it may take until it is powered off, hard.
        timeout: Duration,
    },
    /// Give it another size: at once where that can be, at its next start
    /// otherwise.
    Resize(ResizeIntent),
    /// Rename it, describe it, tag it, protect it.
    Edit(EditIntent),
    /// Take a snapshot.
    TakeSnapshot {
        /// Its name.
        name: String,
        /// What people say about it.
        description: String,
        /// Whether to save the memory of a running guest.
        memory: bool,
        /// The operation that takes it: tells this snapshot from another of the
        /// same name.
        token: OperationId,
    },
    /// Go back to a snapshot. What is not in it is lost.
    RollBack {
        /// The snapshot's name.
        name: String,
    },
    /// Delete a snapshot.
    DropSnapshot {
        /// Its name.
        name: String,
    },
    /// Mark a guest that was there as ours.
    Adopt {
        /// A mark of ours that it may carry: that of an instance which is gone.
        replaces: Option<Mark>,
    },
    /// Take our mark off, and whatever else of ours that would make trouble
    /// once we are gone. The guest stays.
    Release,
    /// Move it to another host.
    Migrate {
        /// The host.
        host: HostId,
        /// Whether it may go on running meanwhile; otherwise a running guest is
        /// refused.
        online: bool,
    },
    /// Take away the medium with its seed, which it has read.
    DropSeed,
}

impl Intent {
    /// The intent's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Shutdown { .. } => "shutdown",
            Self::Reboot { .. } => "reboot",
            Self::Destroy | Self::DestroyGently { .. } => "destroy",
            Self::Resize(_) => "resize",
            Self::Edit(_) => "edit",
            Self::TakeSnapshot { .. } => "snapshot",
            Self::RollBack { .. } => "rollback",
            Self::DropSnapshot { .. } => "discard",
            Self::Adopt { .. } => "adopt",
            Self::Release => "release",
            Self::DropSeed => "drop-seed",
            Self::Migrate { .. } => "migrate",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::random::SeededRandom;
    use crate::time::ManualClock;

    #[test]
    fn a_mark_is_read_back_from_a_description() {
        let (clock, random) = (ManualClock::default(), SeededRandom::new(1));
        let mark = Mark {
            installation: InstallationId::generate(&clock, &random),
            instance: InstanceId::generate(&clock, &random),
            attempt: AttemptId::generate(&clock, &random),
        };
        assert_eq!(Mark::parse(&format!("made by\n{mark}\n")), Some(mark));
        assert_eq!(Mark::parse(&format!("{mark} more")), None);
        assert_eq!(Mark::parse("innkeeper/1 x y z"), None);
        assert_eq!(Mark::parse(""), None);
    }
}
