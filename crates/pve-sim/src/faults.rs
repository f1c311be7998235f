//! The fault plan: which calls go wrong, and how. Deterministic: matched in
//! order of arrival, with chances drawn from a seed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::world::World;
use crate::world::guest::{Guest, Kind};

/// How a call goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The call is carried out after this virtual time.
    Delay(Duration),
    /// Nothing happens; the answer is this status and text.
    Refuse {
        /// The HTTP status.
        status: u16,
        /// The error's text, without a final newline.
        text: String,
    },
    /// Nothing happens; the connection is closed without an answer.
    Drop,
    /// The call is carried out; the connection is closed without an answer.
    LoseReply,
    /// The answer comes now, the call is carried out after this virtual time:
    /// the worker behind a proxy that gave up.
    Later {
        /// When the call is carried out.
        after: Duration,
        /// `true` answers `596 Connection timed out`; `false` closes the connection.
        answers_596: bool,
    },
    /// The answer is 595, 596 or 599 with an empty body.
    Gateway {
        /// The HTTP status.
        status: u16,
        /// Whether the call is carried out.
        done: bool,
    },
    /// The lock file of the guest cannot be had: the call fails, or its task
    /// does, as Proxmox does for this call.
    LockTimeout,
    /// The task fails with this text and cleans up, as Proxmox's workers do.
    TaskFails(String),
    /// The task fails with this text and leaves what it had begun (a target
    /// with `lock: clone`, volumes).
    TaskFailsPartly(String),
    /// The task has its effect and then fails with this text.
    TaskFailsAfterEffect(String),
    /// The task's id is unknown afterwards; its effect happens or not.
    TaskVanishes {
        /// Whether the effect happens.
        done: bool,
    },
    /// The task says `OK` at its end, while the lock stays and the work goes on
    /// for this virtual time.
    TaskOkEarly(Duration),
    /// Just before the call, somebody else's guest takes the id that the call
    /// names (`vmid` of a create, `newid` of a clone).
    ForeignGuest {
        /// The name of that guest.
        name: String,
        /// Its `description`, if any.
        description: Option<String>,
    },
    /// Changes the cluster just before the call.
    Change(Change),
}

/// A change of the cluster that is nobody's call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A node can be reached or not.
    NodeOnline(String, bool),
    /// A storage takes new data or not.
    StorageFull(String, bool),
    /// A storage can be reached from a node or not.
    StorageOnline {
        /// The storage.
        storage: String,
        /// The node.
        node: String,
        /// Whether it can be reached.
        online: bool,
    },
    /// The cluster is quorate or not; without quorum every write is refused.
    Quorum(bool),
    /// A privilege is taken from everybody but root's ticket, or given back.
    Privilege {
        /// The privilege, such as `VM.Clone`.
        name: String,
        /// `true` gives it back.
        granted: bool,
    },
}

/// One planned fault: which calls, how often, and what happens.
#[derive(Debug, Clone)]
pub struct Fault {
    method: Option<String>,
    path: Vec<String>,
    skip: u32,
    times: u32,
    permille: u32,
    effects: Vec<Effect>,
    seen: u32,
    hits: u32,
}

impl Fault {
    /// Matches calls by method (`*` for any) and path below `/api2/json`. In the
    /// path `*` stands for one segment, a final `**` for all that follow. Fires
    /// once, at the first match, unless told otherwise.
    pub fn on(method: &str, path: &str) -> Self {
        Self {
            method: (method != "*").then(|| method.to_owned()),
            path: path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect(),
            skip: 0,
            times: 1,
            permille: 1000,
            effects: Vec::new(),
            seen: 0,
            hits: 0,
        }
    }

    /// Fires first at the `n`th match, counted from 1.
    #[must_use]
    pub fn nth(mut self, n: u32) -> Self {
        self.skip = n.saturating_sub(1);
        self
    }

    /// Fires this many times.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// Fires at every match.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(u32::MAX)
    }

    /// Fires with this chance in a thousand, drawn from the plan's seed.
    #[must_use]
    pub fn chance(mut self, permille: u32) -> Self {
        self.permille = permille;
        self
    }

    /// What happens. Several effects are combined, in order.
    #[must_use]
    pub fn then(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        if self.method.as_ref().is_some_and(|wanted| wanted != method) {
            return false;
        }
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        for wanted in &self.path {
            if wanted == "**" {
                return true;
            }
            match parts.next() {
                Some(part) if wanted == "*" || wanted == part => {}
                _ => return false,
            }
        }
        parts.next().is_none()
    }
}

/// The planned faults of a simulator.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    faults: BTreeMap<u64, Fault>,
    next: u64,
    random: u64,
}

impl Plan {
    pub fn seeded(seed: u64) -> Self {
        Self { random: seed | 1, ..Self::default() }
    }

    pub fn add(&mut self, fault: Fault) -> u64 {
        self.next += 1;
        self.faults.insert(self.next, fault);
        self.next
    }

    pub fn remove(&mut self, id: u64) {
        self.faults.remove(&id);
    }

    pub fn clear(&mut self) {
        self.faults.clear();
    }

    pub fn hits(&self, id: u64) -> u32 {
        self.faults.get(&id).map_or(0, |fault| fault.hits)
    }

    /// The effects for this call.
    pub fn take(&mut self, method: &str, path: &str) -> Vec<Effect> {
        let mut effects = Vec::new();
        for fault in self.faults.values_mut() {
            if !fault.matches(method, path) {
                continue;
            }
            fault.seen += 1;
            if fault.seen <= fault.skip || fault.hits >= fault.times {
                continue;
            }
            if fault.permille < 1000 {
                // xorshift64
                self.random ^= self.random << 13;
                self.random ^= self.random >> 7;
                self.random ^= self.random << 17;
                if self.random % 1000 >= u64::from(fault.permille) {
                    continue;
                }
            }
            fault.hits += 1;
            effects.extend(fault.effects.iter().cloned());
        }
        effects
    }
}

impl World {
    /// Applies a change that is nobody's call.
    pub fn change(&mut self, change: &Change) {
        match change {
            Change::NodeOnline(name, online) => {
                if let Some(node) = self.nodes.get_mut(name) {
                    node.online = *online;
                }
            }
            Change::StorageFull(id, full) => {
                if let Some(storage) = self.storages.get_mut(id) {
                    storage.full = *full;
                }
            }
            Change::StorageOnline { storage, node, online } => {
                if let Some(storage) = self.storages.get_mut(storage) {
                    if *online {
                        storage.offline_on.remove(node);
                    } else {
                        storage.offline_on.insert(node.clone());
                    }
                }
            }
            Change::Quorum(quorate) => self.quorate = *quorate,
            Change::Privilege { name, granted } => {
                if *granted {
                    self.access.withdrawn.remove(name);
                } else {
                    self.access.withdrawn.insert(name.clone());
                }
            }
        }
    }

    /// Puts somebody else's stopped guest at an id that is free.
    pub fn foreign_guest(&mut self, node: &str, vmid: u32, name: &str, description: Option<&str>) {
        if self.guests.contains_key(&vmid) {
            return;
        }
        let uuid = self.uuid();
        let mut guest = Guest::new(vmid, node, Kind::Qemu, self.now);
        guest.config.insert("name".into(), name.to_owned());
        guest.config.insert("smbios1".into(), format!("uuid={uuid}"));
        if let Some(description) = description {
            guest.config.insert("description".into(), description.to_owned());
        }
        self.insert_guest(guest);
    }
}
