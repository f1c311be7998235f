//! The cloud, as tests set it up and look at it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{ByteCount, Clock, HostId, ImagePresence, Mark, PowerState};
use serde_json::Value;

use super::faults::Faults;
use super::guest::{Durations, Guest, Request};
use super::world::{Host, ImageRow, World};

/// A cloud in memory. Whatever is done to it through the methods of this type
/// is done behind the providers' backs.
pub struct MemoryCloud {
    name: String,
    clock: Arc<dyn Clock>,
    world: Mutex<World>,
}

impl std::fmt::Debug for MemoryCloud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryCloud").field("name", &self.name).finish_non_exhaustive()
    }
}

impl MemoryCloud {
    /// An empty cloud. Its monotonic clock says when tasks end, its wall clock
    /// stands in the log of requests.
    pub fn new(name: &str, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { name: name.to_owned(), clock, world: Mutex::default() })
    }

    /// A cloud for tests: hosts `host1` and `host2` with 64 cores and 256 GiB
    /// each, the image `debian` of 2 GiB on both and the image `local` of 1 GiB
    /// on `host1` only, the security groups `web` and `db`.
    pub fn sample(name: &str, clock: Arc<dyn Clock>) -> Arc<Self> {
        let cloud = Self::new(name, clock);
        for host in ["host1", "host2"] {
            cloud.add_host(&host_id(host), 64, ByteCount::gib(256));
        }
        cloud.add_image("debian", ByteCount::gib(2), &["host1", "host2"], "");
        cloud.add_image("local", ByteCount::gib(1), &["host1"], "it is on local storage");
        cloud.add_group("web");
        cloud.add_group("db");
        cloud
    }

    /// The cloud's name; ids are taken from the pool `memory/<name>/id`.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The world as it is now.
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.tick(self.clock.monotonic(), self.clock.now());
        world
    }

    /// The faults.
    pub fn faults(&self) -> Faults<'_> {
        Faults(self)
    }

    /// Guests, disks and running tasks, in a stable order and without times.
    /// Not in it: hosts, images, security groups, the log, and effects that are
    /// still to land.
    pub fn dump(&self) -> Value {
        self.world().dump()
    }

    /// All requests so far, in the order of time (the last million).
    pub fn requests(&self) -> Vec<Request> {
        self.world().log.iter().cloned().collect()
    }

    /// A guest.
    pub fn guest(&self, id: u64) -> Option<Guest> {
        self.world().guests.get(&id).cloned()
    }

    /// All guests, by id.
    pub fn guests(&self) -> Vec<Guest> {
        self.world().guests.values().cloned().collect()
    }

    /// The size of a guest's root disk; a disk may outlive its guest.
    pub fn disk(&self, id: u64) -> Option<ByteCount> {
        self.world().disks.get(&id).copied()
    }

    /// How long until something happens by itself: a task ends or a late effect
    /// lands. `None` when the cloud is at rest.
    pub fn next_event(&self) -> Option<Duration> {
        let at = self.world().next_event()?;
        Some(at.saturating_sub(self.clock.monotonic()))
    }

    /// The most tasks of this kind (`clone`, `start`, …) that ever ran at once
    /// on one host.
    pub fn most_at_once(&self, kind: &str) -> usize {
        self.world().most_at_once.get(kind).copied().unwrap_or(0)
    }

    /// How long tasks take that begin from now on.
    pub fn set_durations(&self, durations: Durations) {
        self.world().durations = durations;
    }

    /// Adds a host, or changes it and takes it online.
    pub fn add_host(&self, id: &HostId, cores: u32, memory: ByteCount) {
        let host = Host { online: true, cores, memory, closed: None };
        self.world().hosts.insert(id.clone(), host);
    }

    /// Takes a host off or online. Its guests and tasks go on.
    pub fn set_online(&self, id: &HostId, online: bool) {
        if let Some(host) = self.world().hosts.get_mut(id) {
            host.online = online;
        }
    }

    /// Why no guest should be placed on the host; nothing opens it.
    pub fn close_host(&self, id: &HostId, reason: Option<&str>) {
        if let Some(host) = self.world().hosts.get_mut(id) {
            host.closed = reason.map(str::to_owned);
        }
    }

    /// Adds an image, or changes it. The reason says why it is nowhere else.
    /// Names of hosts that cannot be one are left out.
    pub fn add_image(&self, name: &str, size: ByteCount, hosts: &[&str], reason: &str) {
        let hosts = hosts.iter().filter_map(|host| host.parse().ok()).collect();
        let presence = ImagePresence { hosts, reason: reason.to_owned() };
        self.world().images.insert(name.to_owned(), ImageRow { size, presence });
    }

    /// Removes an image. Guests made from it stay.
    pub fn remove_image(&self, name: &str) {
        self.world().images.remove(name);
    }

    /// Adds a security group.
    pub fn add_group(&self, name: &str) {
        self.world().groups.insert(name.to_owned());
    }

    /// Whether the cluster has a quorum: without one nothing can be changed,
    /// nothing is known to be gone, and observations are incomplete.
    pub fn set_quorate(&self, quorate: bool) {
        self.world().no_quorum = !quorate;
    }

    /// Makes observations incomplete for this reason; nothing ends that.
    pub fn set_incomplete(&self, reason: Option<&str>) {
        self.world().incomplete = reason.map(str::to_owned);
    }

    /// Puts somebody else's guest there, running, with a disk; it replaces what
    /// stands at the id. A mark makes it a copy of a guest with that mark.
    pub fn add_foreign(&self, id: u64, name: &str, host: &HostId, mark: Option<Mark>) {
        self.world().place_foreign(id, name, host, mark);
    }

    /// Removes a guest with its disk, whatever it is doing.
    pub fn remove_guest(&self, id: u64) {
        self.world().remove(id);
    }

    /// Changes a guest as an administrator could: its power, its host, whether
    /// it obeys or tells its addresses.
    pub fn change_guest(&self, id: u64, change: impl FnOnce(&mut Guest)) {
        if let Some(guest) = self.world().guests.get_mut(&id) {
            change(guest);
            guest.digest += 1;
        }
    }

    /// What an administrator does about a lock that stays.
    pub fn unlock(&self, id: u64) {
        if let Some(guest) = self.world().guests.get_mut(&id) {
            guest.lock = None;
        }
    }
}

impl World {
    pub(super) fn place_foreign(&mut self, id: u64, name: &str, host: &HostId, mark: Option<Mark>) {
        let mut guest = self.new_guest(id, name, host.clone(), mark);
        guest.power = PowerState::Running;
        guest.boots = 1;
        self.place(guest, Some(ByteCount::gib(1)));
    }
}

/// A host id from a literal of this crate.
#[allow(clippy::expect_used, reason = "only literals of this file are given")]
fn host_id(name: &str) -> HostId {
    name.parse().expect("a literal host name")
}
