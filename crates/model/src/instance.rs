//! Instances: what was asked for, what was seen, and what they are in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    AttemptId, ByteCount, DeviceRequest, Door, Error, FlavourId, HostId, ImageId, InstanceId,
    OperationId, OperationKind, ProjectId, ProviderId, Snapshots, Timestamp,
};

/// A disk beside or instead of what the image brings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskSpec {
    /// Its size. The first disk is the image's and only ever grows to this.
    pub size: ByteCount,
}

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NicSpec {
    /// The network it is attached to; `None` keeps the image's.
    pub network: Option<String>,
}

/// What was last accepted for an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceSpec {
    /// The guest's name and host name; see [`check_name`].
    pub name: String,
    /// What it is made from; `None` for a guest that was adopted.
    #[serde(default)]
    pub image: Option<ImageId>,
    /// The flavour that gave cores, memory and disk, when one was named.
    pub flavour: Option<FlavourId>,
    /// Virtual processor cores, 1 to 1024.
    pub cores: u32,
    /// Memory.
    pub memory: ByteCount,
    /// Disks; the first is the image's root disk. Empty keeps the image's.
    pub disks: Vec<DiskSpec>,
    /// Interfaces; empty keeps the image's.
    pub nics: Vec<NicSpec>,
    /// Devices of the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceRequest>,
    /// Names of security groups to attach, in order.
    pub security_groups: Vec<String>,
    /// The host asked for; `None` leaves it to placement.
    pub host: Option<HostId>,
    /// Whether the guest is started once it is made.
    pub start: bool,
    /// The administrator's labels.
    pub labels: BTreeMap<String, String>,
    /// What people say about it.
    #[serde(default)]
    pub description: String,
    /// The guest's tags on the hypervisor; see [`check_tag`]. The tag of guests
    /// that Innkeeper made is not among them.
    #[serde(default)]
    pub tags: BTreeSet<String>,
    /// Whether it is protected against deletion.
    #[serde(default)]
    pub protected: bool,
    /// When the house deletes it, unless it is protected; `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl InstanceSpec {
    /// A spec of this size with nothing else said, powered on once it is made.
    pub fn new(
        name: &str,
        image: impl Into<Option<ImageId>>,
        cores: u32,
        memory: ByteCount,
    ) -> Self {
        Self {
            name: name.to_owned(),
            image: image.into(),
            flavour: None,
            cores,
            memory,
            disks: Vec::new(),
            nics: Vec::new(),
            devices: Vec::new(),
            security_groups: Vec::new(),
            host: None,
            start: true,
            labels: BTreeMap::new(),
            description: String::new(),
            tags: BTreeSet::new(),
            protected: false,
            expires_at: None,
        }
    }
}

/// Refuses a name that a guest could not carry as a DNS name.
///
/// # Errors
/// [`Error::InvalidRequest`] for `field` when the name is not 1 to 63 letters,
/// digits and inner hyphens (RFC 1123), or labels of that form joined by dots,
/// 253 characters at most.
pub fn check_name(field: &str, name: &str) -> Result<(), Error> {
    let good_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() <= 253 && name.split('.').all(good_label) {
        return Ok(());
    }
    let given: String = name.chars().take(80).collect();
    Err(Error::invalid(
        field,
        format!(
            "expected a DNS name (letters, digits, inner hyphens; labels of at most 63), got {given:?}"
        ),
    ))
}

/// Refuses a tag that a guest could not carry: the rules of Proxmox VE, the
/// narrowest of the providers.
///
/// # Errors
/// [`Error::InvalidRequest`] for `field` when the tag is not 1 to 64 lower-case
/// letters, digits, `_`, `-`, `+` and `.`, beginning with a letter, a digit or
/// `_`, or when it is `innkeeper`, which is ours.
pub fn check_tag(field: &str, tag: &str) -> Result<(), Error> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let fits = (1..=64).contains(&tag.len())
        && tag.bytes().next().is_some_and(inner)
        && tag.bytes().all(|byte| inner(byte) || matches!(byte, b'-' | b'+' | b'.'));
    let given: String = tag.chars().take(80).collect();
    if !fits {
        let message = format!(
            "expected 1 to 64 lower-case letters, digits, '_', '-', '+', '.', beginning with a \
             letter, a digit or '_', got {given:?}"
        );
        return Err(Error::invalid(field, message));
    }
    if tag == "innkeeper" {
        return Err(Error::invalid(field, "the tag innkeeper is set by itself"));
    }
    Ok(())
}

/// Whether the guest is powered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PowerState {
    /// It runs.
    Running,
    /// It is off.
    Stopped,
    /// It is suspended.
    Paused,
    /// The hypervisor does not say.
    Unknown,
}

impl PowerState {
    /// Whether the guest can hear: it runs.
    pub const fn is_on(self) -> bool {
        matches!(self, Self::Running)
    }
}

/// An address of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// The MAC address of the interface that has it, lower case with colons.
    pub mac: Option<String>,
}

/// What was last seen of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Its power state.
    pub power: PowerState,
    /// Where it is.
    pub host: HostId,
    /// Its addresses, those of our interfaces only, global ones first.
    pub addresses: Vec<Address>,
    /// When this was seen.
    pub at: Timestamp,
    /// What was accepted and waits for the guest's next start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<String>,
}

