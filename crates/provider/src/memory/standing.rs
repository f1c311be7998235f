//! Whose guest stands at an id.

use model::{HostId, Mark};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::guest::Guest;
use super::world::World;
use crate::{Error, Handle, Rejection};

/// The reference to a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reference {
    pub id: u64,
    /// Where it was last seen.
    pub host: HostId,
    /// Read back after the clone. Not known of a clone that is in doubt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Whether it carries no mark of ours, so that its UUID alone tells it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unmarked: bool,
}

impl Reference {
    pub fn read(native: &Value) -> Result<Self, Error> {
        serde_json::from_value(native.clone())
            .map_err(|error| Error::Malformed(format!("the reference to the guest: {error}")))
    }

    pub fn of(guest: &Guest) -> Self {
        let uuid = Some(guest.uuid.clone());
        Self { id: guest.id, host: guest.host.clone(), uuid, unmarked: false }
    }

    pub fn write(&self) -> Value {
        let mut value = json!({"id": self.id, "host": self.host});
        if let Some(uuid) = &self.uuid {
            value["uuid"] = uuid.as_str().into();
        }
        if self.unmarked {
            value["unmarked"] = true.into();
        }
        value
    }

    /// Whether it is this guest, whatever mark it carries.
    pub fn is(&self, guest: &Guest) -> bool {
        self.uuid.as_ref() == Some(&guest.uuid)
    }
}

/// Whose guest it is.
#[derive(Debug)]
pub(super) enum Standing {
    /// Nobody's; and that is certain.
    Absent,
    /// Ours.
    Ours(Box<Guest>),
    /// Ours, and still being made; the handle when it is known.
    Unfinished(Option<Handle>),
    /// Ours, locked for good by what died while it made it.
    Abandoned,
    /// Somebody else's.
    Foreign(String),
}

impl World {
    /// A guest is ours when its UUID is the one we know, and its mark names
    /// our installation and instance. While the UUID is not known the whole
    /// mark must be the same, attempt included.
    ///
    /// # Errors
    /// When the host cannot be asked, or cannot be sure.
    pub fn look(&self, reference: &Reference, mark: &Mark) -> Result<Standing, Error> {
        let id = reference.id;
        self.reach(&reference.host, Some(id))?;
        let Some(guest) = self.guests.get(&id) else {
            if self.no_quorum {
                let text = format!("guest {id} is not to be seen, but there is no quorum");
                return Err(Error::Unavailable(text));
            }
            return Ok(Standing::Absent);
        };
        let ours = match (&reference.uuid, &guest.mark) {
            _ if reference.unmarked => reference.is(guest),
            (_, None) => false,
            (None, Some(have)) => have == mark,
            (Some(uuid), Some(have)) => {
                *uuid == guest.uuid
                    && have.installation == mark.installation
                    && have.instance == mark.instance
            }
        };
        if !ours {
            let text = format!("guest {id} ({:?}) is not ours", guest.name);
            return Ok(Standing::Foreign(text));
        }
        let Some(clone) = guest.lock else {
            return Ok(Standing::Ours(Box::new(guest.clone())));
        };
        match self.tasks.get(&clone).filter(|task| task.end.is_none()) {
            Some(task) => Ok(Standing::Unfinished(task.handle(clone))),
            None => Ok(Standing::Abandoned),
        }
    }
}

/// A lock without a task: only an administrator can take it away.
pub(super) fn abandoned(id: u64) -> Error {
    Error::NeedsAdministrator {
        text: format!("guest {id} stays locked (clone), and no task works on it"),
        commands: vec![format!("memory unlock {id}"), format!("memory destroy {id}")],
    }
}

pub(super) fn gone(id: u64) -> Error {
    Error::rejected(Rejection::NotFound, format!("guest {id} does not exist any more"))
}

pub(super) fn unfinished(id: u64) -> Error {
    Error::Busy(format!("guest {id} is still being made"))
}
