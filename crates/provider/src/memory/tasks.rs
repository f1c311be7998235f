//! Effects as the cloud carries them out: at once, or as tasks.

use std::time::Duration;

use model::{ByteCount, EditIntent, HostId, Mark, OperationId, PowerState};
use secrecy::SecretString;

use super::actions::Size;
use super::world::World;
use crate::{Error, Handle, HandleState, Rejection};

/// What a task says that was killed.
const KILLED: &str = "unexpected status";

/// Something to be done in the cloud. It names its guest by the id alone.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    Clone { id: u64, image: String, host: HostId, name: String, mark: Mark },
    Configure { id: u64, digest: u64, to: Configuration },
    Firewall { id: u64, digest: u64, groups: Vec<String> },
    Grow { id: u64, size: ByteCount },
    Start { id: u64 },
    Stop { id: u64 },
    Shutdown { id: u64, timeout: Duration, force: bool },
    Reboot { id: u64, timeout: Duration },
    Destroy { id: u64 },
    Resize { id: u64, digest: u64, to: Size },
    Edit { id: u64, digest: u64, edit: EditIntent },
    Snapshot { id: u64, name: String, memory: bool, token: OperationId },
    Rollback { id: u64, name: String },
    Discard { id: u64, name: String },
    Migrate { id: u64, host: HostId },
    Mark { id: u64, digest: u64, mark: Option<Mark> },
}

#[derive(Clone, Debug)]
pub(super) struct Configuration {
    pub cores: u32,
    pub memory: ByteCount,
    pub networks: Vec<Option<String>>,
    pub seed_url: Option<SecretString>,
}

/// How a task is to end.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    Well,
    /// Well, but nobody knows the task.
    Lost,
    Fails {
        text: String,
        partial: bool,
    },
    Dies,
}

/// Work on a guest that takes its time. One at a time works on a guest.
#[derive(Debug)]
pub(super) struct Task {
    pub effect: Effect,
    /// The UUID of the guest when the task was begun: it leaves a guest that
    /// has since taken its place alone.
    pub uuid: String,
    pub host: HostId,
    pub begun: Duration,
    pub ends: Duration,
    pub fate: Fate,
    pub end: Option<HandleState>,
}

impl Task {
    pub fn is_lost(&self) -> bool {
        matches!(self.fate, Fate::Lost)
    }

    /// What to follow it by; nothing when nobody knows it.
    pub fn handle(&self, id: u64) -> Option<Handle> {
        (!self.is_lost()).then(|| handle(&self.host, id))
    }
}

pub(super) fn handle(host: &HostId, id: u64) -> Handle {
    Handle { host: host.clone(), reference: format!("task-{id}") }
}

impl Effect {
    pub const fn guest(&self) -> u64 {
        match self {
            Self::Clone { id, .. }
            | Self::Configure { id, .. }
            | Self::Firewall { id, .. }
            | Self::Grow { id, .. }
            | Self::Start { id }
            | Self::Stop { id }
            | Self::Shutdown { id, .. }
            | Self::Reboot { id, .. }
            | Self::Destroy { id }
            | Self::Resize { id, .. }
            | Self::Edit { id, .. }
            | Self::Snapshot { id, .. }
            | Self::Rollback { id, .. }
            | Self::Discard { id, .. }
            | Self::Migrate { id, .. }
            | Self::Mark { id, .. } => *id,
        }
    }

    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Clone { .. } => "clone",
            Self::Configure { .. } => "configure",
            Self::Firewall { .. } => "firewall",
            Self::Grow { .. } => "grow",
            Self::Start { .. } => "start",
            Self::Stop { .. } => "stop",
            Self::Shutdown { .. } => "shutdown",
            Self::Reboot { .. } => "reboot",
            Self::Destroy { .. } => "destroy",
            Self::Resize { .. } => "resize",
            Self::Edit { .. } => "edit",
            Self::Snapshot { .. } => "snapshot",
            Self::Rollback { .. } => "rollback",
            Self::Discard { .. } => "discard",
            Self::Migrate { .. } => "migrate",
            Self::Mark { .. } => "mark",
        }
    }

    /// Whether it is done as a task.
    pub const fn is_task(&self) -> bool {
        self.digest().is_none()
    }

    /// The configuration that it was made for, of those that are done at once.
    const fn digest(&self) -> Option<u64> {
        match self {
            Self::Configure { digest, .. }
            | Self::Firewall { digest, .. }
            | Self::Resize { digest, .. }
            | Self::Edit { digest, .. }
            | Self::Mark { digest, .. } => Some(*digest),
            _ => None,
        }
    }
}

