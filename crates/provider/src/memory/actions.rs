//! The actions: carried out, read back and taken back.

use std::time::Duration;

use model::{ByteCount, EditIntent, HostId, Mark, OperationId};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::desk::Desk;
use super::guest::Guest;
use super::standing::{Reference, Standing, abandoned, gone, unfinished};
use super::tasks::{Configuration, Effect};
use crate::{Action, ActionContext, Applied, Error, Probe, Rejection, Undone};

/// The member of the reference to the guest that holds the noted counter.
const NOTED: &str = "boots_before_reboot";
/// The member that holds the noted state before a rollback.
const NOTED_STATE: &str = "state_before_rollback";

/// An action's payload.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub(super) enum Act {
    Clone {
        id: u64,
        image: String,
        host: HostId,
        name: String,
    },
    Configure {
        cores: u32,
        memory: ByteCount,
        networks: Vec<Option<String>>,
        seed: bool,
    },
    Grow {
        size: ByteCount,
    },
    Firewall {
        groups: Vec<String>,
    },
    Start {},
    Stop {
        /// Before a removal a guest that is gone counts as stopped.
        before_removal: bool,
    },
    Shutdown {
        timeout_s: u64,
        force: bool,
        /// As for a stop.
        #[serde(default)]
        before_removal: bool,
    },
    NoteBoot {},
    Reboot {
        timeout_s: u64,
    },
    Destroy {},
    Resize {
        to: Size,
        before: Size,
    },
    Edit {
        edit: EditIntent,
    },
    Snapshot {
        name: String,
        memory: bool,
        token: OperationId,
    },
    NoteState {},
    Rollback {
        name: String,
    },
    Discard {
        name: String,
    },
    Migrate {
        host: HostId,
        online: bool,
    },
    Mark {
        replaces: Option<Mark>,
    },
    Unmark {},
}

/// A guest's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Size {
    pub cores: u32,
    pub memory: ByteCount,
}

impl Act {
    pub fn read(action: &Action) -> Result<Self, Error> {
        let unknown = || {
            let text =
                format!("there is no action {:?} of version {}", action.name, action.version);
            Error::rejected(Rejection::Unsupported, text)
        };
        if action.version != 1 {
            return Err(unknown());
        }
        let act: Self = serde_json::from_value(action.payload.clone()).map_err(|error| {
            Error::Malformed(format!("the payload of {}: {error}", action.name))
        })?;
        if act.name() == action.name { Ok(act) } else { Err(unknown()) }
    }

    pub fn write(&self) -> Result<Value, Error> {
        serde_json::to_value(self).map_err(|error| Error::Malformed(error.to_string()))
    }

