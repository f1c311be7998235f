//! What doors with names of their own need: an instance by the name that its
//! door gave it, hosts and security groups as last seen, and waiting until an
//! instance comes to rest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{
    ByteCount, Caller, Error, HostId, Image, Instance, InstanceId, Phase, ProviderId, Role,
    Timestamp,
};
use provider::HostView;
use secrecy::SecretString;
use store::{Annotation, Change, NUMBERS};

use super::{CreateInstance, public};
use crate::house::House;

/// A host as last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostInfo {
    /// Whose it is.
    pub provider: ProviderId,
    /// Its id.
    pub id: HostId,
    /// Whether it answers.
    pub online: bool,
    /// Whether guests are placed on it.
    pub open: bool,
    /// Its cores.
    pub cores: u32,
    /// Its memory.
    pub memory: ByteCount,
    /// Cores given to guests, whoever owns them.
    pub cores_allocated: u32,
    /// Memory given to guests, whoever owns them.
    pub memory_allocated: ByteCount,
    /// Devices that guests can get, by their names.
    pub devices: BTreeMap<String, DeviceInfo>,
}

/// Devices of one name on a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceInfo {
    /// How many there are.
    pub count: u32,
    /// Whether each can be divided among several guests.
    pub divisible: bool,
    /// How many instances of the house have. What others have is not seen.
    pub given: u32,
}

impl House {
    /// The instance that the caller's door calls by this number.
    ///
    /// # Errors
    /// [`Error::NotFound`], also for one of another project or door.
    pub fn numbered(&self, caller: &Caller, number: &str) -> Result<Arc<Instance>, Error> {
        let id = self.core.read_model.named(caller.door, NUMBERS, number);
        let known = id.and_then(|id| self.instance(caller, id).ok());
        known.filter(|instance| instance.managed_by == caller.door).ok_or_else(|| {
            Error::not_found("instance", number.chars().take(80).collect::<String>())
        })
    }

    /// The number that the caller's door calls this instance by, from memory.
    pub fn number_of(&self, caller: &Caller, id: InstanceId) -> Option<String> {
        self.core.read_model.name_of(id, caller.door, NUMBERS)
    }

    /// The same, from the store: for one that memory may not show yet.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; [`Error::NotFound`].
    pub async fn number_given(&self, caller: &Caller, id: InstanceId) -> Result<String, Error> {
        if let Some(number) = self.number_of(caller, id) {
            return Ok(number);
        }
        let names = self.core.store.aliases(id).await.map_err(public)?;
        let found = names.into_iter().find(|it| it.door == caller.door && it.scope == NUMBERS);
        found.map(|it| it.external_id).ok_or_else(|| Error::not_found("instance", id))
    }

    /// What the provider of an image calls it, where that is short and does not
    /// change; its id otherwise.
    pub fn image_key(&self, _caller: &Caller, image: &Image) -> String {
        // An image that has a guest's reference is a guest that is kept as one.
        let provider = self.core.providers().get(&image.provider);
        let key = provider.and_then(|provider| provider.guest_key(&image.native));
        key.unwrap_or_else(|| image.id.to_string())
    }

    /// Every host as last seen, and when all of them were seen last; `None` when
    /// nothing was seen since the start.
    pub fn hosts(&self, _caller: &Caller) -> Option<(Vec<HostInfo>, Option<Timestamp>)> {
        let mut hosts = Vec::new();
        let mut oldest = Some(self.core.clock.now());
        for provider in self.core.providers().keys() {
            let view = self.core.read_model.provider_view(provider);
            if !view.seen {
                return None;
            }
            oldest = oldest.min(view.complete_at);
            let given = self.devices_given(provider);
            hosts.extend(view.hosts.iter().map(|host| HostInfo {
                devices: devices_of(host, &given),
                provider: provider.clone(),
                id: host.id.clone(),
                online: host.online,
                open: host.closed.is_none(),
                cores: host.cores,
                memory: host.memory,
                cores_allocated: host.cores_allocated,
                memory_allocated: host.memory_allocated,
            }));
        }
        Some((hosts, oldest))
    }

    /// The devices that instances have, by host and name.
    fn devices_given(&self, provider: &ProviderId) -> BTreeMap<(HostId, String), u32> {
        let mut given = BTreeMap::new();
        for row in self.core.read_model.of_provider(provider) {
            let Some(seen) = row.observed.as_ref().filter(|_| row.phase != Phase::Failed) else {
                continue;
            };
            for device in &row.spec.devices {
                let place = (seen.host.clone(), device.name.clone());
                *given.entry(place).or_default() += device.count;
            }
        }
        given
    }

    /// The names of the security groups of all providers, sorted, as last seen.
    pub fn security_groups(&self, _caller: &Caller) -> Vec<String> {
        let views = self.core.providers().keys();
        let views = views.map(|provider| self.core.read_model.provider_view(provider));
        let mut names: Vec<String> =
            views.flat_map(|view| view.security_groups.clone().unwrap_or_default()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Waits until nothing changes the instance, at most this long. Whether
    /// that is so (also when it is gone, or its operation is stuck).
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub async fn at_rest(
        &self,
        caller: &Caller,
        id: InstanceId,
        patience: Duration,
    ) -> Result<bool, Error> {
        caller.require(Role::Reader)?;
        let rests = || {
            self.core.read_model.instance(id).is_none_or(|row| {
                row.operation.is_none() || row.fault.as_ref().is_some_and(|fault| fault.stuck)
            })
        };
        let wait = async {
            let mut changes = self.core.read_model.changes();
            while !rests() {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        Ok(tokio::time::timeout(patience, wait).await.is_ok())
    }
}

fn devices_of(
    host: &HostView,
    given: &BTreeMap<(HostId, String), u32>,
) -> BTreeMap<String, DeviceInfo> {
    let info = |(name, devices): (&String, &provider::HostDevices)| {
        let given = given.get(&(host.id.clone(), name.clone())).copied().unwrap_or_default();
        let info = DeviceInfo { count: devices.count, divisible: devices.divisible, given };
        (name.clone(), info)
    };
    host.devices.iter().map(info).collect()
}

/// What the caller's door calls the instance, and keeps about it.
pub(super) fn names_and_notes(
    caller: &Caller,
    id: InstanceId,
    request: &CreateInstance,
) -> Vec<Change> {
    let door = caller.door;
    let number = |first| Change::NumberInstance { door, first, instance: id };
    let note = |(key, value): &(String, SecretString)| Change::PutAnnotation {
        owner: id,
        door,
        key: key.clone(),
        value: Annotation::Sealed(value.clone()),
    };
    request.number_from.map(number).into_iter().chain(request.notes.iter().map(note)).collect()
}
