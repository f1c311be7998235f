//! The simulated cluster: nodes, storages, guests, volumes, users, tasks. Pure
//! data and rules; no IO, no waiting. Time is [`World::now`], set by the caller.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(crate) mod access;
pub(crate) mod dump;
pub(crate) mod firewall;
pub(crate) mod guest;
pub(crate) mod guest_find;
pub(crate) mod node;
pub(crate) mod saved;
pub(crate) mod sections;
pub(crate) mod storage;

use crate::fail::Fail;
use crate::schema::Version;
use crate::tasks::Tasks;
use guest::{Guest, Kind};

/// A host of the cluster.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Node {
    pub name: String,
    pub online: bool,
    pub cpus: u32,
    pub memory: u64,
    pub bridges: BTreeSet<String>,
    pub address: String,
    pub settings: node::Settings,
}

/// A resource pool.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Pool {
    pub comment: Option<String>,
    pub guests: BTreeSet<u32>,
    pub storages: BTreeSet<String>,
}

/// Everything there is.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct World {
    pub version: Version,
    #[serde(skip)]
    pub now: Duration,
    pub booted: Duration,
    #[serde(skip)]
    pub stats_interval: Duration,
    pub cluster_name: Option<String>,
    pub quorate: bool,
    /// The node that answers the API.
    pub entry: String,
    pub nodes: BTreeMap<String, Node>,
    pub storages: BTreeMap<String, storage::Storage>,
    pub volumes: storage::Volumes,
    pub guests: BTreeMap<u32, Guest>,
    guests_on: BTreeMap<String, BTreeSet<u32>>,
    pub pools: BTreeMap<String, Pool>,
    pub access: access::Access,
    pub groups: BTreeMap<String, firewall::Group>,
    /// The firewalls of the cluster (`cluster`), of nodes (`node/NAME`) and of
    /// virtual networks (`vnet/NAME`); those of guests are with the guests.
    pub firewalls: BTreeMap<String, firewall::Firewall>,
    pub options: BTreeMap<String, String>,
    pub sections: sections::Sections,
    /// The certificate's fingerprint, as every node shows it.
    #[serde(skip)]
    pub fingerprint: String,
    /// The certificate in PEM form.
    #[serde(skip)]
    pub certificate: String,
    /// Consoles that wait for their clients.
    #[serde(skip)]
    pub consoles: std::collections::VecDeque<crate::calls::console::Console>,
    /// Whether changes of the virtual networks wait to be applied.
    pub sdn_pending: bool,
    /// The token of the client that alone may change the virtual networks.
    #[serde(default)]
    pub sdn_lock: Option<String>,
    /// The virtual networks as they were applied last.
    #[serde(default)]
    pub sdn_applied: sections::Sections,
    /// The bridges that virtual networks are.
    pub sdn_bridges: BTreeSet<String>,
    pub tasks: Tasks,
    random: u64,
}

impl World {
    /// An empty cluster; `seed` decides every generated MAC and UUID.
    pub fn new(version: Version, now: Duration, seed: u64) -> Self {
        Self {
            version,
            now,
            // A cluster that has run for a while: UPIDs show a process start time.
            booted: now.saturating_sub(Duration::from_secs(7_000)),
            stats_interval: Duration::from_secs(10),
            cluster_name: None,
            quorate: true,
            entry: String::new(),
            nodes: BTreeMap::new(),
            storages: BTreeMap::new(),
            volumes: storage::Volumes::default(),
            guests: BTreeMap::new(),
            guests_on: BTreeMap::new(),
            pools: BTreeMap::new(),
            access: access::Access::new(version),
            groups: BTreeMap::new(),
            firewalls: BTreeMap::new(),
            options: BTreeMap::new(),
            sections: sections::Sections::default(),
            fingerprint: String::new(),
            certificate: String::new(),
            consoles: std::collections::VecDeque::new(),
            sdn_pending: false,
            sdn_lock: None,
            sdn_applied: sections::Sections::default(),
            sdn_bridges: BTreeSet::new(),
            tasks: Tasks::default(),
            random: seed,
        }
    }