    pub const fn name(&self) -> &'static str {
        match self {
            Self::Clone { .. } => "clone",
            Self::Configure { .. } => "configure",
            Self::Grow { .. } => "grow",
            Self::Firewall { .. } => "firewall",
            Self::Start {} => "start",
            Self::Stop { .. } => "stop",
            Self::Shutdown { .. } => "shutdown",
            Self::NoteBoot {} => "note-boot",
            Self::Reboot { .. } => "reboot",
            Self::Destroy {} => "destroy",
            Self::Resize { .. } => "resize",
            Self::Edit { .. } => "edit",
            Self::Snapshot { .. } => "snapshot",
            Self::NoteState {} => "note-state",
            Self::Rollback { .. } => "rollback",
            Self::Discard { .. } => "discard",
            Self::Migrate { .. } => "migrate",
            Self::Mark { .. } => "mark",
            Self::Unmark {} => "unmark",
        }
    }

    /// The guest that the action is about, as far as it is known.
    pub fn about(&self, context: &ActionContext) -> Result<Reference, Error> {
        match self {
            Self::Clone { id, host, .. } => {
                let uuid = Reference::read(&context.native).ok().and_then(|known| known.uuid);
                Ok(Reference { id: *id, host: host.clone(), uuid, unmarked: false })
            }
            _ => Reference::read(&context.native),
        }
    }

    pub fn apply(
        &self,
        desk: &mut Desk<'_>,
        about: &Reference,
        context: &ActionContext,
    ) -> Result<Applied, Error> {
        if let Self::Clone { id, image, host, name } = self {
            let effect = Effect::Clone {
                id: *id,
                image: image.clone(),
                host: host.clone(),
                name: name.clone(),
                mark: context.mark,
            };
            return clone(desk, effect, about, &context.mark);
        }
        if let Some(to) = self.mark_to_be(context) {
            return self.apply_mark(desk, about, context, to);
        }
        let guest = match desk.world.look(about, &context.mark)? {
            Standing::Ours(guest) => *guest,
            Standing::Absent if self.is_removal() => return Ok(done()),
            Standing::Absent => return Err(gone(about.id)),
            Standing::Unfinished(_) => return Err(unfinished(about.id)),
            Standing::Abandoned => return Err(abandoned(about.id)),
            Standing::Foreign(text) => return Err(Error::rejected(Rejection::NotFound, text)),
        };
        if let Self::NoteBoot {} = self {
            if !guest.is_running() {
                return Err(not_running(guest.id));
            }
            return Ok(Applied::Done(json!({ NOTED: guest.boots })));
        }
        if let Self::NoteState {} = self {
            return Ok(Applied::Done(json!({ NOTED_STATE: guest.state })));
        }
        self.refuse(&guest)?;
        if self.is_done(desk, &guest, context) {
            return Ok(Applied::Done(self.output(desk, &guest)));
        }
        let sent = desk.send(self.effect(&guest, context)?)?;
        Ok(match sent {
            Applied::Done(_) => Applied::Done(self.output(desk, &guest)),
            started @ Applied::Started(_) => started,
        })
    }

    fn is_removal(&self) -> bool {
        matches!(
            self,
            Self::Destroy {}
                | Self::Stop { before_removal: true }
                | Self::Shutdown { before_removal: true, .. }
        )
    }

    /// Whether the guest, which is ours, is as the action wants it.
    fn is_done(&self, desk: &Desk<'_>, guest: &Guest, context: &ActionContext) -> bool {
        match self {
            Self::Clone { .. } => desk.world.disks.contains_key(&guest.id),
            Self::Configure { cores, memory, networks, .. } => {
                let url = |url: &Option<secrecy::SecretString>| {
                    url.as_ref().map(|url| url.expose_secret().to_owned())
                };
                guest.cores == *cores
                    && guest.memory == *memory
                    && guest.networks == *networks
                    && url(&guest.seed_url) == url(&self.seed_url(context))
            }
            Self::Grow { size } => desk.world.disks.get(&guest.id).is_some_and(|have| have == size),
            Self::Firewall { groups } => guest.groups == *groups,
            Self::Start {} => guest.is_running(),
            Self::Stop { .. } | Self::Shutdown { .. } => !guest.is_running(),
            Self::Reboot { .. } => {
                let noted = context.native.get(NOTED).and_then(Value::as_u64);
                guest.is_running() && noted.is_some_and(|noted| u64::from(guest.boots) != noted)
            }
            Self::Resize { to, .. } => guest.size_to_be() == *to,
            Self::Edit { edit } => guest.is_as_edited(edit),
            Self::Snapshot { name, token, .. } => {
                guest.snapshots.get(name).is_some_and(|snapshot| snapshot.token == *token)
            }
            Self::Rollback { .. } => {
                let noted = context.native.get(NOTED_STATE).and_then(Value::as_u64);
                noted.is_some_and(|noted| u64::from(guest.state) != noted)
            }
            Self::Discard { name } => !guest.snapshots.contains_key(name),
            Self::Migrate { host, .. } => guest.host == *host,
            Self::Mark { .. } | Self::Unmark {} => {
                self.mark_to_be(context).is_some_and(|to| to == guest.mark)
            }
            Self::NoteBoot {} | Self::NoteState {} | Self::Destroy {} => false,
        }
    }

    /// Refuses what cannot be done to this guest.
    fn refuse(&self, guest: &Guest) -> Result<(), Error> {
        let no = |why, text| Err(Error::rejected(why, text));
        match self {
            Self::Rollback { name } if !guest.snapshots.contains_key(name) => {
                no(Rejection::NotFound, format!("guest {} has no snapshot {name:?}", guest.id))
            }
            Self::Migrate { online: false, host } if guest.is_running() && guest.host != *host => {
                no(Rejection::Invalid, format!("guest {} is running", guest.id))
            }
            _ => Ok(()),
        }
    }

    /// The output of an action that is done.
    fn output(&self, desk: &Desk<'_>, guest: &Guest) -> Value {
        let guest = desk.world.guests.get(&guest.id).unwrap_or(guest);
        match self {
            Self::Clone { .. } => Reference::of(guest).write(),
            Self::Resize { .. } => json!({ "pending": guest.pending_names() }),
            Self::Migrate { .. } => json!({ "host": guest.host }),
            _ => json!({}),
        }
    }

    fn seed_url(&self, context: &ActionContext) -> Option<secrecy::SecretString> {
        let wanted = matches!(self, Self::Configure { seed: true, .. });
        context.seed_url.clone().filter(|_| wanted)
    }

    /// What is to be sent for a guest that is ours.
    fn effect(&self, guest: &Guest, context: &ActionContext) -> Result<Effect, Error> {
        let (id, digest) = (guest.id, guest.digest);
        Ok(match self {
            Self::Configure { cores, memory, networks, seed } => {
                let seed_url = self.seed_url(context);
                if *seed && seed_url.is_none() {
                    return Err(Error::invalid("seed: its address was not given"));
                }
                let (cores, memory, networks) = (*cores, *memory, networks.clone());
                let to = Configuration { cores, memory, networks, seed_url };
                Effect::Configure { id, digest, to }
            }
            Self::Grow { size } => Effect::Grow { id, size: *size },
            Self::Firewall { groups } => Effect::Firewall { id, digest, groups: groups.clone() },
            Self::Start {} => Effect::Start { id },
            Self::Stop { .. } => Effect::Stop { id },
            Self::Shutdown { timeout_s, force, .. } => {
                Effect::Shutdown { id, timeout: Duration::from_secs(*timeout_s), force: *force }
            }
            Self::Reboot { .. } if !guest.is_running() => {
                // It went down with our request and has not come back.
                if context.in_doubt_since.is_none() {
                    return Err(not_running(id));
                }
                Effect::Start { id }
            }
            Self::Reboot { timeout_s } => {
                Effect::Reboot { id, timeout: Duration::from_secs(*timeout_s) }
            }
            // Somebody has started it since it was stopped.
            Self::Destroy {} if guest.is_running() => Effect::Stop { id },
            Self::Destroy {} => Effect::Destroy { id },
            Self::Resize { to, .. } => Effect::Resize { id, digest, to: *to },
            Self::Edit { edit } => Effect::Edit { id, digest, edit: edit.clone() },
            Self::Snapshot { name, memory, token } => {
                Effect::Snapshot { id, name: name.clone(), memory: *memory, token: *token }
            }
            Self::Rollback { name } => Effect::Rollback { id, name: name.clone() },
            Self::Discard { name } => Effect::Discard { id, name: name.clone() },
            Self::Migrate { host, .. } => Effect::Migrate { id, host: host.clone() },
            Self::Clone { .. }
            | Self::NoteBoot {}
            | Self::NoteState {}
            | Self::Mark { .. }
            | Self::Unmark {} => {
                return Err(Error::Malformed(format!("{} has no such effect", self.name())));
            }
        })
    }

    pub fn probe(
        &self,
        desk: &Desk<'_>,
        about: &Reference,
        context: &ActionContext,
    ) -> Result<Probe, Error> {
        if let Some(to) = self.mark_to_be(context) {
            return Ok(match self.to_mark(desk, about, context)? {
                Some(guest) if guest.mark != to => Probe::NotDone,
                _ => Probe::Done(json!({})),
            });
        }
        let is_clone = matches!(self, Self::Clone { .. });
        let guest = match desk.world.look(about, &context.mark)? {
            Standing::Ours(guest) => *guest,
            Standing::Absent if self.is_removal() => return Ok(Probe::Done(json!({}))),
            Standing::Absent if is_clone => return Ok(Probe::NotDone),
            Standing::Absent => return Err(gone(about.id)),
            Standing::Unfinished(handle) if is_clone => return Ok(Probe::InProgress(handle)),
            Standing::Unfinished(_) => return Ok(Probe::NotDone),
            Standing::Abandoned => return Err(abandoned(about.id)),
            Standing::Foreign(text) => return Ok(Probe::Foreign(text)),
        };
        if self.is_done(desk, &guest, context) {
            return Ok(Probe::Done(self.output(desk, &guest)));
        }
        let kinds: &[&str] = match self {
            Self::Reboot { .. } => &["reboot", "start"],
            Self::Destroy {} => &["destroy", "stop"],
            // The note is taken anew until it is journalled.
            Self::NoteBoot {} | Self::NoteState {} => &[],
            _ => &[self.name()],
        };
        Ok(desk.going_on(guest.id, kinds).map_or(Probe::NotDone, Probe::InProgress))
    }

    /// Of a create plan only the clone has something to take back: what the
    /// other actions change goes with the guest that the clone made.
    pub fn undo(
        &self,
        desk: &mut Desk<'_>,
        about: &Reference,
        context: &ActionContext,
    ) -> Result<Undone, Error> {
        let id = match self {
            Self::Clone { id, .. } => id,
            Self::Resize { .. } | Self::Snapshot { .. } => {
                return self.undo_change(desk, about, context);
            }
            Self::Mark { replaces } => return super::marks::undo(desk, about, context, *replaces),
            _ => return Ok(Undone::Done),
        };
        let guest = match desk.world.look(about, &context.mark)? {
            Standing::Ours(guest) => *guest,
            Standing::Unfinished(_) => return Ok(Undone::InProgress),
            Standing::Abandoned => return Err(abandoned(*id)),
            Standing::Foreign(_) => return Ok(Undone::Done),
            Standing::Absent => {
                return Ok(match context.in_doubt_since {
                    None => Undone::Done,
                    Some(since) => Undone::Tombstone(format!(
                        "guest {id} of attempt {}: asked for at {since} and not answered",
                        context.mark.attempt
                    )),
                });
            }
        };
        if desk.world.task_on(*id).is_some() {
            return Ok(Undone::InProgress);
        }
        let effect =
            if guest.is_running() { Effect::Stop { id: *id } } else { Effect::Destroy { id: *id } };
        match desk.send(effect)? {
            Applied::Started(handle) => Ok(Undone::Started(handle)),
            Applied::Done(_) => Ok(Undone::Done),
        }
    }
}

