//! What reads are served from: everything in memory, fed by the store's change
//! sequence and by the observers. No read waits for a hypervisor.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use model::{
    Caller, Door, Flavour, FlavourId, HostId, Image, ImageId, Instance, InstanceId, InstanceState,
    ProjectId, ProviderId, Timestamp,
};
use provider::{GuestView, HostView};
use store::{FeedKind, Store};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::names::Names;

/// Which instances to list.
#[derive(Clone, Debug, Default)]
pub struct InstanceFilter {
    /// Only those with this name.
    pub name: Option<String>,
    /// Only those in this state.
    pub state: Option<InstanceState>,
    /// Only those on this host, as last seen.
    pub host: Option<HostId>,
    /// Only those of this provider.
    pub provider: Option<ProviderId>,
    /// Only those made from this image.
    pub image: Option<ImageId>,
    /// Only those of this flavour.
    pub flavour: Option<FlavourId>,
    /// Only those with this tag.
    pub tag: Option<String>,
    /// Only those with this label, whatever its value or with this one.
    pub label: Option<(String, Option<String>)>,
    /// Only those that this door manages.
    pub managed_by: Option<Door>,
    /// Only those of this project.
    pub project: Option<ProjectId>,
    /// Only those after this one (ids sort by age).
    pub after: Option<InstanceId>,
    /// At most this many.
    pub limit: usize,
}

impl InstanceFilter {
    fn takes(&self, row: &Instance) -> bool {
        fn same<T: PartialEq>(wanted: &Option<T>, is: &T) -> bool {
            wanted.as_ref().is_none_or(|wanted| wanted == is)
        }
        let host = row.observed.as_ref().map(|seen| &seen.host);
        let labelled = |(key, value): &(String, Option<String>)| {
            row.spec.labels.get(key).is_some_and(|is| same(value, is))
        };
        same(&self.name, &row.spec.name)
            && same(&self.provider, &row.provider)
            && self.image.is_none_or(|image| row.spec.image == Some(image))
            && same(&self.managed_by, &row.managed_by)
            && same(&self.project, &row.project)
            && (self.host.is_none() || self.host.as_ref() == host)
            && (self.flavour.is_none() || self.flavour == row.spec.flavour)
            && self.tag.as_ref().is_none_or(|tag| row.spec.tags.contains(tag))
            && self.label.as_ref().is_none_or(labelled)
            && self.state.is_none_or(|state| state == row.state())
    }
}

/// What an observer last saw of its provider.
#[derive(Clone, Debug, Default)]
pub struct ProviderView {
    /// Whether anything was ever seen.
    pub seen: bool,
    /// When a look last showed everything.
    pub complete_at: Option<Timestamp>,
    /// Why the last look did not show everything.
    pub incomplete: Option<String>,
    /// The hosts.
    pub hosts: Vec<HostView>,
    /// The guests by key, whoever owns them.
    pub guests: BTreeMap<String, GuestView>,
    /// The names of the security groups, when they were ever seen.
    pub security_groups: Option<Vec<String>>,
}

#[derive(Default)]
struct Rows {
    instances: BTreeMap<InstanceId, Arc<Instance>>,
    images: BTreeMap<ImageId, Arc<Image>>,
    flavours: BTreeMap<FlavourId, Arc<Flavour>>,
    providers: BTreeMap<ProviderId, Arc<ProviderView>>,
    names: Names,
}

/// What reads are served from.
pub struct ReadModel {
    rows: RwLock<Rows>,
    sequence: watch::Sender<u64>,
    /// One catches up at a time: two would put back what the other has replaced.
    turn: tokio::sync::Mutex<()>,
}

impl ReadModel {
    /// Everything that the store holds.
    ///
    /// # Errors
    /// [`store::Error`] when it cannot be read.
    pub async fn load(store: &Store) -> Result<Self, store::Error> {
        // The sequence first: what changes while the rows are read is read again.
        let sequence = store.sequence().await?;
        let by_id = |instance: Instance| (instance.id, Arc::new(instance));
        let rows = Rows {
            instances: every_instance(store).await?.into_iter().map(by_id).collect(),
            images: store.images().await?.into_iter().map(|i| (i.id, Arc::new(i))).collect(),
            flavours: store.flavours().await?.into_iter().map(|f| (f.id, Arc::new(f))).collect(),
            providers: BTreeMap::new(),
            names: Names::of(store.aliases_in_use().await?),
        };
        Ok(Self {
            rows: RwLock::new(rows),
            sequence: watch::Sender::new(sequence),
            turn: tokio::sync::Mutex::new(()),
        })
    }

