//! How many requests at once: in all, per node and per storage.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::error::{Call, Error};

/// How many requests may be in flight at once. What is more waits in a queue,
/// first come, first served; a call that is for a storage waits for a place
/// there first, then for one of its node, then for one of all, so that a slow
/// storage or node holds up nobody else.
///
/// The API proxy of a node has three workers, and so has its daemon: more
/// requests than that at once wait there, and after 30 s they fail with 596.
/// Log-ins, tasks that run and open consoles take no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// In all: 64. At least 1.
    pub in_flight: usize,
    /// To the same node (`/nodes/NODE/…`): 32. At least 1.
    pub per_node: usize,
    /// To storages of the same name (`/nodes/NODE/storage/STORAGE/…` and
    /// `/storage/STORAGE`): 16. At least 1. An upload takes its place until it
    /// is over.
    pub per_storage: usize,
    /// How many calls may wait: 4096. One more fails at once with
    /// [`Error::Overloaded`].
    pub longest_queue: usize,
    /// For how long a call may wait: 60 s. Then it fails with
    /// [`Error::Overloaded`].
    pub longest_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight: 64,
            per_node: 32,
            per_storage: 16,
            longest_queue: 4096,
            longest_wait: Duration::from_secs(60),
        }
    }
}

/// Beyond this many gates those that nobody uses are forgotten.
const MANY: usize = 256;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Node(String),
    Storage(String),
}

pub(crate) struct Gates {
    limits: Limits,
    all: Arc<Semaphore>,
    keyed: Mutex<HashMap<Key, Arc<Semaphore>>>,
    waiting: AtomicUsize,
}

/// Holds a call's places until it is dropped.
pub(crate) struct Place {
    _permits: Vec<OwnedSemaphorePermit>,
}

/// Counts a call that waits.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gates {
    pub fn new(limits: &Limits) -> Result<Self, Error> {
        let checked = [
            ("in_flight", limits.in_flight),
            ("per_node", limits.per_node),
            ("per_storage", limits.per_storage),
        ];
        for (name, value) in checked {
            if !(1..=Semaphore::MAX_PERMITS).contains(&value) {
                let reason = format!("limits.{name}: expected at least 1, got {value}");
                return Err(Error::Config(reason));
            }
        }
        Ok(Self {
            limits: *limits,
            all: Arc::new(Semaphore::new(limits.in_flight)),
            keyed: Mutex::default(),
            waiting: AtomicUsize::new(0),
        })
    }

    /// Waits for the places that a call needs.
    pub async fn enter(&self, call: &Call) -> Result<Place, Error> {
        let since = Instant::now();
        let mut permits = Vec::with_capacity(3);
        for key in keys(&call.path).into_iter().map(Some).chain([None]) {
            let gate = self.gate(key.as_ref());
            let permit = match Arc::clone(&gate).try_acquire_owned() {
                Ok(permit) => permit,
                Err(_) => self.wait(call, key.as_ref(), gate, since).await?,
            };
            permits.push(permit);
        }
        Ok(Place { _permits: permits })
    }

    fn gate(&self, key: Option<&Key>) -> Arc<Semaphore> {
        let Some(key) = key else {
            return Arc::clone(&self.all);
        };
        // The map is whole at every moment at which somebody could panic.
        let mut gates = self.keyed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(key) {
            return Arc::clone(gate);
        }
        if gates.len() >= MANY {
            gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        let places = match key {
            Key::Node(_) => self.limits.per_node,
            Key::Storage(_) => self.limits.per_storage,
        };
        let gate = Arc::new(Semaphore::new(places));
        gates.insert(key.clone(), Arc::clone(&gate));
        gate
    }

    async fn wait(
        &self,
        call: &Call,
        key: Option<&Key>,
        gate: Arc<Semaphore>,
        since: Instant,
    ) -> Result<OwnedSemaphorePermit, Error> {
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        let overloaded = |reason: String| Error::Overloaded { call: call.clone(), reason };
        if waiting >= self.limits.longest_queue {
            return Err(overloaded(format!("{waiting} calls wait already (limits.longest_queue)")));
        }
        let limit = self.limits.longest_wait;
        let left = limit.saturating_sub(since.elapsed());
        match tokio::time::timeout(left, gate.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(overloaded(format!(
                "no place {} within {} ms (limits.longest_wait)",
                self.describe(key),
                limit.as_millis()
            ))),
        }
    }

    fn describe(&self, key: Option<&Key>) -> String {
        match key {
            None => format!("among {} requests (limits.in_flight)", self.limits.in_flight),
            Some(Key::Node(node)) => {
                format!("among {} to node {node} (limits.per_node)", self.limits.per_node)
            }
            Some(Key::Storage(name)) => {
                format!("among {} to storage {name} (limits.per_storage)", self.limits.per_storage)
            }
        }
    }
}

