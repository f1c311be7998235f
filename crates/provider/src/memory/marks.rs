//! Our mark on a guest that was there, and off one that stays.

use model::Mark;

use super::actions::{Act, done};
use super::desk::Desk;
use super::guest::Guest;
use super::standing::{Reference, gone};
use super::tasks::Effect;
use crate::{ActionContext, Applied, Error, Undone};

impl Act {
    /// The mark that the guest has once this is done, of what changes marks.
    pub(super) fn mark_to_be(&self, context: &ActionContext) -> Option<Option<Mark>> {
        match self {
            Self::Mark { .. } => Some(Some(context.mark)),
            Self::Unmark {} => Some(None),
            _ => None,
        }
    }

    /// The guest that is marked, or carries our mark that is taken off; `None`
    /// when there is nothing to take off.
    pub(super) fn to_mark(
        &self,
        desk: &Desk<'_>,
        about: &Reference,
        context: &ActionContext,
    ) -> Result<Option<Guest>, Error> {
        let found = desk.world.guests.get(&about.id).filter(|guest| about.is(guest)).cloned();
        let replaces = match self {
            Self::Mark { replaces } => *replaces,
            _ => {
                let ours = |mark: Mark| mark.instance == context.mark.instance;
                return Ok(found.filter(|guest| guest.mark.is_some_and(ours)));
            }
        };
        let guest = found.ok_or_else(|| gone(about.id))?;
        match guest.mark {
            Some(mark) if mark != context.mark && Some(mark) != replaces => {
                Err(Error::invalid(format!("guest {} carries another mark", about.id)))
            }
            _ => Ok(Some(guest)),
        }
    }

    pub(super) fn apply_mark(
        &self,
        desk: &mut Desk<'_>,
        about: &Reference,
        context: &ActionContext,
        to: Option<Mark>,
    ) -> Result<Applied, Error> {
        match self.to_mark(desk, about, context)? {
            Some(guest) if guest.mark != to => {
                desk.send(Effect::Mark { id: guest.id, digest: guest.digest, mark: to })
            }
            _ => Ok(done()),
        }
    }
}

/// Takes the mark off again, or puts back the one that it has replaced.
pub(super) fn undo(
    desk: &mut Desk<'_>,
    about: &Reference,
    context: &ActionContext,
    replaces: Option<Mark>,
) -> Result<Undone, Error> {
    let found = desk.world.guests.get(&about.id).filter(|guest| about.is(guest)).cloned();
    match found {
        Some(guest) if guest.mark == Some(context.mark) => {
            desk.send(Effect::Mark { id: guest.id, digest: guest.digest, mark: replaces })?;
            Ok(Undone::InProgress)
        }
        Some(_) if desk.may_land(context.in_doubt_since) => Ok(Undone::InProgress),
        _ => Ok(Undone::Done),
    }
}
