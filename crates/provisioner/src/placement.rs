//! Choosing a host, with the reasons.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use engine::StepError;
use model::{ByteCount, DeviceRequest, HostId, Image, Instance, InstanceId, InstanceSpec, Phase};
use provider::{Destinations, HostView};

use crate::house::Core;

/// A choice, and what was thought of every host.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// The host.
    pub host: HostId,
    /// Every host with its score or the reason why not.
    pub explanation: Vec<String>,
}

/// A host, and what speaks for or against it.
#[derive(Clone, Debug, PartialEq)]
pub struct HostChoice {
    /// The host.
    pub host: HostId,
    /// Its score (more is better), or the reason why not.
    pub score: Result<f64, String>,
}

impl std::fmt::Display for HostChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.score {
            Ok(score) => write!(f, "{}: score {score:.3}", self.host),
            Err(reason) => write!(f, "{}: {reason}", self.host),
        }
    }
}

/// How hosts with enough room are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Preference {
    /// The most memory left in proportion, then the most cores.
    #[default]
    Proportion,
    /// The most cores left, where so many bytes of memory that are left count
    /// as one core.
    BytesPerCore(u64),
}

/// What is promised to guests that the last look did not show yet; and the
/// devices of all instances of ours, which no look shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Promised {
    pub(crate) cores: u32,
    pub(crate) memory: u64,
    pub(crate) devices: BTreeMap<String, u32>,
}

impl Promised {
    fn devices(&mut self, devices: &[DeviceRequest]) {
        for device in devices {
            *self.devices.entry(device.name.clone()).or_default() += device.count;
        }
    }
}

/// Choices whose rows may not show them yet.
pub(crate) type Placing = Mutex<BTreeMap<InstanceId, (HostId, Promised)>>;

impl Core {
    pub(crate) fn place(&self, instance: &Instance) -> Result<Placement, StepError> {
        let view = self.read_model.provider_view(&instance.provider);
        if !view.seen {
            return Err(StepError::unavailable(format!(
                "the hosts of {} have not been seen yet",
                instance.provider
            )));
        }
        let id = instance.spec.image.ok_or_else(|| StepError::permanent("it has no image"))?;
        let image = self
            .read_model
            .image(id)
            .ok_or_else(|| StepError::permanent(format!("the image {id} is not known any more")))?;
        // One choice at a time: each must see the one before it, whose row is
        // written only afterwards.
        let mut placing = self.placing.lock().unwrap_or_else(PoisonError::into_inner);
        placing.retain(|id, _| {
            let row = self.read_model.instance(*id);
            row.is_none_or(|row| row.phase == Phase::Creating && row.observed.is_none())
        });
        let preference = self.settings.preference;
        let placed = choose(&instance.spec, &image, &view.hosts, preference, |host| {
            self.promised_with(&placing, instance, host)
        })
        .map_err(StepError::permanent)?;
        let (cores, memory) = (instance.spec.cores, instance.spec.memory.as_bytes());
        let mut taken = Promised { cores, memory, ..Promised::default() };
        taken.devices(&instance.spec.devices);
        placing.insert(instance.id, (placed.host.clone(), taken));
        Ok(placed)
    }

    /// Every host with its score for an instance that is only asked for, or the
    /// reason why it could not be made there. Nothing is promised to it.
    pub(crate) fn rate(&self, instance: &Instance) -> Result<Vec<HostChoice>, String> {
        let view = self.read_model.provider_view(&instance.provider);
        if !view.seen {
            return Err(format!("the hosts of {} have not been seen yet", instance.provider));
        }
        let image = instance.spec.image.and_then(|id| self.read_model.image(id));
        let image = image.ok_or("the image is not known any more")?;
        let placing = self.placing.lock().unwrap_or_else(PoisonError::into_inner);
        let promised = |host: &HostId| self.promised_with(&placing, instance, host);
        Ok(rate(&instance.spec, &image, &view.hosts, self.settings.preference, promised))
    }

    fn promised_with(
        &self,
        placing: &BTreeMap<InstanceId, (HostId, Promised)>,
        instance: &Instance,
        host: &HostId,
    ) -> Promised {
        let mut promised = self.promised(instance, host);
        for (id, (other, spec)) in placing {
            if other == host && *id != instance.id {
                promised.cores += spec.cores;
                promised.memory += spec.memory;
                for (name, count) in &spec.devices {
                    *promised.devices.entry(name.clone()).or_default() += count;
                }
            }
        }
        promised
    }