    fn read(&self) -> RwLockReadGuard<'_, Rows> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Rows> {
        self.rows.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the store until `stop`.
    pub async fn follow(&self, store: &Store, stop: CancellationToken) {
        let mut changes = store.subscribe();
        loop {
            if let Err(error) = self.catch_up(store).await {
                tracing::warn!(%error, "the read model cannot follow the store; trying again");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(std::time::Duration::from_secs(1)) => continue,
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Takes in what has changed since the last time.
    ///
    /// # Errors
    /// [`store::Error`] when the store cannot be read.
    pub async fn catch_up(&self, store: &Store) -> Result<(), store::Error> {
        let _turn = self.turn.lock().await;
        loop {
            let items = store.changes_since(self.sequence()).await?;
            let Some(last) = items.last().map(|item| item.sequence) else { return Ok(()) };
            for item in items {
                self.take(store, item.kind, &item.id).await?;
            }
            self.sequence.send_replace(last);
        }
    }

    async fn take(&self, store: &Store, kind: FeedKind, id: &str) -> Result<(), store::Error> {
        let corrupt = |error: model::ParseIdError| store::Error::Corrupt(error.to_string());
        match kind {
            FeedKind::Instance => {
                let id = id.parse().map_err(corrupt)?;
                let row = store.instance(id).await?;
                // Names are given when a row is made, and go with it.
                let names = match (&row, self.is_named(id)) {
                    (Some(_), true) => None,
                    (Some(_), false) => Some(store.aliases(id).await?),
                    (None, _) => Some(Vec::new()),
                };
                let mut rows = self.write();
                put(&mut rows.instances, id, row);
                if let Some(names) = names {
                    rows.names.set(id, names);
                }
            }
            FeedKind::Image => {
                let id = id.parse().map_err(corrupt)?;
                let row = store.image(id).await?;
                put(&mut self.write().images, id, row);
            }
            FeedKind::Flavour => {
                let id = id.parse().map_err(corrupt)?;
                let row = store.flavours().await?.into_iter().find(|row| row.id == id);
                put(&mut self.write().flavours, id, row);
            }
            FeedKind::Operation => {}
        }
        Ok(())
    }

    /// The change sequence that reads reflect.
    pub fn sequence(&self) -> u64 {
        *self.sequence.borrow()
    }

    /// Moves on with every change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.sequence.subscribe()
    }

    /// Waits until reads reflect this change sequence.
    pub async fn wait_for(&self, sequence: u64) {
        // The sender lives as long as `self`, so that the wait cannot fail.
        let _ = self.sequence.subscribe().wait_for(|reached| *reached >= sequence).await;
    }

    /// An instance, whoever owns it.
    pub fn instance(&self, id: InstanceId) -> Option<Arc<Instance>> {
        self.read().instances.get(&id).cloned()
    }

    /// The instances that a caller sees, oldest first.
    pub fn instances(&self, caller: &Caller, filter: &InstanceFilter) -> Vec<Arc<Instance>> {
        let rows = self.read();
        let from = match filter.after {
            Some(after) => std::ops::Bound::Excluded(after),
            None => std::ops::Bound::Unbounded,
        };
        rows.instances
            .range((from, std::ops::Bound::Unbounded))
            .map(|(_, instance)| instance)
            .filter(|instance| caller.sees(&instance.project))
            .filter(|instance| filter.takes(instance))
            .take(filter.limit)
            .cloned()
            .collect()
    }

    /// How many instances there are in each state.
    pub fn count_by_state(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for row in self.read().instances.values() {
            *counts.entry(row.state().to_string()).or_default() += 1;
        }
        counts
    }

    fn is_named(&self, id: InstanceId) -> bool {
        self.read().names.has(id)
    }

    /// The instance of this name.
    pub fn named(&self, door: Door, scope: &str, name: &str) -> Option<InstanceId> {
        self.read().names.find(door, scope, name)
    }

    /// What a door calls an instance, in one scope.
    pub fn name_of(&self, id: InstanceId, door: Door, scope: &str) -> Option<String> {
        self.read().names.of_instance(id, door, scope)
    }

    /// All instances of one provider.
    pub fn of_provider(&self, provider: &ProviderId) -> Vec<Arc<Instance>> {
        let rows = self.read();
        rows.instances.values().filter(|row| &row.provider == provider).cloned().collect()
    }

    /// The instances that expire until then, whoever owns them.
    pub fn expiring(&self, until: Timestamp) -> Vec<Arc<Instance>> {
        let rows = self.read();
        let over = |row: &&Arc<Instance>| row.spec.expires_at.is_some_and(|at| at <= until);
        rows.instances.values().filter(over).cloned().collect()
    }

    /// An image.
    pub fn image(&self, id: ImageId) -> Option<Arc<Image>> {
        self.read().images.get(&id).cloned()
    }

    /// All images.
    pub fn images(&self) -> Vec<Arc<Image>> {
        self.read().images.values().cloned().collect()
    }

    /// A flavour.
    pub fn flavour(&self, id: FlavourId) -> Option<Arc<Flavour>> {
        self.read().flavours.get(&id).cloned()
    }

    /// All flavours.
    pub fn flavours(&self) -> Vec<Arc<Flavour>> {
        self.read().flavours.values().cloned().collect()
    }

    /// What was last seen of a provider.
    pub fn provider_view(&self, provider: &ProviderId) -> Arc<ProviderView> {
        self.read().providers.get(provider).cloned().unwrap_or_default()
    }

    /// What the observer has seen.
    pub fn set_provider_view(&self, provider: &ProviderId, view: ProviderView) {
        self.write().providers.insert(provider.clone(), Arc::new(view));
    }
}

/// How many rows are read at a time.
const PAGE: u32 = 10_000;

async fn every_instance(store: &Store) -> Result<Vec<Instance>, store::Error> {
    let mut all: Vec<Instance> = Vec::new();
    loop {
        let after = all.last().map(|instance| instance.id);
        let filter = store::InstanceFilter { after, limit: PAGE, ..Default::default() };
        let page = store.instances(&filter).await?;
        let last = page.len() < PAGE as usize;
        all.extend(page);
        if last {
            return Ok(all);
        }
    }
}

fn put<K: Ord, V>(rows: &mut BTreeMap<K, Arc<V>>, id: K, row: Option<V>) {
    match row {
        Some(row) => rows.insert(id, Arc::new(row)),
        None => rows.remove(&id),
    };
}