/// Which storage and node a path is for, in the order in which places are taken.
fn keys(path: &str) -> Vec<Key> {
    let mut parts = path.split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("nodes"), Some(node), Some("storage"), Some(storage)) => {
            vec![Key::Storage(storage.to_owned()), Key::Node(node.to_owned())]
        }
        (Some("nodes"), Some(node), ..) => vec![Key::Node(node.to_owned())],
        (Some("storage"), Some(storage), ..) => vec![Key::Storage(storage.to_owned())],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn call(path: &str) -> Call {
        Call { method: http::Method::GET, path: path.to_owned() }
    }

    fn gates(change: impl FnOnce(&mut Limits)) -> Gates {
        let mut limits = Limits { longest_wait: Duration::from_millis(20), ..Limits::default() };
        change(&mut limits);
        Gates::new(&limits).unwrap()
    }

    async fn refusal(gates: &Gates, path: &str) -> String {
        match gates.enter(&call(path)).await {
            Err(error) => error.to_string(),
            Ok(_) => panic!("let in: {path}"),
        }
    }

    #[tokio::test]
    async fn nodes_and_storages_have_places_of_their_own() {
        let gates = gates(|limits| (limits.per_node, limits.per_storage) = (2, 1));
        let _one = gates.enter(&call("nodes/a/storage/local/content")).await.unwrap();
        assert!(refusal(&gates, "nodes/b/storage/local").await.contains("storage local"));
        assert!(refusal(&gates, "storage/local").await.contains("limits.per_storage"));
        let _two = gates.enter(&call("nodes/a/qemu")).await.unwrap();
        assert!(refusal(&gates, "nodes/a/status").await.contains("node a (limits.per_node)"));
        gates.enter(&call("nodes/b/status")).await.unwrap();
        gates.enter(&call("cluster/resources")).await.unwrap();
    }

    #[tokio::test]
    async fn places_come_back_and_the_whole_has_a_limit() {
        let gates = gates(|limits| limits.in_flight = 1);
        let place = gates.enter(&call("version")).await.unwrap();
        assert!(refusal(&gates, "nodes").await.contains("limits.in_flight"));
        drop(place);
        gates.enter(&call("nodes")).await.unwrap();
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let gates = gates(|limits| (limits.in_flight, limits.longest_queue) = (1, 0));
        let _place = gates.enter(&call("version")).await.unwrap();
        assert!(refusal(&gates, "nodes").await.contains("limits.longest_queue"));
    }

    #[tokio::test]
    async fn gates_that_nobody_uses_are_forgotten() {
        let gates = gates(|limits| limits.per_node = 1);
        let _held = gates.enter(&call("nodes/held/x")).await.unwrap();
        for node in 0..3 * MANY {
            gates.enter(&call(&format!("nodes/n{node}/x"))).await.unwrap();
        }
        assert!(gates.keyed.lock().unwrap().len() <= MANY);
        assert!(refusal(&gates, "nodes/held/x").await.contains("node held"));
    }

    #[test]
    fn limits_of_nothing_are_refused() {
        let limits = Limits { per_node: 0, ..Limits::default() };
        let error = Gates::new(&limits).err().unwrap().to_string();
        assert!(error.contains("limits.per_node"), "{error}");
    }
}