    /// Every host with its score for an instance that moves, or the reason why
    /// it cannot move there, as last seen; not the one where it is.
    pub(crate) fn destinations(&self, instance: &Instance) -> Vec<HostChoice> {
        let view = self.read_model.provider_view(&instance.provider);
        let here = instance.observed.as_ref().map(|seen| &seen.host);
        let others = view.hosts.iter().filter(|host| Some(&host.id) != here);
        others
            .map(|host| {
                let promised = self.promised(instance, &host.id);
                let preference = self.settings.preference;
                let score =
                    open(host).and_then(|()| room(&instance.spec, host, preference, promised));
                HostChoice { host: host.id.clone(), score }
            })
            .collect()
    }

    /// Where an instance moves: the host that was asked for, or the best.
    pub(crate) fn destination(
        &self,
        instance: &Instance,
        found: &Destinations,
        wanted: Option<&HostId>,
    ) -> Result<Placement, String> {
        if wanted == Some(&found.host) {
            return Err(format!("it is on {} already", found.host));
        }
        let mut choices = self.destinations(instance);
        choices.retain(|choice| choice.host != found.host);
        for choice in &mut choices {
            let other = found.others.iter().find(|other| other.host == choice.host);
            let refused = match other {
                None => Some("the provider does not know it".to_owned()),
                Some(other) => other.refused.clone(),
            };
            if let Some(reason) = refused {
                choice.score = Err(reason);
            } else if wanted.is_some_and(|wanted| *wanted != choice.host) {
                choice.score = Err("another host was asked for".to_owned());
            }
        }
        let explanation: Vec<String> = choices.iter().map(ToString::to_string).collect();
        let fit = choices.iter().filter_map(|choice| Some((choice.score.clone().ok()?, choice)));
        // The first by name among equals, as the hosts are in order.
        let best = fit.reduce(|best, next| if next.0 > best.0 { next } else { best });
        match best {
            Some((_, choice)) => Ok(Placement { host: choice.host.clone(), explanation }),
            None if explanation.is_empty() => Err("there is no other host".to_owned()),
            None => Err(format!("no host can take it: {}", explanation.join("; "))),
        }
    }

    /// What other instances of ours will take of a host that it does not show.
    fn promised(&self, instance: &Instance, host: &HostId) -> Promised {
        let view = self.read_model.provider_view(&instance.provider);
        let provider = self.providers().get(&instance.provider);
        let mut promised = Promised::default();
        for other in self.read_model.of_provider(&instance.provider) {
            let placed = other.observed.as_ref().is_some_and(|seen| &seen.host == host);
            let key = provider.and_then(|provider| provider.guest_key(&other.native));
            let shown = key.is_some_and(|key| view.guests.contains_key(&key));
            if placed && other.id != instance.id && other.phase != Phase::Failed {
                promised.devices(&other.spec.devices);
            }
            if other.phase == Phase::Creating && other.id != instance.id && placed && !shown {
                promised.cores += other.spec.cores;
                promised.memory += other.spec.memory.as_bytes();
            }
        }
        promised
    }
}

/// The host with the most memory left in proportion, then the most cores; among
/// equals the first by name. Cores may be given out several times over, up to
/// what a single guest could use; memory may not.
pub(crate) fn choose(
    spec: &InstanceSpec,
    image: &Image,
    hosts: &[HostView],
    preference: Preference,
    promised: impl Fn(&HostId) -> Promised,
) -> Result<Placement, String> {
    let choices = rate(spec, image, hosts, preference, promised);
    let explanation: Vec<String> = choices.iter().map(ToString::to_string).collect();
    match best(&choices) {
        Some(host) => Ok(Placement { host, explanation }),
        None if explanation.is_empty() => Err("no host: the provider shows none".to_owned()),
        None => Err(format!("no host can carry it: {}", explanation.join("; "))),
    }
}

fn rate(
    spec: &InstanceSpec,
    image: &Image,
    hosts: &[HostView],
    preference: Preference,
    promised: impl Fn(&HostId) -> Promised,
) -> Vec<HostChoice> {
    let choice = |host: &HostView| HostChoice {
        host: host.id.clone(),
        score: score(spec, image, host, preference, promised(&host.id)),
    };
    hosts.iter().map(choice).collect()
}

