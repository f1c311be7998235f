//! Where an operation takes place.

use crate::VmId;

/// Where operations take place: which guest, pool, node, storages, bridges. What
/// is not set stands for all of its kind: without a guest, rights on `/vms`
/// count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scope {
    /// The node.
    pub node: Option<String>,
    /// The guest, or the id of one to be made.
    pub vmid: Option<VmId>,
    /// The guest that clones are made of.
    pub template: Option<VmId>,
    /// The pool that guests are in, or are to be made in. Rights on it count
    /// for its guests.
    pub pool: Option<String>,
    /// The storages that disks, files or backups are put on.
    pub storages: Vec<String>,
    /// The bridges that guests are attached to, as ACL path below
    /// `/sdn/zones`: `localnetwork/vmbr0`, or `ZONE/VNET`.
    pub networks: Vec<String>,
}

impl Scope {
    /// Everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// On this node.
    #[must_use]
    pub fn node(mut self, node: impl Into<String>) -> Self {
        self.node = Some(node.into());
        self
    }

    /// With this guest.
    #[must_use]
    pub fn guest(mut self, vmid: VmId) -> Self {
        self.vmid = Some(vmid);
        self
    }

    /// With clones of this guest.
    #[must_use]
    pub fn template(mut self, vmid: VmId) -> Self {
        self.template = Some(vmid);
        self
    }

    /// With guests of this pool.
    #[must_use]
    pub fn pool(mut self, pool: impl Into<String>) -> Self {
        self.pool = Some(pool.into());
        self
    }

    /// With this storage, too.
    #[must_use]
    pub fn storage(mut self, storage: impl Into<String>) -> Self {
        self.storages.push(storage.into());
        self
    }

    /// With this bridge of the nodes, too.
    #[must_use]
    pub fn bridge(mut self, bridge: &str) -> Self {
        self.networks.push(format!("localnetwork/{bridge}"));
        self
    }

    /// With this virtual network of a zone, too.
    #[must_use]
    pub fn vnet(mut self, zone: &str, vnet: &str) -> Self {
        self.networks.push(format!("{zone}/{vnet}"));
        self
    }

    /// The paths on any of which a right on guests counts.
    pub(super) fn guests(&self) -> Vec<String> {
        let guest = self.vmid.map_or("/vms".to_owned(), |vmid| format!("/vms/{vmid}"));
        let pool = self.pool.as_ref().map(|pool| format!("/pool/{pool}"));
        std::iter::once(guest).chain(pool).collect()
    }

    pub(super) fn templates(&self) -> Vec<String> {
        match self.template {
            Some(vmid) => vec![format!("/vms/{vmid}")],
            None => vec!["/vms".to_owned()],
        }
    }

    pub(super) fn nodes(&self) -> String {
        self.node.as_ref().map_or("/nodes".to_owned(), |node| format!("/nodes/{node}"))
    }

    pub(super) fn pools(&self) -> String {
        self.pool.as_ref().map_or("/pool".to_owned(), |pool| format!("/pool/{pool}"))
    }

    pub(super) fn storage_paths(&self) -> Vec<String> {
        match self.storages.as_slice() {
            [] => vec!["/storage".to_owned()],
            names => names.iter().map(|name| format!("/storage/{name}")).collect(),
        }
    }

    pub(super) fn network_paths(&self) -> Vec<String> {
        match self.networks.as_slice() {
            [] => vec!["/sdn/zones/localnetwork".to_owned()],
            names => names.iter().map(|name| format!("/sdn/zones/{name}")).collect(),
        }
    }
}