/// How a guest came to be an instance, and so what may be done to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ownership {
    /// Innkeeper made it.
    #[default]
    Made,
    /// It was there, carries our mark since it was adopted, and is ours.
    Adopted,
    /// It was there and stays somebody else's: it is watched, started and
    /// stopped, and deleting the instance leaves it alone.
    Observed,
}

/// What has been said about an instance's expiry, once for each generation of
/// its spec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExpiryNotes {
    /// The generation that was warned about.
    pub warned: Option<u64>,
    /// The generation that is over and protected.
    pub kept: Option<u64>,
}

/// Where an instance is in its life. Changes only by operations, except for
/// `Lost`, which the observer sets and takes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Its create operation has not ended.
    Creating,
    /// It exists.
    Ready,
    /// Its creation failed; nothing is left of it but this row.
    Failed,
    /// It is being deleted, for good.
    Deleting,
    /// Its guest is gone without our doing.
    Lost,
}

/// The one word for an instance's state that doors translate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceState {
    /// Being made.
    Creating,
    /// Being started.
    Starting,
    /// Running.
    Running,
    /// Being stopped.
    Stopping,
    /// Off.
    Stopped,
    /// Being restarted.
    Rebooting,
    /// Suspended.
    Paused,
    /// Being deleted.
    Deleting,
    /// Creation failed, or the last operation is stuck.
    Failed,
    /// The guest is gone without our doing.
    Lost,
    /// Not known yet.
    Unknown,
}

impl InstanceState {
    /// The word as it is stored and printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Rebooting => "rebooting",
            Self::Paused => "paused",
            Self::Deleting => "deleting",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why an instance is as it should not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The reason, for people.
    pub message: String,
    /// When.
    pub at: Timestamp,
    /// The operation that failed or is stuck.
    pub operation: Option<OperationId>,
    /// Whether something of it may be left on the hypervisor.
    pub stuck: bool,
}

/// One guest that Innkeeper owns, or that it has failed to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Whose it is.
    pub project: ProjectId,
    /// The door that manages it.
    pub managed_by: Door,
    /// Where it lives.
    pub provider: ProviderId,
    /// What was last accepted.
    pub spec: InstanceSpec,
    /// Counts accepted specs, from 1.
    pub generation: u64,
    /// Where it is in its life.
    pub phase: Phase,
    /// The attempt whose mark its guest carries.
    pub attempt: AttemptId,
    /// How many times its creation was tried, from 1.
    pub attempts: u32,
    /// The provider's own reference to the guest (a JSON object opaque to
    /// everyone else); `Null` while there is none.
    pub native: Value,
    /// What was last seen; `None` before the first look.
    pub observed: Option<Observed>,
    /// What is wrong with it.
    pub fault: Option<Fault>,
    /// The operation that is changing it, with its kind.
    pub operation: Option<(OperationId, OperationKind)>,
    /// Its snapshots.
    pub snapshots: Snapshots,
    /// How its guest came to be ours, if it is.
    pub ownership: Ownership,
    /// What has been said about its expiry.
    pub expiry: ExpiryNotes,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// The change sequence of the store at which this row was last written.
    pub sequence: u64,
}

impl Instance {
    /// The one word for its state: from its phase, the operation that is
    /// changing it, and what was last seen.
    pub fn state(&self) -> InstanceState {
        match self.phase {
            Phase::Failed => return InstanceState::Failed,
            Phase::Lost => return InstanceState::Lost,
            Phase::Deleting if self.is_stuck() => return InstanceState::Failed,
            Phase::Creating if self.is_stuck() => return InstanceState::Failed,
            Phase::Deleting => return InstanceState::Deleting,
            Phase::Creating | Phase::Ready => {}
        }
        match self.operation.map(|(_, kind)| kind) {
            Some(OperationKind::Delete) => return InstanceState::Deleting,
            _ if self.phase == Phase::Creating => return InstanceState::Creating,
            _ if self.is_stuck() => return InstanceState::Failed,
            Some(OperationKind::Start) => return InstanceState::Starting,
            Some(OperationKind::Stop | OperationKind::Shutdown) => return InstanceState::Stopping,
            Some(OperationKind::Reboot) => return InstanceState::Rebooting,
            Some(_) | None => {}
        }
        match self.observed.as_ref().map(|observed| observed.power) {
            Some(PowerState::Running) => InstanceState::Running,
            Some(PowerState::Stopped) => InstanceState::Stopped,
            Some(PowerState::Paused) => InstanceState::Paused,
            Some(PowerState::Unknown) | None => InstanceState::Unknown,
        }
    }

    fn is_stuck(&self) -> bool {
        self.fault.as_ref().is_some_and(|fault| fault.stuck)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::check_name;

    #[test]
    fn names_are_dns_names() {
        for good in ["a", "web-1", "VISA-INSTANCE-77", "db.example.org", "1a"] {
            check_name("name", good).unwrap();
        }
        let long = "a".repeat(64);
        for bad in ["", "-a", "a-", "bad_name", "a b", "a..b", "ä", long.as_str()] {
            let error = check_name("name", bad).unwrap_err();
            assert!(error.to_string().starts_with("name: expected a DNS name"), "{error}");
        }
    }
}
