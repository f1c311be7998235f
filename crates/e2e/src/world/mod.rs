//! The worlds that the torture matrix runs over: each is a provider with a
//! fault plan, a dump, and events that happen as the clock advances.

mod memory;
mod proxmox;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::time::{BoxFuture, ManualClock};
use model::{InstallationId, Mark};
use provider::Provider;
use serde_json::Value;

pub use memory::MemoryWorld;
pub use proxmox::{MediaWorld, ProxmoxWorld};

/// Which call of an action goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Carrying it out.
    Apply,
    /// Reading it back.
    Probe,
    /// Taking it back.
    Undo,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Refused, before any effect.
    Refuse,
    /// A part of the effect, then an error.
    Partial,
    /// The effect, and then the answer is lost.
    LostReply,
    /// The answer is lost, and the effect happens this much later.
    Late(Duration),
    /// Not sent.
    NotSent,
    /// Somebody holds a lock.
    Busy,
    /// The hypervisor is away.
    Unavailable,
    /// The task that carries it out fails.
    TaskFails,
    /// The task that carries it out is not known any more; its effect happened.
    TaskLost,
    /// Somebody else's guest takes the place right before the call.
    Foreign,
}

/// A fault for a world.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// The action's name.
    pub action: String,
    /// At which call.
    pub at: At,
    /// What.
    pub what: What,
    /// How many times; `None`: always.
    pub times: Option<u32>,
}

/// A provider's world.
#[async_trait]
pub trait World: Send + Sync {
    /// Its name, for messages.
    fn name(&self) -> &'static str;

    /// A provider over it, as one process has it.
    fn provider(&self, process: &str, installation: InstallationId) -> Arc<dyn Provider>;

    /// Everything that could leak, in a stable order, without times. Random
    /// names (MAC addresses and the like) are left out.
    fn dump(&self) -> Value;

    /// The time until something happens by itself.
    fn next_event(&self) -> Option<Duration>;

    /// The shared clock has advanced by this much.
    async fn advanced(&self, by: Duration);

    /// Adds a fault. `false` when this world cannot do that to that action.
    fn trouble(&self, trouble: &Trouble) -> bool;

    /// How many faults have struck.
    fn struck(&self) -> u32;

    /// Ends all faults.
    fn calm(&self);

    /// An administrator puts a guest with this mark at this id, as a restore
    /// from a backup does.
    fn restore(&self, id: u32, mark: &Mark);

    /// Somebody else's guest takes this id.
    fn plant(&self, id: u32);

    /// The guest at this id goes, without our doing.
    async fn remove(&self, id: u32);

    /// The guest at this id is that one with this UUID again, powered off.
    fn put_back(&self, id: u32, mark: &Mark, uuid: &str);

    /// Does what a stuck operation asks an administrator to do.
    async fn obey(&self, left: &[String]);
}

/// Makes a world by its clock.
pub type MakeWorld = fn(&ManualClock) -> BoxFuture<'static, Arc<dyn World>>;