/// The host with the best score; among equals the first by name.
pub(crate) fn best(choices: &[HostChoice]) -> Option<HostId> {
    let fit =
        choices.iter().filter_map(|choice| Some((*choice.score.as_ref().ok()?, &choice.host)));
    fit.reduce(|best, next| if (next.0, best.1) > (best.0, next.1) { next } else { best })
        .map(|(_, host)| host.clone())
}

fn score(
    spec: &InstanceSpec,
    image: &Image,
    host: &HostView,
    preference: Preference,
    promised: Promised,
) -> Result<f64, String> {
    if spec.host.as_ref().is_some_and(|wanted| wanted != &host.id) {
        return Err("another host was asked for".to_owned());
    }
    open(host)?;
    if !image.presence.hosts.contains(&host.id) {
        let reason = match image.presence.reason.as_str() {
            "" => "not there",
            reason => reason,
        };
        return Err(format!("image {}: {reason}", image.name));
    }
    room(spec, host, preference, promised)
}

/// Why no guest may come to a host.
fn open(host: &HostView) -> Result<(), String> {
    match &host.closed {
        _ if !host.online => Err("offline".to_owned()),
        Some(reason) => Err(reason.clone()),
        None => Ok(()),
    }
}

/// The score of a host by what is left on it, or what is missing.
fn room(
    spec: &InstanceSpec,
    host: &HostView,
    preference: Preference,
    promised: Promised,
) -> Result<f64, String> {
    if spec.cores > host.cores {
        return Err(format!("{} cores of {} asked for", spec.cores, host.cores));
    }
    for device in &spec.devices {
        let there = host.devices.get(&device.name).copied().unwrap_or_default();
        let given = promised.devices.get(&device.name).copied().unwrap_or_default();
        // How many parts a device has, only its host knows.
        if there.count == 0 || (!there.divisible && given + device.count > there.count) {
            let (name, count) = (&device.name, there.count);
            return Err(format!("device {name}: {given} of {count} given away"));
        }
    }
    let used = host.memory_allocated.as_bytes().saturating_add(promised.memory);
    let free = host.memory.as_bytes().saturating_sub(used);
    let Some(left) = free.checked_sub(spec.memory.as_bytes()) else {
        let free = ByteCount::mib(free >> 20);
        return Err(format!("{free} of memory left, {} asked for", spec.memory));
    };
    let cores_used = f64::from(host.cores_allocated + promised.cores + spec.cores);
    // Precision is lost only above 2^53 bytes, where it does not matter.
    #[allow(clippy::cast_precision_loss)]
    Ok(match preference {
        Preference::Proportion => {
            let memory_left = left as f64 / host.memory.as_bytes().max(1) as f64;
            memory_left - 0.1 * cores_used / f64::from(host.cores.max(1))
        }
        Preference::BytesPerCore(bytes) => {
            f64::from(host.cores) - cores_used + left as f64 / bytes.max(1) as f64
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use model::random::SeededRandom;
    use model::time::ManualClock;
    use model::{ImageId, ImagePresence, Timestamp};

    use super::*;

    fn host(name: &str, memory_gib: u64, used_gib: u64) -> HostView {
        HostView {
            id: name.parse().unwrap(),
            online: true,
            cores: 16,
            memory: ByteCount::gib(memory_gib),
            cores_allocated: 0,
            memory_allocated: ByteCount::gib(used_gib),
            devices: BTreeMap::new(),
            closed: None,
            native: serde_json::Value::Null,
        }
    }

    fn image(hosts: &[&str]) -> Image {
        Image {
            id: ImageId::generate(&ManualClock::default(), &SeededRandom::new(1)),
            name: "debian".to_owned(),
            provider: "lab".parse().unwrap(),
            size: None,
            presence: ImagePresence {
                hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
                reason: "local storage".to_owned(),
            },
            native: serde_json::Value::Null,
            seen_at: Timestamp::default(),
        }
    }

    fn spec(cores: u32, memory_gib: u64) -> InstanceSpec {
        InstanceSpec::new("web", image(&[]).id, cores, ByteCount::gib(memory_gib))
    }

    fn none(_: &HostId) -> Promised {
        Promised::default()
    }

    #[test]
    fn the_emptiest_host_that_has_the_image_is_chosen_and_every_host_explained() {
        let hosts = [host("a", 64, 32), host("b", 64, 8), host("c", 64, 0)];
        let placed =
            choose(&spec(2, 4), &image(&["a", "b"]), &hosts, Preference::Proportion, none).unwrap();
        assert_eq!(placed.host.as_str(), "b");
        assert_eq!(placed.explanation.len(), 3);
        assert_eq!(placed.explanation[2], "c: image debian: local storage");
    }

    #[test]
    fn what_is_promised_to_others_counts() {
        let hosts = [host("a", 64, 0), host("b", 64, 8)];
        let promised = |id: &HostId| match id.as_str() {
            "a" => Promised { cores: 4, memory: 32 << 30, ..Promised::default() },
            _ => Promised::default(),
        };
        let placed =
            choose(&spec(2, 4), &image(&["a", "b"]), &hosts, Preference::Proportion, promised)
                .unwrap();
        assert_eq!(placed.host.as_str(), "b");
    }

    #[test]
    fn memory_counts_as_so_many_cores_where_that_is_said() {
        let mut cores = host("a", 64, 60);
        cores.cores = 64;
        let hosts = [cores, host("b", 640, 0)];
        let place = |preference| {
            choose(&spec(2, 4), &image(&["a", "b"]), &hosts, preference, none).unwrap()
        };
        // 62 cores and no memory; 14 cores and 636 GiB.
        assert_eq!(place(Preference::BytesPerCore(64 << 30)).host.as_str(), "a");
        let placed = place(Preference::BytesPerCore(4 << 30));
        assert_eq!(placed.host.as_str(), "b");
        assert_eq!(placed.explanation, ["a: score 62.000", "b: score 173.000"]);
    }

    #[test]
    fn among_equals_the_first_by_name_is_chosen() {
        let hosts = [host("b", 64, 0), host("a", 64, 0)];
        let placed =
            choose(&spec(1, 1), &image(&["a", "b"]), &hosts, Preference::Proportion, none).unwrap();
        assert_eq!(placed.host.as_str(), "a");
    }

    #[test]
    fn no_host_says_why_for_each() {
        let mut offline = host("a", 64, 0);
        offline.online = false;
        let mut closed = host("b", 64, 0);
        closed.closed = Some("in maintenance".to_owned());
        let hosts = [offline, closed, host("c", 8, 6), host("d", 640, 0)];
        let all = image(&["a", "b", "c", "d"]);
        let error = choose(&spec(32, 4), &all, &hosts, Preference::Proportion, none).unwrap_err();
        assert_eq!(
            error,
            "no host can carry it: a: offline; b: in maintenance; c: 32 cores of 16 asked for; \
             d: 32 cores of 16 asked for"
        );
        let error =
            choose(&spec(2, 4), &all, &hosts[2..3], Preference::Proportion, none).unwrap_err();
        assert_eq!(error, "no host can carry it: c: 2 GiB of memory left, 4 GiB asked for");
    }

    #[test]
    fn a_host_without_a_free_device_is_no_choice() {
        let mut hosts = [host("a", 64, 0), host("b", 64, 32)];
        for host in &mut hosts {
            let gpu = provider::HostDevices { count: 1, divisible: false };
            host.devices.insert("gpu".to_owned(), gpu);
        }
        let mut wanted = spec(1, 1);
        wanted.devices = vec![DeviceRequest { name: "gpu".to_owned(), part: None, count: 1 }];
        let mut taken = Promised::default();
        taken.devices(&wanted.devices);
        let given = |id: &HostId| if id.as_str() == "a" { taken.clone() } else { none(id) };
        let all = image(&["a", "b"]);
        let placed = choose(&wanted, &all, &hosts, Preference::Proportion, given).unwrap();
        assert_eq!(placed.host.as_str(), "b");
        assert_eq!(placed.explanation[0], "a: device gpu: 1 of 1 given away");
    }

    #[test]
    fn a_host_that_is_asked_for_is_the_only_choice() {
        let hosts = [host("a", 64, 0), host("b", 64, 32)];
        let mut wanted = spec(1, 1);
        wanted.host = Some("b".parse().unwrap());
        let placed =
            choose(&wanted, &image(&["a", "b"]), &hosts, Preference::Proportion, none).unwrap();
        assert_eq!(placed.host.as_str(), "b");
    }
}
