//! One call while it is carried out: what a handler sees and asks for.

use std::time::Duration;

use serde_json::{Value, json};

use super::message::{Params, Upload};
use super::permission;
use crate::fail::Fail;
use crate::schema::Version;
use crate::tasks::{Done, Op, TaskDurations, TaskFault, Upid, Work};
use crate::world::World;
use crate::world::access::Caller;

/// One call while it is carried out.
pub(crate) struct Call<'a> {
    pub world: &'a mut World,
    pub params: &'a Params,
    pub caller: &'a Caller,
    pub upload: Option<&'a Upload>,
    /// What the backend does before the answer.
    pub ops: Vec<Op>,
    /// Tasks that begin when the call is done.
    pub begins: Vec<u64>,
    /// Tasks that the call has ended: their lock files are given back.
    pub released: Vec<(u64, u32)>,
    /// The `total` beside `data`.
    pub total: Option<usize>,
    /// Further members beside `data`.
    pub beside: Vec<(&'static str, Value)>,
    /// What becomes of the answer once the backend has done its part.
    pub after: Option<fn(&[Done]) -> Value>,
    pub(super) durations: &'a TaskDurations,
    pub(super) fault: Option<TaskFault>,
}

impl Call<'_> {
    /// Starts a task on the call's node and answers its id.
    pub fn task(&mut self, kind: &str, id: &str, work: impl Work + 'static) -> Value {
        let node = match self.params.node() {
            "" => self.world.entry.clone(),
            node => node.to_owned(),
        };
        self.task_on(&node, kind, id, work)
    }

    /// Starts a task on a node and answers its id.
    pub fn task_on(
        &mut self,
        node: &str,
        kind: &str,
        id: &str,
        work: impl Work + 'static,
    ) -> Value {
        let node = node.to_owned();
        let pid = self.world.tasks.next_pid();
        let now = self.world.now;
        let upid = Upid {
            node,
            pid,
            pstart: u64::try_from(now.saturating_sub(self.world.booted).as_millis() / 10)
                .unwrap_or(0),
            start: now.as_secs(),
            kind: kind.into(),
            id: id.into(),
            user: self.caller.id(),
        };
        let text = upid.text();
        let number =
            self.world.tasks.add(upid, Box::new(work), self.durations.of(kind), self.fault.take());
        self.begins.push(number);
        json!(text)
    }

    /// Does a task's work before the answer, which is null: so do older
    /// releases what newer ones leave to a worker.
    pub fn at_once(&mut self, mut work: impl Work) -> Result<Value, Fail> {
        let held = work
            .locks()
            .filter(|vmid| self.world.guests.get(vmid).is_some_and(|guest| guest.flock.is_some()));
        if let Some(vmid) = held {
            return Err(Fail::new(self.world.lock_text(vmid)));
        }
        let mut log = Vec::new();
        let mut ops = work.begin(self.world, &mut log)?;
        ops.extend(work.effects(self.world, &mut log)?);
        work.finish(self.world, &mut log, &[])?;
        self.ops.extend(ops);
        Ok(Value::Null)
    }

    /// How long a task of this type takes; workers with several parts take it for each.
    pub fn duration_of(&self, kind: &str) -> Duration {
        self.durations.of(kind)
    }

    /// Requires a privilege on a path.
    pub fn require(&self, path: &str, privilege: &str) -> Result<(), Fail> {
        if self.caller.is_root() {
            return Ok(());
        }
        permission::require(self.world, self.caller, path, &[privilege], false)
    }

    /// Requires the use of a bridge; before 8 everybody had it.
    pub fn require_bridge(&self, bridge: &str) -> Result<(), Fail> {
        if self.world.version < Version::V8_4 {
            return Ok(());
        }
        self.require(&format!("/sdn/zones/localnetwork/{bridge}"), "SDN.Use")
    }

    /// Whether the caller has a privilege on a path.
    pub fn may(&self, path: &str, privilege: &str) -> bool {
        self.world.may(self.caller, path, privilege)
    }
}
