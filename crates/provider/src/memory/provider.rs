//! The provider over the cloud in memory.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::{Address, HostId, Intent, Mark, PowerState};
use serde_json::{Value, json};

use super::actions::Act;
use super::cloud::MemoryCloud;
use super::desk::{Asked, Desk, call};
use super::faults::Call;
use super::guest::Guest;
use super::plan::{KIND, Planner, failure};
use super::standing::{Reference, Standing, gone};
use super::world::World;
use crate::{
    Action, ActionContext, Applied, Batch, Destination, Destinations, Error, Existence, Facts,
    GuestDetails, GuestView, Handle, HandleState, HostView, IdRequest, ImageView, Orphan, Plan,
    Probe, Provider, ReservedId, Undone,
};

/// A provider over a [`MemoryCloud`]. Several may share one: each stands for a
/// process.
#[derive(Clone, Debug)]
pub struct MemoryProvider {
    cloud: Arc<MemoryCloud>,
    label: String,
}

impl MemoryProvider {
    /// A provider whose requests are logged under this label.
    pub fn new(cloud: Arc<MemoryCloud>, label: &str) -> Self {
        Self { cloud, label: label.to_owned() }
    }

    /// The cloud.
    pub fn cloud(&self) -> &Arc<MemoryCloud> {
        &self.cloud
    }

