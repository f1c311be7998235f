//! Which call goes wrong, and how.

use std::time::Duration;

use model::InstanceId;

use super::cloud::MemoryCloud;
use crate::{Error, Rejection};

/// The calls of a provider that ask the cloud for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// [`crate::Provider::apply`].
    Apply,
    /// [`crate::Provider::probe`].
    Probe,
    /// [`crate::Provider::undo`].
    Undo,
    /// [`crate::Provider::poll`]; as an action it has the name `poll`.
    Poll,
    /// The other reads; as actions they have the names `observe`, `addresses`,
    /// `exists` and `inspect`.
    Observe,
}

/// What goes wrong.
///
/// The kinds from [`FaultKind::Partial`] on wait for a call that has an effect
/// to send, and leave one that finds its work done alone.
#[derive(Clone, Debug)]
pub enum FaultKind {
    /// No, before any effect.
    Refuse(Rejection, String),
    /// The request was not sent.
    NotSent,
    /// Something is locked.
    Busy,
    /// The cloud is away.
    Unavailable,
    /// The answer makes no sense. There is no effect.
    Malformed,
    /// Somebody else's guest stands, just before this call, where the action's
    /// guest stands or would; ours has gone. The call goes on.
    ForeignAppears,
    /// The effect happens; the answer is lost. For a read: unavailable.
    LostReply,
    /// Half of the effect happens; then this error. An effect that knows no
    /// half does not happen.
    Partial(Error),
    /// The answer is lost, and the effect happens this much later, if it still
    /// can.
    LateEffect {
        /// How much later.
        after: Duration,
    },
    /// The effect's task fails at its end. Effects that are not tasks fail with
    /// what [`crate::Provider::failure`] makes of the text.
    TaskFails {
        /// What the task ends with.
        text: String,
        /// Whether half of the effect stays.
        partial: bool,
    },
    /// The effect's task is begun, and nobody knows it afterwards. For effects
    /// that are not tasks the answer is lost.
    TaskLost {
        /// Whether the effect happens.
        effect: bool,
    },
    /// The effect's task is killed at its end: half of the effect and, after a
    /// clone, the lock stay until [`super::MemoryCloud::unlock`]. As
    /// [`FaultKind::TaskFails`] for effects that are not tasks.
    TaskDies,
}

impl FaultKind {
    /// Whether it changes an effect, and so needs one.
    pub(super) const fn needs_effect(&self) -> bool {
        matches!(
            self,
            Self::Partial(_)
                | Self::LateEffect { .. }
                | Self::TaskFails { .. }
                | Self::TaskLost { .. }
                | Self::TaskDies
        )
    }
}

/// A fault: at which calls, and what.
#[derive(Clone, Debug)]
pub struct Fault {
    call: Call,
    action: Option<String>,
    instance: Option<InstanceId>,
    caller: Option<String>,
    skip: u32,
    times: u32,
    kind: FaultKind,
}

impl Fault {
    /// The next call of this kind, whatever it is about, goes wrong, once.
    pub fn on(call: Call, kind: FaultKind) -> Self {
        Self { call, action: None, instance: None, caller: None, skip: 0, times: 1, kind }
    }

    /// Only calls for the action of this name.
    #[must_use]
    pub fn action(mut self, name: &str) -> Self {
        self.action = Some(name.to_owned());
        self
    }

    /// Only calls for this instance.
    #[must_use]
    pub fn instance(mut self, instance: InstanceId) -> Self {
        self.instance = Some(instance);
        self
    }

    /// Only calls of the provider with this label.
    #[must_use]
    pub fn caller(mut self, label: &str) -> Self {
        self.caller = Some(label.to_owned());
        self
    }

    /// This many matching calls go well first.
    #[must_use]
    pub fn skip(mut self, calls: u32) -> Self {
        self.skip = calls;
        self
    }

    /// This many matching calls go wrong.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// All matching calls go wrong.
    #[must_use]
    pub fn forever(self) -> Self {
        self.times(u32::MAX)
    }
}

/// Names an added fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaultId(usize);

/// Where a call is, for matching faults.
pub(super) struct Site<'a> {
    pub call: Call,
    pub action: &'a str,
    pub instance: Option<InstanceId>,
    pub caller: &'a str,
}

/// The faults that were added, and how often each has fired.
#[derive(Debug, Default)]
pub(super) struct FaultBook {
    faults: Vec<(Fault, u32)>,
}

impl FaultBook {
    /// The fault for this call, if any. Each call asks once for the faults that
    /// need no effect, and when it has an effect once for those that do.
    pub fn take(&mut self, site: &Site<'_>, needs_effect: bool) -> Option<FaultKind> {
        for (fault, fired) in &mut self.faults {
            let here = fault.kind.needs_effect() == needs_effect
                && fault.call == site.call
                && fault.action.as_deref().is_none_or(|name| name == site.action)
                && fault.instance.is_none_or(|id| site.instance == Some(id))
                && fault.caller.as_deref().is_none_or(|label| label == site.caller)
                && fault.times > 0;
            if !here {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            if fault.times != u32::MAX {
                fault.times -= 1;
            }
            *fired += 1;
            return Some(fault.kind.clone());
        }
        None
    }
}

/// The cloud's faults.
#[derive(Clone, Copy, Debug)]
pub struct Faults<'a>(pub(super) &'a MemoryCloud);

impl Faults<'_> {
    /// Adds a fault. Of several that match a call, the oldest fires.
    pub fn add(&self, fault: Fault) -> FaultId {
        let faults = &mut self.0.world().faults.faults;
        faults.push((fault, 0));
        FaultId(faults.len() - 1)
    }

    /// How often this fault has fired.
    pub fn fired(&self, id: FaultId) -> u32 {
        self.0.world().faults.faults.get(id.0).map_or(0, |(_, fired)| *fired)
    }

    /// How often faults have fired altogether.
    pub fn fired_in_all(&self) -> u32 {
        self.0.world().faults.faults.iter().map(|(_, fired)| fired).sum()
    }

    /// Ends all faults. What they have fired stays counted, and effects that
    /// are on their way still land.
    pub fn end(&self) {
        for (fault, _) in &mut self.0.world().faults.faults {
            fault.times = 0;
        }
    }
}
