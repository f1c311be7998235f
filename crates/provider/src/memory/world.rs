//! The cloud's state, and the passing of its time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use model::{ByteCount, HostId, ImagePresence, Mark, PowerState, Timestamp};
use serde_json::{Map, Value, json};

use super::faults::FaultBook;
use super::guest::{Durations, Guest, Request};
use super::tasks::{Effect, Fate, Task};
use crate::{Error, Handle, HandleState, Rejection};

/// How many requests the log keeps; the oldest go first.
const LOG_LIMIT: usize = 1_000_000;

#[derive(Debug)]
pub(super) struct Host {
    pub online: bool,
    pub cores: u32,
    pub memory: ByteCount,
    pub closed: Option<String>,
}

#[derive(Debug)]
pub(super) struct ImageRow {
    pub size: ByteCount,
    pub presence: ImagePresence,
}

/// An effect whose answer was lost and that has yet to happen.
#[derive(Debug)]
pub(super) struct Late {
    pub at: Duration,
    pub effect: Effect,
    /// As it was logged when it was sent.
    pub request: Request,
}

#[derive(Debug, Default)]
pub(super) struct World {
    pub durations: Durations,
    pub hosts: BTreeMap<HostId, Host>,
    pub images: BTreeMap<String, ImageRow>,
    pub groups: BTreeSet<String>,
    pub guests: BTreeMap<u64, Guest>,
    /// Root disks by the id of their guest: a disk may outlive its guest.
    pub disks: BTreeMap<u64, ByteCount>,
    pub tasks: BTreeMap<u64, Task>,
    pub late: Vec<Late>,
    pub no_quorum: bool,
    pub incomplete: Option<String>,
    pub log: VecDeque<Request>,
    pub faults: FaultBook,
    /// The most tasks of a kind that ran on one host at once.
    pub most_at_once: BTreeMap<&'static str, usize>,
    next_task: u64,
    guests_made: u64,
}

impl World {
    /// Lets everything happen whose moment has come, in the order of time.
    pub fn tick(&mut self, monotonic: Duration, now: Timestamp) {
        loop {
            let task = self.running().map(|(id, task)| (task.ends, id)).min();
            let late = (0..self.late.len()).min_by_key(|index| self.late[*index].at);
            let late = late.map(|index| (self.late[index].at, index));
            match (task, late) {
                (Some((at, id)), other) if at <= monotonic && other.is_none_or(|o| at <= o.0) => {
                    self.finish(id);
                }
                (_, Some((at, index))) if at <= monotonic => self.land(index, monotonic, now),
                _ => return,
            }
        }
    }

    /// A late effect comes to what the cloud makes of it now.
    fn land(&mut self, index: usize, monotonic: Duration, now: Timestamp) {
        let Late { at, effect, mut request } = self.late.remove(index);
        let ago = monotonic.saturating_sub(at);
        let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
        request.at = Timestamp::from_millis(now.as_millis().saturating_sub(ago));
        let begun = self.begin(effect, Fate::Well, at);
        request.effect = begun.is_ok();
        request.answer = match begun {
            Ok(_) => "landed".to_owned(),
            Err(error) => format!("landed: {error}"),
        };
        self.note(request);
    }

    pub fn note(&mut self, request: Request) {
        if self.log.len() == LOG_LIMIT {
            self.log.pop_front();
        }
        self.log.push_back(request);
    }

    /// When something happens next by itself.
    pub fn next_event(&self) -> Option<Duration> {
        let tasks = self.running().map(|(_, task)| task.ends);
        tasks.chain(self.late.iter().map(|late| late.at)).min()
    }

    pub fn running(&self) -> impl Iterator<Item = (u64, &Task)> {
        self.tasks.iter().filter(|(_, task)| task.end.is_none()).map(|(id, task)| (*id, task))
    }

    /// The running task that works on this guest.
    pub fn task_on(&self, guest: u64) -> Option<(u64, &Task)> {
        self.running().find(|(_, task)| task.effect.guest() == guest)
    }

    pub fn new_task_id(&mut self) -> u64 {
        self.next_task += 1;
        self.next_task
    }

