//! What happens to instances and operations, for whoever follows it.

use model::{Caller, Error, InstanceId, ProjectId};
use store::{Event, EventFilter};
use tokio::sync::watch;

use super::public;
use crate::house::House;

/// Which events to list.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    /// Only those about this instance.
    pub instance: Option<InstanceId>,
    /// Only those of this project.
    pub project: Option<ProjectId>,
    /// Only those after this one.
    pub after: u64,
    /// At most this many.
    pub limit: usize,
}

impl House {
    /// Events of the caller's project (of all projects for an administrator),
    /// the oldest first.
    ///
    /// # Errors
    /// [`Error::Gone`] when events after the one that is named are not kept any
    /// more; [`Error::Unavailable`] when the store does not answer.
    pub async fn events(&self, caller: &Caller, query: &EventQuery) -> Result<Vec<Event>, Error> {
        let project = match self.visible_project(caller, query.project.as_ref()) {
            Ok(project) => project,
            Err(()) => return Ok(Vec::new()),
        };
        let forgotten = self.core.store.events_forgotten().await.map_err(public)?;
        if query.after > 0 && query.after < forgotten {
            return Err(Error::Gone { what: "event", id: query.after.to_string() });
        }
        let filter = EventFilter {
            after: query.after,
            project,
            instance: query.instance,
            limit: u32::try_from(query.limit).unwrap_or(u32::MAX),
        };
        self.core.store.events_after(&filter).await.map_err(public)
    }

    /// The project that a list is narrowed to, `None` for all; an error for one
    /// that the caller does not see.
    pub(super) fn visible_project(
        &self,
        caller: &Caller,
        asked: Option<&ProjectId>,
    ) -> Result<Option<ProjectId>, ()> {
        match asked {
            Some(project) if !caller.sees(project) => Err(()),
            Some(project) => Ok(Some(project.clone())),
            None => Ok((caller.role != model::Role::Admin).then(|| caller.project.clone())),
        }
    }

    /// The change sequence of the last commit, now and whenever it moves on:
    /// when to ask for events again.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.core.store.subscribe()
    }

    /// The sequence after which there is nothing yet.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not answer.
    pub async fn now(&self) -> Result<u64, Error> {
        self.core.store.sequence().await.map_err(public)
    }
}
