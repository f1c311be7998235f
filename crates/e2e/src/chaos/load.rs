//! What is asked of the server while it is being killed, and a ledger of it.
//!
//! A request whose answer is lost may or may not have been accepted: a creation
//! is looked for by its name before it is sent again, everything else can be
//! sent twice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use client::wire::{
    CreateInstance, Disk, Instance, InstanceQuery, Operation, OperationKind, OperationQuery,
    OperationState,
};
use client::{Client, Error};
use model::random::SeededRandom;
use model::{InstanceId, OperationId, Random as _};

/// How often one request is sent to a server that comes and goes.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long a worker watches one operation before it turns to something else.
const WATCHED: Duration = Duration::from_secs(10);
/// How many instances are asked for at most.
const MOST: usize = 80;

/// An instance as it was asked for, and what became known about it.
#[derive(Clone, Debug)]
pub struct Wish {
    pub cores: u32,
    pub root_gib: Option<u64>,
    pub groups: Vec<String>,
    pub start: bool,
    pub id: InstanceId,
    /// Every operation that the server has accepted, as far as it could say so.
    pub accepted: Vec<(OperationId, OperationKind)>,
    pub deleted: bool,
}

/// Everything that was asked for, by name.
#[derive(Default)]
pub struct Ledger {
    wishes: Mutex<BTreeMap<String, Wish>>,
    /// Answers that a client should never get.
    wrong: Mutex<Vec<String>>,
    stop: AtomicBool,
}

impl Ledger {
    pub fn wishes(&self) -> MutexGuard<'_, BTreeMap<String, Wish>> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    pub fn wrong(&self) -> Vec<String> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn note(&self, name: &str, operation: OperationId, kind: OperationKind) {
        if let Some(wish) = self.wishes().get_mut(name) {
            wish.accepted.push((operation, kind));
            wish.deleted |= kind == OperationKind::Delete;
        }
    }

    fn complain(&self, what: String) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }
}

/// One of several that ask for things at once.
pub struct Worker {
    pub number: usize,
    pub client: Client,
    pub ledger: Arc<Ledger>,
    pub dice: SeededRandom,
}

impl Worker {
    /// Makes instances and does things to them until the ledger says stop.
    pub async fn run(self) {
        let mut count = 0;
        while !self.ledger.is_stopped() && self.ledger.wishes().len() < MOST {
            let name = format!("chaos-{}-{count}", self.number);
            count += 1;
            if !self.create(&name).await {
                continue;
            }
            match self.dice.below(10) {
                // In the middle of its creation.
                0..3 => {
                    self.pause(2500).await;
                    self.delete(&name).await;
                }
                3..8 => {
                    self.watch(&name).await;
                    self.power(&name).await;
                    if self.dice.below(2) == 0 {
                        self.delete(&name).await;
                    }
                }
                _ => {}
            }
            self.pause(1200).await;
        }
    }

    async fn pause(&self, most_ms: u64) {
        tokio::time::sleep(Duration::from_millis(self.dice.below(most_ms))).await;
    }

    async fn create(&self, name: &str) -> bool {
        let mut request = CreateInstance::new(name, "debian");
        request.cores = Some(1 + u32::try_from(self.dice.below(4)).unwrap_or(0));
        request.memory_bytes = Some(512 << 20);
        let root_gib = (self.dice.below(3) == 0).then(|| 3 + self.dice.below(3));
        request.disks = root_gib.map(|gib| Disk { size_bytes: gib << 30 }).into_iter().collect();
        let groups: [&[&str]; 4] = [&[], &["web"], &["web", "db"], &["db"]];
        let groups = groups[usize::try_from(self.dice.below(4)).unwrap_or(0)];
        request.security_groups = groups.iter().map(|&group| group.to_owned()).collect();
        request.start = self.dice.below(4) != 0;
        let Some((id, operation)) = self.create_once(&request).await else { return false };
        let accepted = operation.map(|id| (id, OperationKind::Create)).into_iter().collect();
        let wish = Wish {
            cores: request.cores.unwrap_or(0),
            root_gib,
            groups: request.security_groups.clone(),
            start: request.start,
            id,
            accepted,
            deleted: false,
        };
        self.ledger.wishes().insert(name.to_owned(), wish);
        true
    }

