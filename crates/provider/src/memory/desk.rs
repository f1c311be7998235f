//! Where a call meets the world: its fault, its effect and its line in the log.

use std::time::Duration;

use model::{Clock, InstanceId, Timestamp};

use super::cloud::MemoryCloud;
use super::faults::{Call, FaultKind, Site};
use super::guest::Request;
use super::plan::{REQUEST_TIMEOUT, failure};
use super::standing::Reference;
use super::tasks::{Effect, Fate, handle};
use super::world::{Late, World};
use crate::{Applied, Error, Handle};

/// What a call is.
pub(super) struct Asked<'a> {
    pub call: Call,
    /// The action's name, or that of the read.
    pub action: &'a str,
    pub instance: Option<InstanceId>,
    /// The guest that it is about.
    pub about: Option<Reference>,
    pub settle: Duration,
}

/// A call while it holds the world.
pub(super) struct Desk<'a> {
    pub world: &'a mut World,
    pub monotonic: Duration,
    site: Site<'a>,
    settle: Duration,
    request: Request,
}

/// Makes a call: what goes wrong before it, the call, and what goes wrong with
/// its answer.
pub(super) fn call<T>(
    cloud: &MemoryCloud,
    caller: &str,
    asked: Asked<'_>,
    work: impl FnOnce(&mut Desk<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let clock: &dyn Clock = cloud.clock();
    let mut world = cloud.world();
    let site = Site { call: asked.call, action: asked.action, instance: asked.instance, caller };
    let request = Request {
        at: clock.now(),
        caller: caller.to_owned(),
        call: asked.call,
        late: false,
        action: Some(asked.action.to_owned()),
        instance: asked.instance,
        guest: asked.about.as_ref().map(|about| about.id),
        effect: false,
        answer: String::new(),
    };
    let fault = world.faults.take(&site, false);
    let mut desk = Desk {
        world: &mut world,
        monotonic: clock.monotonic(),
        site,
        settle: asked.settle,
        request,
    };
    let answer = desk.answer(fault, asked.about.as_ref(), work);
    let mut request = desk.request;
    request.answer = match &answer {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.to_string(),
    };
    world.note(request);
    answer
}

impl Desk<'_> {
    fn answer<T>(
        &mut self,
        fault: Option<FaultKind>,
        about: Option<&Reference>,
        work: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let is_read = matches!(self.site.call, Call::Probe | Call::Poll | Call::Observe);
        let text = || "an injected fault".to_owned();
        match fault {
            Some(FaultKind::Refuse(why, text)) => Err(Error::rejected(why, text)),
            Some(FaultKind::NotSent) => Err(Error::NotSent(text())),
            Some(FaultKind::Busy) => Err(Error::Busy(text())),
            Some(FaultKind::Unavailable) => Err(Error::Unavailable(text())),
            Some(FaultKind::Malformed) => Err(Error::Malformed(text())),
            Some(FaultKind::LostReply) if is_read => Err(Error::Unavailable(text())),
            // An answer is lost whatever it was.
            Some(FaultKind::LostReply) => {
                let _lost = work(self);
                Err(self.ambiguous())
            }
            Some(FaultKind::ForeignAppears) => {
                if let Some(Reference { id, host, .. }) = about {
                    self.world.place_foreign(*id, "foreign", host, None);
                }
                work(self)
            }
            _ => work(self),
        }
    }

    /// Whether a request that was sent at this time and not answered may still
    /// have an effect.
    pub fn may_land(&self, since: Option<Timestamp>) -> bool {
        since.is_some_and(|since| self.request.at < since.plus(REQUEST_TIMEOUT).plus(self.settle))
    }

    fn ambiguous(&self) -> Error {
        Error::Ambiguous { text: "an injected fault".to_owned(), settle: self.settle }
    }

    /// Sends an effect.
    pub fn send(&mut self, effect: Effect) -> Result<Applied, Error> {
        let fault = self.world.faults.take(&self.site, true);
        let is_task = effect.is_task();
        let fate = match fault {
            Some(FaultKind::Partial(error)) => {
                self.world.half(&effect)?;
                self.request.effect = true;
                return Err(error);
            }
            Some(FaultKind::LateEffect { after }) => {
                let mut request = self.request.clone();
                request.late = true;
                self.request.late = true;
                self.world.late.push(Late { at: self.monotonic + after, effect, request });
                return Err(self.ambiguous());
            }
            Some(FaultKind::TaskLost { effect: false }) if is_task => {
                let host = self.world.check(&effect)?;
                let id = self.world.new_task_id();
                return Ok(Applied::Started(handle(&host, id)));
            }
            Some(FaultKind::TaskLost { effect: happens }) if !is_task => {
                if happens {
                    self.begin(effect, Fate::Well)?;
                }
                return Err(self.ambiguous());
            }
            Some(FaultKind::TaskFails { text, partial }) if !is_task => {
                return Err(self.fails_at_once(&effect, &text, partial)?);
            }
            Some(FaultKind::TaskDies) if !is_task => {
                return Err(self.fails_at_once(&effect, "killed", true)?);
            }
            Some(FaultKind::TaskLost { .. }) => Fate::Lost,
            Some(FaultKind::TaskFails { text, partial }) => Fate::Fails { text, partial },
            Some(FaultKind::TaskDies) => Fate::Dies,
            _ => Fate::Well,
        };
        self.begin(effect, fate)
    }

    fn begin(&mut self, effect: Effect, fate: Fate) -> Result<Applied, Error> {
        let task = self.world.begin(effect, fate, self.monotonic)?;
        self.request.effect = true;
        let started = task.and_then(|id| Some(handle(&self.world.tasks.get(&id)?.host, id)));
        Ok(started.map_or(Applied::Done(serde_json::json!({})), Applied::Started))
    }

    fn fails_at_once(
        &mut self,
        effect: &Effect,
        text: &str,
        partial: bool,
    ) -> Result<Error, Error> {
        if partial {
            self.world.half(effect)?;
            self.request.effect = true;
        }
        Ok(failure(text))
    }

    /// The task of one of these kinds that works on the guest: `Some(None)` when
    /// nobody knows its handle.
    pub fn going_on(&self, guest: u64, kinds: &[&str]) -> Option<Option<Handle>> {
        let (id, task) = self.world.task_on(guest)?;
        kinds.contains(&task.effect.kind()).then(|| task.handle(id))
    }
}
