//! Carries out requests, tasks and delayed events. The world is locked only
//! for moments; whatever a backend does happens between two locks.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use crate::clock::Clock;
use crate::fail::Fail;
use crate::faults::{Effect, Plan};
use crate::machine::Backend;
use crate::requests::RequestLog;
use crate::schema::Version;
use crate::schema::returns::{self, Mismatch};
use crate::tasks::{Done, Op, TaskDurations};
use crate::world::World;
use crate::world::guest::Kind;

pub(crate) mod authenticate;
mod call;
mod dispatch;
mod fetch;
mod message;
mod permission;
mod work;

pub(crate) use call::Call;
pub(crate) use message::{Credentials, Digests, Outcome, Params, Reply, Request, Upload};

/// How long a worker waits for a guest's lock file. Source: the text and time
/// of `lock_config` in Proxmox.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// Something that happens at a time.
pub(crate) enum Event {
    /// A worker's time is over.
    Task(u64),
    /// A worker has waited long enough for the lock file of a guest.
    LockTimeout(u64),
    /// A call whose answer was given long ago is carried out.
    Late(Box<Request>, Vec<Effect>),
    /// A delayed call goes on.
    Resume(Box<Request>, Vec<Effect>, oneshot::Sender<Outcome>),
    /// An answer that was held back is given.
    Deliver(Outcome, oneshot::Sender<Outcome>),
}

#[derive(Default)]
struct Queue {
    events: BTreeMap<(Duration, u64), Event>,
    next: u64,
}

/// What all connections share.
pub(crate) struct Engine {
    pub clock: Arc<dyn Clock>,
    pub backend: Arc<dyn Backend>,
    pub durations: TaskDurations,
    pub auth_delay: Duration,
    pub manual: bool,
    /// The release that is played.
    pub version: Version,
    world: Mutex<World>,
    plan: Mutex<Plan>,
    log: Mutex<RequestLog>,
    queue: Mutex<Queue>,
    waiting: Mutex<HashMap<u32, VecDeque<u64>>>,
    pub wake: Notify,
    /// What answers contradict in the schema, by place; `None`: nobody asks.
    pub mismatches: Option<Mutex<BTreeMap<String, Mismatch>>>,
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    pub fn new(
        world: World,
        plan: Plan,
        clock: Arc<dyn Clock>,
        backend: Arc<dyn Backend>,
        durations: TaskDurations,
        auth_delay: Duration,
    ) -> Self {
        let manual = clock.set(Duration::ZERO);
        Self {
            clock,
            backend,
            durations,
            auth_delay,
            manual,
            version: world.version,
            world: Mutex::new(world),
            plan: Mutex::new(plan),
            log: Mutex::default(),
            queue: Mutex::default(),
            waiting: Mutex::default(),
            wake: Notify::new(),
            mismatches: None,
        }
    }