    /// Sends a creation until it is accepted, and never twice unless it was not.
    async fn create_once(
        &self,
        request: &CreateInstance,
    ) -> Option<(InstanceId, Option<OperationId>)> {
        let begun = Instant::now();
        loop {
            let error = match self.client.create_instance(request).await {
                Ok(accepted) => return Some((accepted.instance, Some(accepted.operation))),
                Err(error) => error,
            };
            if !error.is_away() {
                let name = &request.name;
                self.ledger.complain(format!("create {name} is answered with {error}"));
                return None;
            }
            if !matches!(error, Error::Connect { .. })
                && let Some(id) = self.find(&request.name).await
            {
                return Some((id, None));
            }
            if begun.elapsed() > PATIENCE {
                self.ledger.complain(format!("create {} is never answered: {error}", request.name));
                return None;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The instance with this name, if the server has accepted it.
    async fn find(&self, name: &str) -> Option<InstanceId> {
        let query = InstanceQuery { name: Some(name.to_owned()), ..InstanceQuery::default() };
        let found = until_answered(|| self.client.instances(&query)).await;
        match found {
            Ok(page) => page.instances.first().map(|instance| instance.id),
            Err(error) => {
                self.ledger.complain(format!("list of {name}: {error}"));
                None
            }
        }
    }

    fn id(&self, name: &str) -> InstanceId {
        self.ledger.wishes()[name].id
    }

    async fn delete(&self, name: &str) {
        delete(&self.client, &self.ledger, name, self.id(name)).await;
    }

    /// Stops it, and mostly starts it again.
    async fn power(&self, name: &str) {
        let rounds = self.dice.below(3);
        for round in 0..rounds {
            if self.ledger.is_stopped() {
                return;
            }
            let id = self.id(name);
            let kind = match (round + self.dice.below(4)) % 2 {
                0 => OperationKind::Stop,
                _ => OperationKind::Start,
            };
            let sent = match kind {
                OperationKind::Stop => self.client.stop_instance(id).await,
                _ => self.client.start_instance(id).await,
            };
            match sent {
                Ok(accepted) => self.ledger.note(name, accepted.operation, kind),
                Err(error) if error.is_away() || error.code() == Some("conflict") => {}
                Err(error) => self.ledger.complain(format!("{kind} {name}: {error}")),
            }
            self.watch(name).await;
        }
    }

    /// Waits until nothing changes this instance, but not for too long.
    async fn watch(&self, name: &str) {
        let (id, begun) = (self.id(name), Instant::now());
        while begun.elapsed() < WATCHED && !self.ledger.is_stopped() {
            match self.client.instance(id).await {
                Ok(instance) if instance.operation.is_none() => return,
                Err(error) if !error.is_away() => {
                    return self.ledger.complain(format!("show {name}: {error}"));
                }
                _ => tokio::time::sleep(Duration::from_millis(150)).await,
            }
        }
    }
}

/// Deletes an instance: sent until it is answered.
pub async fn delete(client: &Client, ledger: &Ledger, name: &str, id: InstanceId) {
    match until_answered(|| client.delete_instance(id)).await {
        Ok(accepted) => ledger.note(name, accepted.operation, OperationKind::Delete),
        // An earlier one was accepted, its answer lost, and it is done.
        Err(error) if matches!(error.code(), Some("not_found" | "gone")) => {
            let mut wishes = ledger.wishes();
            match wishes.get_mut(name) {
                Some(wish) => wish.deleted = true,
                None => drop(wishes),
            }
        }
        Err(error) => ledger.complain(format!("delete {name}: {error}")),
    }
}

/// Sends a request that can be sent twice until the server answers it.
pub async fn until_answered<T, F: Future<Output = Result<T, Error>>>(
    mut send: impl FnMut() -> F,
) -> Result<T, Error> {
    let begun = Instant::now();
    loop {
        match send().await {
            Err(error) if error.is_away() && begun.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            answer => return answer,
        }
    }
}

/// The operations of one instance, or all, newest first.
pub async fn operations(
    client: &Client,
    instance: Option<InstanceId>,
    settled: Option<bool>,
) -> anyhow::Result<Vec<Operation>> {
    let query =
        OperationQuery { instance, settled, limit: Some(1000), ..OperationQuery::default() };
    Ok(until_answered(|| client.operations(&query)).await?)
}

/// All instances.
pub async fn instances(client: &Client) -> anyhow::Result<Vec<Instance>> {
    let query = InstanceQuery::default();
    Ok(until_answered(|| client.all_instances(&query)).await?)
}

/// Waits until every operation has settled. Answers how long it took, or the
/// ones that do not.
pub async fn settle(client: &Client, within: Duration) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    loop {
        let open = operations(client, None, Some(false)).await?;
        if open.is_empty() {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > within {
            let mut text = String::new();
            for one in open.iter().take(10) {
                let log = until_answered(|| client.operation_log(one.id)).await?;
                text.push_str(&format!("\n{} {} is {}", one.kind, one.instance_name, one.state));
                for line in log.lines.iter().rev().take(8).rev() {
                    text.push_str(&format!("\n    {} {}", line.at, line.text));
                }
            }
            anyhow::bail!("{} operations do not settle within {within:?}:{text}", open.len());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Whether a power operation succeeded, and what the guest is then.
pub fn leaves_running(operation: &Operation, wish: &Wish) -> Option<bool> {
    if operation.state != OperationState::Succeeded {
        return None;
    }
    match operation.kind {
        OperationKind::Create => Some(wish.start),
        OperationKind::Start | OperationKind::Reboot => Some(true),
        OperationKind::Stop | OperationKind::Shutdown => Some(false),
        _ => None,
    }
}