    /// A UUID that no guest of this cloud has had.
    pub fn new_uuid(&mut self) -> String {
        self.guests_made += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.guests_made)
    }

    /// How far a handle is.
    pub fn handle_state(&self, handle: &Handle, monotonic: Duration) -> HandleState {
        let id = handle.reference.strip_prefix("task-").and_then(|id| id.parse::<u64>().ok());
        let task = id.and_then(|id| self.tasks.get(&id));
        let Some(task) = task.filter(|task| task.host == handle.host && !task.is_lost()) else {
            return HandleState::Lost;
        };
        task.end.clone().unwrap_or_else(|| {
            let whole = task.ends.saturating_sub(task.begun).as_millis().max(1);
            let done = monotonic.saturating_sub(task.begun).as_millis();
            let percent = u8::try_from(done.saturating_mul(100) / whole).unwrap_or(100);
            HandleState::Running { percent: Some(percent.min(99)) }
        })
    }

    /// Whether the host that has this guest, or would have it, can be asked.
    pub fn reach(&self, host: &HostId, guest: Option<u64>) -> Result<(), Error> {
        let guest = guest.and_then(|id| self.guests.get(&id));
        let host = guest.map_or(host, |guest| &guest.host);
        match self.hosts.get(host) {
            None => Err(Error::rejected(Rejection::NotFound, format!("there is no host {host}"))),
            Some(host) if host.online => Ok(()),
            Some(_) => Err(Error::Unavailable(format!("the host {host} does not answer"))),
        }
    }

    /// Puts a guest there. Replaces what stands there, with its disk.
    pub fn place(&mut self, guest: Guest, disk: Option<ByteCount>) {
        self.remove(guest.id);
        if let Some(size) = disk {
            self.disks.insert(guest.id, size);
        }
        self.guests.insert(guest.id, guest);
    }

    /// A plain guest, off, with nothing of its own.
    pub fn new_guest(&mut self, id: u64, name: &str, host: HostId, mark: Option<Mark>) -> Guest {
        Guest {
            id,
            name: name.to_owned(),
            mark,
            uuid: self.new_uuid(),
            image: None,
            host,
            cores: 1,
            memory: ByteCount::mib(512),
            networks: Vec::new(),
            groups: Vec::new(),
            seed_url: None,
            power: PowerState::Stopped,
            boots: 0,
            pending: None,
            description: String::new(),
            tags: BTreeSet::new(),
            protected: false,
            snapshots: BTreeMap::new(),
            state: 0,
            obeys: true,
            answers: true,
            lock: None,
            digest: 0,
            booted_at: Duration::ZERO,
        }
    }

    pub fn remove(&mut self, id: u64) {
        self.guests.remove(&id);
        self.disks.remove(&id);
    }

    pub fn dump(&self) -> Value {
        let guests: Map<String, Value> =
            self.guests.iter().map(|(id, guest)| (id.to_string(), dump_guest(guest))).collect();
        let disks: Map<String, Value> =
            self.disks.iter().map(|(id, size)| (format!("{id}/disk-0"), json!(size))).collect();
        let mut tasks: Vec<Value> = self
            .running()
            .map(|(_, task)| json!({"kind": task.effect.kind(), "guest": task.effect.guest()}))
            .collect();
        tasks.sort_by_key(ToString::to_string);
        json!({"guests": guests, "disks": disks, "tasks": tasks})
    }
}

fn dump_guest(guest: &Guest) -> Value {
    json!({
        "name": guest.name,
        "mark": guest.mark.map(|mark| mark.to_string()),
        "uuid": guest.uuid,
        "image": guest.image,
        "host": guest.host,
        "cores": guest.cores,
        "memory": guest.memory,
        "networks": guest.networks,
        "groups": guest.groups,
        "seeded": guest.seed_url.is_some(),
        "power": guest.power,
        "boots": guest.boots,
        "locked": guest.is_locked(),
        "pending": guest.pending_names(),
        "description": guest.description,
        "tags": guest.tags,
        "protected": guest.protected,
        "snapshots": guest.snapshot_names(),
    })
}