    fn planner(&self) -> Planner<'_> {
        Planner { cloud: self.cloud.name() }
    }

    fn act<T>(
        &self,
        kind: Call,
        action: &Action,
        context: &ActionContext,
        work: impl FnOnce(Act, &mut Desk<'_>, &Reference) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let act = Act::read(action)?;
        let about = act.about(context)?;
        let asked = Asked {
            call: kind,
            action: &action.name,
            instance: Some(context.mark.instance),
            about: Some(about.clone()),
            settle: action.settle,
        };
        call(&self.cloud, &self.label, asked, |desk| {
            desk.world.reach(&about.host, Some(about.id))?;
            work(act, desk, &about)
        })
    }

    fn read<T>(
        &self,
        kind: Call,
        name: &str,
        about: Option<Reference>,
        mark: Option<&Mark>,
        work: impl FnOnce(&mut Desk<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let instance = mark.map(|mark| mark.instance);
        let asked = Asked { call: kind, action: name, instance, about, settle: Duration::ZERO };
        call(&self.cloud, &self.label, asked, work)
    }
}

#[async_trait]
impl Provider for MemoryProvider {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn ids_needed(&self, intent: &Intent, facts: &Facts) -> Result<Vec<IdRequest>, Error> {
        self.planner().ids_needed(intent, facts)
    }

    fn plan(&self, intent: &Intent, facts: &Facts, ids: &[ReservedId]) -> Result<Plan, Error> {
        self.planner().plan(intent, facts, ids)
    }

    async fn apply(&self, action: &Action, context: &ActionContext) -> Result<Applied, Error> {
        self.act(Call::Apply, action, context, |act, desk, about| act.apply(desk, about, context))
    }

    async fn probe(&self, action: &Action, context: &ActionContext) -> Result<Probe, Error> {
        self.act(Call::Probe, action, context, |act, desk, about| act.probe(desk, about, context))
    }

    async fn undo(&self, action: &Action, context: &ActionContext) -> Result<Undone, Error> {
        self.act(Call::Undo, action, context, |act, desk, about| act.undo(desk, about, context))
    }

    fn failure(&self, _: &Action, text: &str) -> Error {
        failure(text)
    }

    async fn poll(&self, host: &HostId, handles: &[Handle]) -> Result<Vec<HandleState>, Error> {
        self.read(Call::Poll, "poll", None, None, |desk| {
            desk.world.reach(host, None)?;
            let state = |handle| desk.world.handle_state(handle, desk.monotonic);
            Ok(handles.iter().map(state).collect())
        })
    }

    async fn observe(&self) -> Result<Batch, Error> {
        self.read(Call::Observe, "observe", None, None, |desk| Ok(batch(desk.world)))
    }

    fn guest_key(&self, native: &Value) -> Option<String> {
        Reference::read(native).ok().map(|reference| reference.id.to_string())
    }

    async fn addresses(&self, native: &Value) -> Result<Option<Vec<Address>>, Error> {
        let about = Reference::read(native)?;
        self.read(Call::Observe, "addresses", Some(about.clone()), None, |desk| {
            desk.world.reach(&about.host, Some(about.id))?;
            let guest = desk.world.guests.get(&about.id).filter(|guest| {
                about.uuid.as_ref().is_none_or(|uuid| *uuid == guest.uuid)
                    && guest.is_running()
                    && guest.answers
                    && desk.monotonic >= guest.booted_at + desk.world.durations.boot
            });
            Ok(guest.map(|guest| vec![address(guest)]))
        })
    }

    async fn exists(&self, native: &Value, mark: &Mark) -> Result<Existence, Error> {
        let about = Reference::read(native)?;
        self.read(Call::Observe, "exists", Some(about.clone()), Some(mark), |desk| {
            Ok(match desk.world.look(&about, mark)? {
                Standing::Absent => Existence::Gone,
                Standing::Foreign(_) => Existence::Foreign,
                Standing::Ours(_) | Standing::Unfinished(_) | Standing::Abandoned => {
                    Existence::Ours
                }
            })
        })
    }

    async fn destinations(&self, native: &Value, mark: &Mark) -> Result<Destinations, Error> {
        let about = Reference::read(native)?;
        self.read(Call::Observe, "destinations", Some(about.clone()), Some(mark), |desk| {
            let Standing::Ours(guest) = desk.world.look(&about, mark)? else {
                return Err(gone(about.id));
            };
            let others = desk.world.hosts.iter().filter(|(id, _)| **id != guest.host);
            let others = others.map(|(id, host)| Destination {
                host: id.clone(),
                refused: (!host.online).then(|| "it does not answer".to_owned()),
            });
            let running = guest.power == PowerState::Running;
            Ok(Destinations { host: guest.host.clone(), running, others: others.collect() })
        })
    }

    async fn inspect(&self, key: &str) -> Result<Option<Orphan>, Error> {
        self.read(Call::Observe, "inspect", None, None, |desk| {
            let id = key.parse::<u64>().ok();
            let Some(guest) = id.and_then(|id| desk.world.guests.get(&id)) else {
                return Ok(None);
            };
            desk.world.reach(&guest.host, None)?;
            let native = Reference::of(guest).write();
            Ok(guest.mark.map(|mark| Orphan { mark, native }))
        })
    }

    async fn describe(&self, key: &str) -> Result<Option<GuestDetails>, Error> {
        self.read(Call::Observe, "describe", None, None, |desk| {
            let id = key.parse::<u64>().ok();
            let Some(guest) = id.and_then(|id| desk.world.guests.get(&id)) else {
                return Ok(None);
            };
            desk.world.reach(&guest.host, None)?;
            if guest.is_locked() {
                return Err(Error::Busy(format!("guest {} is being made", guest.id)));
            }
            Ok(Some(details(desk.world, guest)))
        })
    }
}

fn details(world: &World, guest: &Guest) -> GuestDetails {
    let reference = Reference::of(guest);
    GuestDetails {
        mark: guest.mark,
        native: reference.write(),
        unmarked: Reference { unmarked: true, ..reference }.write(),
        name: guest.name.clone(),
        host: guest.host.clone(),
        cores: guest.cores,
        memory: guest.memory,
        root_disk: world.disks.get(&guest.id).copied(),
        description: guest.description.clone(),
        tags: guest.tags.clone(),
        protected: guest.protected,
        security_groups: guest.groups.clone(),
    }
}

/// An address that no other guest has: 10.0.0.0/8 with the id's low 24 bits.
fn address(guest: &Guest) -> Address {
    let [.., a, b, c] = guest.id.to_be_bytes();
    Address { ip: [10, a, b, c].into(), mac: Some(format!("02:00:00:{a:02x}:{b:02x}:{c:02x}")) }
}

fn batch(world: &World) -> Batch {
    let offline = world.hosts.iter().find(|(_, host)| !host.online);
    let incomplete = match (world.no_quorum, offline) {
        (true, _) => Some("no quorum".to_owned()),
        (_, Some((id, _))) => Some(format!("the host {id} does not answer")),
        _ => world.incomplete.clone(),
    };
    let online = |host: &HostId| world.hosts.get(host).is_some_and(|host| host.online);
    let guests = world.guests.values().map(|guest| GuestView {
        key: guest.id.to_string(),
        name: guest.name.clone(),
        host: guest.host.clone(),
        power: if online(&guest.host) { guest.power } else { PowerState::Unknown },
        labelled: guest.mark.is_some(),
    });
    let images = world.images.iter().map(|(name, row)| ImageView {
        name: name.clone(),
        size: Some(row.size),
        presence: row.presence.clone(),
        native: json!({ "name": name }),
    });
    let hosts = world.hosts.iter().map(|(id, host)| {
        let on_it = || world.guests.values().filter(|guest| guest.host == *id);
        let memory = on_it().map(|guest| guest.memory.as_bytes()).sum();
        HostView {
            id: id.clone(),
            online: host.online,
            cores: host.cores,
            memory: host.memory,
            cores_allocated: on_it().map(|guest| guest.cores).sum(),
            memory_allocated: model::ByteCount::bytes(memory),
            devices: std::collections::BTreeMap::new(),
            closed: host.closed.clone(),
            native: json!({"taken": world.guests.keys().collect::<Vec<_>>()}),
        }
    });
    Batch {
        incomplete,
        hosts: hosts.collect(),
        images: images.collect(),
        guests: guests.collect(),
        security_groups: Some(world.groups.iter().cloned().collect()),
    }
}
