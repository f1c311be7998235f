//! What this provider writes into the opaque references that the house keeps.

use model::{HostId, Mark};
use provider::{Error, HostView, Rejection};
use pve::VmId;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::actions::seed::SeedRef;

/// The reference to a guest: `{"vmid":100000,"node":"pve1","uuid":"…"}`.
///
/// The house merges the outputs of actions into it, so that other members may
/// stand beside these.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct GuestRef {
    /// Its vmid.
    pub vmid: VmId,
    /// Where it was last seen. It may have been migrated since.
    pub node: HostId,
    /// Its SMBIOS UUID, read back after the clone. Not known of a clone that
    /// is in doubt; then only the mark of its attempt tells whose it is.
    #[serde(default)]
    pub uuid: Option<String>,
    /// The template that it is cloned from: stands in the plan, for a guest
    /// whose UUID is not known.
    #[serde(default)]
    pub source: Option<VmId>,
    /// Where that template is.
    #[serde(default)]
    pub source_node: Option<HostId>,
    /// Whether it carries no mark of ours: it stays somebody else's, and its
    /// UUID alone tells it from others.
    #[serde(default)]
    pub unmarked: bool,
    /// The medium with its seed, until it has read it.
    #[serde(default)]
    pub seed: Option<SeedRef>,
}

impl GuestRef {
    /// The reference in an action's context or an instance's row.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is none.
    pub fn read(native: &Value) -> Result<Self, Error> {
        read(native, "the reference to the guest")
    }

    /// The reference as the house keeps it.
    pub fn write(vmid: VmId, node: &HostId, uuid: Option<&str>) -> Value {
        serde_json::json!({"vmid": vmid, "node": node, "uuid": uuid})
    }

    /// The nodes where it may be found.
    pub fn hints(&self) -> Vec<&HostId> {
        let source = self.source_node.iter();
        std::iter::once(&self.node).chain(source).collect()
    }
}

/// The reference to an image: which template, and how it can be cloned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageRef {
    /// The template's vmid.
    pub vmid: VmId,
    /// Where its configuration lies.
    pub node: HostId,
    /// Whether all of its volumes are on shared storage, so that it can be
    /// cloned to another host.
    pub shared: bool,
    /// Whether the storages of all of its disks can make linked clones.
    pub linked: bool,
    /// The storages that hold its disks, sorted.
    pub storages: Vec<String>,
}

impl ImageRef {
    /// The reference of an image's row.
    ///
    /// # Errors
    /// [`Error::Malformed`] when it is none.
    pub fn read(native: &Value) -> Result<Self, Error> {
        read(native, "the reference to the image")
    }
}

/// What a host's opaque facts hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HostFacts {
    /// The vmids of the configured range that guests anywhere in the cluster
    /// have, as sorted inclusive ranges. At most [`HostFacts::MOST`]; a vmid
    /// that is not here may still be taken.
    pub occupied: Vec<[u32; 2]>,
}

impl HostFacts {
    /// How many ranges are kept. Guests made one after another have
    /// neighbouring vmids, so that few ranges hold many.
    pub const MOST: usize = 1_024;

    /// How many taken vmids are told to the house at most.
    const MOST_IDS: usize = 100_000;

    /// The facts of these vmids (any order).
    pub fn of(mut vmids: Vec<u32>) -> Self {
        vmids.sort_unstable();
        vmids.dedup();
        let mut occupied: Vec<[u32; 2]> = Vec::new();
        for vmid in vmids {
            if let Some([_, last]) = occupied.last_mut()
                && *last + 1 == vmid
            {
                *last = vmid;
            } else if occupied.len() < Self::MOST {
                occupied.push([vmid, vmid]);
            } else {
                break;
            }
        }
        Self { occupied }
    }

    /// The vmids that are known to be taken.
    pub fn taken(host: Option<&HostView>) -> Vec<u64> {
        let facts: Self = host
            .and_then(|host| serde_json::from_value(host.native.clone()).ok())
            .unwrap_or_default();
        facts
            .occupied
            .iter()
            .flat_map(|[first, last]| u64::from(*first)..=u64::from(*last))
            .take(Self::MOST_IDS)
            .collect()
    }
}

/// Who a guest has to be in order to be ours.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The mark that it must carry.
    pub mark: Mark,
    /// The UUID that it must have, when it is known.
    pub uuid: Option<String>,
    /// Whether the UUID alone decides: the guest is somebody else's.
    pub unmarked: bool,
}

impl Identity {
    /// Who the guest of this reference has to be.
    pub fn of(reference: &GuestRef, mark: Mark) -> Self {
        Self { mark, uuid: reference.uuid.clone(), unmarked: reference.unmarked }
    }
}

fn read<T: DeserializeOwned>(native: &Value, what: &str) -> Result<T, Error> {
    serde_json::from_value(native.clone())
        .map_err(|error| Error::Malformed(format!("{what} is not one of this provider: {error}")))
}

/// The name of a node as the house's id of a host.
///
/// # Errors
/// [`Error::Malformed`] when the house could not name it.
pub(crate) fn host_id(node: &str) -> Result<HostId, Error> {
    node.parse().map_err(|error| Error::Malformed(format!("the node {node:?}: {error}")))
}

/// A vmid that the house has reserved.
///
/// # Errors
/// [`Error::Rejected`] when it is not one.
pub(crate) fn vmid(value: u64) -> Result<VmId, Error> {
    let vmid = u32::try_from(value).ok().and_then(VmId::new);
    vmid.ok_or_else(|| Error::rejected(Rejection::Invalid, format!("{value} is not a vmid")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_guest_reference_reads_back_beside_other_members() {
        let node = "pve1".parse().unwrap();
        let mut native = GuestRef::write(VmId::new(100_007).unwrap(), &node, Some("u"));
        native["pid_before_reboot"] = json!(17);
        let guest = GuestRef::read(&native).unwrap();
        assert_eq!((guest.vmid.get(), guest.uuid.as_deref()), (100_007, Some("u")));
        assert_eq!(guest.hints(), [&node]);
        assert!(matches!(GuestRef::read(&Value::Null), Err(Error::Malformed(_))));
    }

    #[test]
    fn taken_vmids_are_kept_as_ranges() {
        let facts = HostFacts::of(vec![100_005, 100_001, 100_000, 100_001]);
        assert_eq!(facts.occupied, [[100_000, 100_001], [100_005, 100_005]]);
        let many = HostFacts::of((0..10_000).map(|n| n * 2).collect());
        assert_eq!(many.occupied.len(), HostFacts::MOST);
    }
}