fn no(why: Rejection, text: String) -> Error {
    Error::rejected(why, text)
}

impl World {
    /// Begins an effect, as a task when it is one (whose id is returned), or
    /// does it. An error means that there is no effect.
    pub fn begin(
        &mut self,
        effect: Effect,
        fate: Fate,
        now: Duration,
    ) -> Result<Option<u64>, Error> {
        let host = self.check(&effect)?;
        if !effect.is_task() {
            self.change(&effect, false);
            return Ok(None);
        }
        let task = self.new_task_id();
        match &effect {
            Effect::Clone { id, image, host, name, mark } => {
                let mut guest = self.new_guest(*id, name, host.clone(), Some(*mark));
                guest.image = Some(image.clone());
                guest.lock = Some(task);
                self.guests.insert(*id, guest);
            }
            // Powering off overrules asking to go down.
            Effect::Stop { id } => {
                let overruled = self.task_on(*id).map(|(task, _)| task);
                if let Some(task) = overruled.and_then(|task| self.tasks.get_mut(&task)) {
                    task.end = Some(HandleState::Failed { text: "overruled by a stop".to_owned() });
                }
            }
            _ => {}
        }
        let id = effect.guest();
        let uuid = self.guests.get(&id).map(|guest| guest.uuid.clone()).unwrap_or_default();
        let ends = now + self.takes(&effect);
        let kind = effect.kind();
        self.tasks.insert(
            task,
            Task { effect, uuid, host: host.clone(), begun: now, ends, fate, end: None },
        );
        let same = |task: &Task| task.effect.kind() == kind && task.host == host;
        let at_once = self.running().filter(|(_, task)| same(task)).count();
        let most = self.most_at_once.entry(kind).or_default();
        *most = at_once.max(*most);
        Ok(Some(task))
    }

    /// Whether the cloud would take this effect on now, and on which host.
    pub fn check(&self, effect: &Effect) -> Result<HostId, Error> {
        let id = effect.guest();
        if self.no_quorum {
            return Err(Error::Unavailable("no quorum".to_owned()));
        }
        if let Effect::Clone { image, host, .. } = effect {
            return self.check_clone(id, image, host);
        }
        let Some(guest) = self.guests.get(&id) else {
            return Err(no(Rejection::NotFound, format!("guest {id} does not exist")));
        };
        self.reach(&guest.host, Some(id))?;
        if guest.is_locked() {
            return Err(Error::Busy(format!("guest {id} is locked (clone)")));
        }
        if let Some((_, task)) = self.task_on(id) {
            let asked = matches!(task.effect, Effect::Shutdown { .. } | Effect::Reboot { .. });
            if !(asked && matches!(effect, Effect::Stop { .. })) {
                return Err(Error::Busy(format!("guest {id} is locked ({})", task.effect.kind())));
            }
        }
        if effect.digest().is_some_and(|digest| digest != guest.digest) {
            return Err(Error::Busy(format!("guest {id} was changed by somebody else")));
        }
        match effect {
            Effect::Firewall { groups, .. } => {
                if let Some(group) = groups.iter().find(|group| !self.groups.contains(*group)) {
                    let text = format!("security group {group:?} does not exist");
                    return Err(no(Rejection::Invalid, text));
                }
            }
            Effect::Grow { size, .. } if self.disks.get(&id).is_some_and(|have| size < have) => {
                return Err(Error::invalid(format!("the disk of guest {id} cannot shrink")));
            }
            Effect::Start { .. } if guest.is_running() => {
                return Err(Error::invalid(format!("guest {id} runs already")));
            }
            Effect::Reboot { .. } if !guest.is_running() => {
                return Err(Error::invalid(format!("guest {id} is not running")));
            }
            Effect::Destroy { .. } if guest.is_running() => {
                return Err(Error::invalid(format!("guest {id} is running")));
            }
            Effect::Snapshot { name, .. } if guest.snapshots.contains_key(name) => {
                let text = format!("guest {id} has a snapshot {name:?} already");
                return Err(no(Rejection::Invalid, text));
            }
            Effect::Rollback { name, .. } | Effect::Discard { name, .. }
                if !guest.snapshots.contains_key(name) =>
            {
                let text = format!("guest {id} has no snapshot {name:?}");
                return Err(no(Rejection::NotFound, text));
            }
            Effect::Migrate { host, .. } => self.reach(host, None)?,
            _ => {}
        }
        Ok(guest.host.clone())
    }