    /// The world, with its time set.
    pub fn world(&self) -> MutexGuard<'_, World> {
        let mut world = guard(&self.world);
        world.now = self.clock.now();
        world
    }

    pub fn plan(&self) -> MutexGuard<'_, Plan> {
        guard(&self.plan)
    }

    pub fn log(&self) -> MutexGuard<'_, RequestLog> {
        guard(&self.log)
    }

    pub fn mismatches(&self) -> Vec<Mismatch> {
        let all = self.mismatches.as_ref();
        all.map(|all| guard(all).values().cloned().collect()).unwrap_or_default()
    }

    /// Compares a successful answer with the schema, when somebody asks.
    fn compare(&self, request: &Request, data: &message::Data) {
        let Some(all) = &self.mismatches else { return };
        for found in
            returns::check_answer(self.version, &request.method, &request.path, &data.to_value())
        {
            let place = format!("{} {} {}", found.verb, found.path, found.at);
            guard(all).entry(place).or_insert(found);
        }
    }

    /// Plans an event.
    pub fn schedule(&self, after: Duration, event: Event) {
        let mut queue = guard(&self.queue);
        queue.next += 1;
        let key = (self.clock.now() + after, queue.next);
        queue.events.insert(key, event);
        drop(queue);
        self.wake.notify_one();
    }

    /// When the next event is due.
    pub fn next_due(&self) -> Option<Duration> {
        guard(&self.queue).events.keys().next().map(|(due, _)| *due)
    }

    /// Takes the next event that is due by `until`, with its time.
    pub fn take_due(&self, until: Duration) -> Option<(Duration, Event)> {
        let mut queue = guard(&self.queue);
        let entry = queue.events.first_entry()?;
        if entry.key().0 > until {
            return None;
        }
        let due = entry.key().0;
        Some((due, entry.remove()))
    }

    /// Carries out an event.
    pub async fn run(self: &Arc<Self>, event: Event) {
        match event {
            Event::Task(number) => self.run_task(number).await,
            Event::LockTimeout(number) => self.lock_timeout(number),
            Event::Late(request, effects) => {
                self.late(*request, effects).await;
            }
            Event::Resume(request, effects, answer) => {
                self.proceed(*request, effects, answer).await;
            }
            Event::Deliver(outcome, answer) => {
                let _ = answer.send(outcome);
            }
        }
    }

    /// Runs events as the real time passes, until the handle is gone.
    pub async fn drive(self: Arc<Self>) {
        loop {
            while let Some((_, event)) = self.take_due(self.clock.now()) {
                let engine = self.clone();
                tokio::spawn(async move { engine.run(event).await });
            }
            let pause = self
                .next_due()
                .map_or(Duration::from_secs(3600), |due| due.saturating_sub(self.clock.now()));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// Lets the backend carry out operations, one after the other.
    pub async fn carry_out(&self, ops: Vec<Op>) -> Result<Vec<Done>, String> {
        let mut done = Vec::with_capacity(ops.len());
        for op in ops {
            done.push(self.carry_out_one(op).await.map_err(|error| error.0)?);
        }
        Ok(done)
    }

    async fn carry_out_one(&self, op: Op) -> Result<Done, crate::machine::BackendError> {
        let backend = &self.backend;
        match op {
            Op::Allocate { volume, size } => backend.allocate(&volume, size).await?,
            Op::CloneLinked { base, target } => backend.clone_linked(&base, &target).await?,
            Op::CloneFull { source, target } => backend.clone_full(&source, &target).await?,
            Op::Rename { from, to } => backend.rename(&from, &to).await?,
            Op::Grow { volume, size } => backend.grow(&volume, size).await?,
            Op::Free { volume } => backend.free(&volume).await?,
            Op::Start(spec) => return backend.start(&spec).await.map(Done::Pid),
            Op::Kill(vmid) => backend.kill(vmid).await?,
            Op::Powerdown(vmid) => backend.powerdown(vmid).await?,
            Op::Reset(vmid) => backend.reset(vmid).await?,
            Op::Fetch { url } => return fetch::fetch(&url).await.map(Done::Fetched),
            Op::IsRunning(vmid) => return Ok(Done::Running(backend.is_running(vmid).await)),
        }
        Ok(Done::Unit)
    }

    /// Notices that a guest's process has ended by itself.
    pub async fn reap(&self, vmid: u32) {
        let running = self.world().guests.get(&vmid).is_some_and(|guest| {
            // Containers are records with every backend.
            guest.kind == Kind::Qemu && guest.process.is_some() && guest.flock.is_none()
        });
        if running && !self.backend.is_running(vmid).await {
            let mut world = self.world();
            let now = world.now;
            if let Some(guest) = world.guests.get_mut(&vmid)
                && guest.flock.is_none()
            {
                guest.halt(now);
            }
        }
    }

    /// Waits while a worker holds a guest's lock file, as a call does that
    /// changes the configuration itself. With a manual clock nothing waits.
    pub async fn await_flock(&self, vmid: u32) -> Result<(), Fail> {
        let until = self.clock.now() + LOCK_WAIT;
        loop {
            if self.world().guests.get(&vmid).is_none_or(|guest| guest.flock.is_none()) {
                return Ok(());
            }
            if self.manual || self.clock.now() >= until {
                return Err(Fail::new(self.world().lock_text(vmid)));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