impl Act {
    /// Takes back what has changed a guest that stays.
    fn undo_change(
        &self,
        desk: &mut Desk<'_>,
        about: &Reference,
        context: &ActionContext,
    ) -> Result<Undone, Error> {
        let Standing::Ours(guest) = desk.world.look(about, &context.mark)? else {
            return Ok(Undone::Done);
        };
        if desk.world.task_on(guest.id).is_some() {
            return Ok(Undone::InProgress);
        }
        let (id, digest) = (guest.id, guest.digest);
        let effect = match self {
            Self::Resize { before, .. } if guest.size_to_be() != *before => {
                Effect::Resize { id, digest, to: *before }
            }
            Self::Snapshot { name, .. } if self.is_done(desk, &guest, context) => {
                Effect::Discard { id, name: name.clone() }
            }
            _ if desk.may_land(context.in_doubt_since) => return Ok(Undone::InProgress),
            _ => return Ok(Undone::Done),
        };
        match desk.send(effect)? {
            Applied::Started(handle) => Ok(Undone::Started(handle)),
            Applied::Done(_) => Ok(Undone::InProgress),
        }
    }
}

pub(super) fn done() -> Applied {
    Applied::Done(json!({}))
}

fn not_running(id: u64) -> Error {
    Error::invalid(format!("guest {id} is not running"))
}

/// Clones, unless an earlier try of ours has.
fn clone(
    desk: &mut Desk<'_>,
    effect: Effect,
    about: &Reference,
    mark: &Mark,
) -> Result<Applied, Error> {
    let incomplete = || {
        let text = format!("guest {} already exists: an earlier try left it incomplete", about.id);
        Error::rejected(Rejection::Exists, text)
    };
    match desk.world.look(about, mark)? {
        Standing::Absent => desk.send(effect),
        Standing::Ours(guest) if !desk.world.disks.contains_key(&guest.id) => Err(incomplete()),
        Standing::Ours(guest) => Ok(Applied::Done(Reference::of(&guest).write())),
        Standing::Unfinished(Some(handle)) => Ok(Applied::Started(handle)),
        Standing::Unfinished(None) => Err(unfinished(about.id)),
        Standing::Abandoned => Err(abandoned(about.id)),
        Standing::Foreign(text) => Err(Error::rejected(Rejection::Exists, text)),
    }
}