    fn check_clone(&self, id: u64, image: &str, host: &HostId) -> Result<HostId, Error> {
        self.reach(host, None)?;
        if self.guests.contains_key(&id) {
            return Err(no(Rejection::Exists, format!("guest {id} already exists")));
        }
        let Some(row) = self.images.get(image) else {
            return Err(no(Rejection::NotFound, format!("image {image:?} does not exist")));
        };
        if !row.presence.hosts.contains(host) {
            let text = format!("image {image:?} is not on {host}: {}", row.presence.reason);
            return Err(no(Rejection::Unsupported, text));
        }
        Ok(host.clone())
    }

    fn takes(&self, effect: &Effect) -> Duration {
        let times = &self.durations;
        let asked = |usual: Duration, timeout: Duration| {
            let obeys = self.guests.get(&effect.guest()).is_some_and(|guest| guest.obeys);
            if obeys { usual.min(timeout) } else { timeout }
        };
        match effect {
            Effect::Clone { .. } => times.clone,
            Effect::Grow { .. } => times.grow,
            Effect::Start { .. } => times.start,
            Effect::Stop { .. } => times.stop,
            Effect::Destroy { .. } => times.destroy,
            Effect::Shutdown { timeout, .. } => asked(times.shutdown, *timeout),
            Effect::Reboot { timeout, .. } => asked(times.reboot, *timeout),
            Effect::Snapshot { .. } | Effect::Rollback { .. } | Effect::Discard { .. } => {
                times.snapshot
            }
            Effect::Migrate { .. } => times.migrate,
            Effect::Configure { .. }
            | Effect::Firewall { .. }
            | Effect::Resize { .. }
            | Effect::Edit { .. }
            | Effect::Mark { .. } => Duration::ZERO,
        }
    }

    /// Ends a task.
    pub fn finish(&mut self, id: u64) {
        let Some(task) = self.tasks.get(&id) else { return };
        let (effect, fate, ends) = (task.effect.clone(), task.fate.clone(), task.ends);
        let guest = self.guests.get(&effect.guest()).filter(|guest| guest.uuid == task.uuid);
        let end = match (&effect, fate) {
            _ if guest.is_none() => {
                HandleState::Failed { text: format!("guest {} is gone", effect.guest()) }
            }
            (_, Fate::Fails { text, partial }) => {
                self.fail(&effect, partial);
                HandleState::Failed { text }
            }
            (Effect::Clone { .. }, Fate::Dies) => HandleState::Failed { text: KILLED.to_owned() },
            (_, Fate::Dies) => {
                self.fail(&effect, true);
                HandleState::Failed { text: KILLED.to_owned() }
            }
            (Effect::Shutdown { force: false, .. } | Effect::Reboot { .. }, _)
                if guest.is_some_and(|guest| guest.is_running() && !guest.obeys) =>
            {
                HandleState::Failed { text: "the guest did not go down: got timeout".to_owned() }
            }
            (_, Fate::Well | Fate::Lost) => {
                self.change(&effect, false);
                if let Effect::Start { id } | Effect::Reboot { id, .. } = effect
                    && let Some(guest) = self.guests.get_mut(&id)
                {
                    guest.booted_at = ends;
                }
                HandleState::Ok
            }
        };
        if let Some(task) = self.tasks.get_mut(&id) {
            task.end = Some(end);
        }
    }