    /// The next pseudo-random number (splitmix64).
    pub fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A new UUID of version 4.
    pub fn uuid(&mut self) -> String {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.random().to_be_bytes());
        bytes[8..].copy_from_slice(&self.random().to_be_bytes());
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    /// A new MAC with Proxmox's own prefix.
    pub fn mac(&mut self) -> String {
        let bits = self.random();
        format!(
            "BC:24:11:{:02X}:{:02X}:{:02X}",
            bits & 0xff,
            (bits >> 8) & 0xff,
            (bits >> 16) & 0xff
        )
    }

    /// The virtual machine `vmid` on `node`, or Proxmox's error for a missing one.
    pub fn vm(&self, node: &str, vmid: u32) -> Result<&Guest, Fail> {
        self.guests
            .get(&vmid)
            .filter(|guest| guest.kind == Kind::Qemu && guest.node == node)
            .ok_or_else(|| Fail::new(no_config(node, vmid)))
    }

    /// Like [`World::vm`], to change it.
    pub fn vm_mut(&mut self, node: &str, vmid: u32) -> Result<&mut Guest, Fail> {
        self.guests
            .get_mut(&vmid)
            .filter(|guest| guest.kind == Kind::Qemu && guest.node == node)
            .ok_or_else(|| Fail::new(no_config(node, vmid)))
    }

    /// Takes the console behind a port away: it serves one client.
    pub fn take_console(&mut self, port: Option<&str>) -> Option<crate::calls::console::Console> {
        let port: u16 = port?.parse().ok()?;
        let at = self.consoles.iter().position(|console| console.port == port)?;
        self.consoles.remove(at)
    }

    /// The guests of a node, by id.
    pub fn guests_of(&self, node: &str) -> impl Iterator<Item = &Guest> {
        self.guests_on.get(node).into_iter().flatten().filter_map(|vmid| self.guests.get(vmid))
    }

    /// Adds a guest.
    pub fn insert_guest(&mut self, guest: Guest) {
        self.guests_on.entry(guest.node.clone()).or_default().insert(guest.vmid);
        self.guests.insert(guest.vmid, guest);
    }

    /// Removes a guest's configuration and its membership of a pool.
    pub fn remove_guest(&mut self, vmid: u32) -> Option<Guest> {
        let guest = self.guests.remove(&vmid)?;
        if let Some(on) = self.guests_on.get_mut(&guest.node) {
            on.remove(&vmid);
        }
        if let Some(pool) = &guest.pool
            && let Some(pool) = self.pools.get_mut(pool)
        {
            pool.guests.remove(&vmid);
        }
        Some(guest)
    }

    /// Moves a guest's configuration to another node.
    pub fn move_guest(&mut self, vmid: u32, to: &str) {
        let Some(guest) = self.guests.get_mut(&vmid) else { return };
        let from = std::mem::replace(&mut guest.node, to.to_owned());
        if let Some(on) = self.guests_on.get_mut(&from) {
            on.remove(&vmid);
        }
        self.guests_on.entry(to.to_owned()).or_default().insert(vmid);
    }

    /// Puts a guest into a pool.
    pub fn join_pool(&mut self, vmid: u32, pool: &str) {
        if let Some(entry) = self.pools.get_mut(pool) {
            entry.guests.insert(vmid);
            if let Some(guest) = self.guests.get_mut(&vmid) {
                guest.pool = Some(pool.to_owned());
            }
        }
    }

    /// The time of the last statistics round: `cluster/resources` shows the
    /// state of guests as it was then.
    pub fn last_round(&self) -> Duration {
        let step = self.stats_interval.as_nanos();
        if step == 0 {
            return self.now;
        }
        let since = self.now.saturating_sub(self.booted).as_nanos();
        self.booted + Duration::from_nanos(u64::try_from(since / step * step).unwrap_or(0))
    }

    /// Whether the last statistics round saw what happened at this time.
    pub fn round_saw(&self, at: Duration) -> bool {
        self.stats_interval.is_zero() || at < self.last_round()
    }
}

/// The text for a guest without a configuration file.
pub(crate) fn no_config(node: &str, vmid: u32) -> String {
    format!("Configuration file 'nodes/{node}/qemu-server/{vmid}.conf' does not exist")
}