    /// What a task leaves that fails: a failed clone takes its guest away, or
    /// leaves one without a disk.
    fn fail(&mut self, effect: &Effect, partial: bool) {
        if partial {
            self.change(effect, true);
        } else if let Effect::Clone { id, .. } = effect {
            self.remove(*id);
        }
    }

    /// Half of an effect, of those that know a half, where it is possible at
    /// all.
    pub fn half(&mut self, effect: &Effect) -> Result<(), Error> {
        self.check(effect)?;
        if let Effect::Clone { id, image, host, name, mark } = effect {
            let mut guest = self.new_guest(*id, name, host.clone(), Some(*mark));
            guest.image = Some(image.clone());
            self.guests.insert(*id, guest);
        } else {
            self.change(effect, true);
        }
        Ok(())
    }

    /// The effect itself, or half of it.
    fn change(&mut self, effect: &Effect, half: bool) {
        let disk = self.disks.get(&effect.guest()).copied();
        let Some(guest) = self.guests.get_mut(&effect.guest()) else { return };
        match effect {
            Effect::Clone { id, image, .. } => {
                guest.lock = None;
                let size = self.images.get(image).map(|row| row.size);
                if let Some(size) = size.filter(|_| !half) {
                    self.disks.insert(*id, size);
                }
            }
            Effect::Configure { to, .. } => {
                guest.digest += 1;
                guest.cores = to.cores;
                if !half {
                    guest.memory = to.memory;
                    guest.networks.clone_from(&to.networks);
                    guest.seed_url.clone_from(&to.seed_url);
                }
            }
            Effect::Firewall { groups, .. } => {
                guest.digest += 1;
                let end = if half { groups.len() / 2 } else { groups.len() };
                guest.groups = groups[..end].to_vec();
            }
            // Removes the disk, then the guest.
            Effect::Destroy { id } if half => {
                self.disks.remove(id);
            }
            Effect::Destroy { id } => self.remove(*id),
            Effect::Resize { to, .. } => {
                guest.digest += 1;
                let memory = if half { guest.size_to_be().memory } else { to.memory };
                guest.resize(Size { memory, ..*to });
            }
            _ if half => {}
            Effect::Edit { edit, .. } => {
                guest.digest += 1;
                guest.edit(edit);
            }
            Effect::Mark { mark, .. } => guest.carry(*mark),
            Effect::Snapshot { name, memory, token, .. } => {
                let saved = guest.save(*token, *memory, disk);
                guest.snapshots.insert(name.clone(), saved);
            }
            Effect::Rollback { id, name } => {
                let Some(saved) = guest.snapshots.get(name).cloned() else { return };
                guest.restore(&saved);
                self.disks.extend(saved.disk.map(|size| (*id, size)));
            }
            Effect::Discard { name, .. } => {
                guest.snapshots.remove(name);
            }
            Effect::Migrate { host, .. } => guest.host = host.clone(),
            Effect::Grow { id, size } => {
                self.disks.entry(*id).and_modify(|have| *have = (*have).max(*size));
            }
            Effect::Start { .. } => {
                guest.apply_pending();
                guest.power = PowerState::Running;
                guest.boots += 1;
            }
            Effect::Reboot { .. } => {
                guest.apply_pending();
                guest.boots += 1;
            }
            Effect::Stop { .. } | Effect::Shutdown { .. } => guest.power = PowerState::Stopped,
        }
    }
}
