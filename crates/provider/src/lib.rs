//! What a provider is: it turns an intent into a plan of actions (data), and
//! carries out, reads back and takes back each action.
//!
//! A provider reaches no store. Ids that an action needs are *requested*,
//! reserved by the house, and journalled with the plan before the first effect.
#![warn(missing_docs)]

pub mod conformance;
mod error;
pub mod memory;
mod observe;
mod plan;

use std::sync::Arc;

use async_trait::async_trait;
use model::{Address, HostId, Image, Intent, Mark, SeedAccess, Timestamp};
use secrecy::SecretString;
use serde_json::Value;

pub use error::{Error, Rejection};
pub use observe::{
    Batch, Destination, Destinations, Existence, GuestDetails, GuestView, HostDevices, HostView,
    ImageView, Orphan,
};
pub use plan::{Action, IdRequest, Limit, Plan, ReservedId};

/// What planning knows about the world: rows and the last observation, never a
/// call.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The image of a create intent.
    pub image: Option<Image>,
    /// The host of a create intent, or where the guest was last seen.
    pub host: Option<HostView>,
    /// The provider's reference to the guest (`Null` for a create intent).
    pub native: Value,
    /// The guest as last seen.
    pub guest: Option<GuestView>,
    /// The mark that the guest carries or will carry.
    pub mark: Option<Mark>,
}

/// The bytes of a medium with a guest's seed. The same seed always gives the
/// same bytes. They may hold secrets: they never print.
#[derive(Clone, PartialEq, Eq)]
pub struct SeedMedium(pub Arc<[u8]>);

impl std::fmt::Debug for SeedMedium {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SeedMedium({} bytes)", self.0.len())
    }
}

/// What an action may use besides its own payload.
#[derive(Clone, Debug)]
pub struct ActionContext {
    /// The mark of the guest that this is about.
    pub mark: Mark,
    /// The provider's reference to the guest: the outputs of the actions
    /// before this one, merged (a JSON object; `Null` when there is none yet).
    pub native: Value,
    /// The address of the guest's seed, when the intent asked for one.
    pub seed_url: Option<SecretString>,
    /// The medium with the guest's seed, where the provider attaches one.
    pub seed_medium: Option<SeedMedium>,
    /// An earlier try of this action was sent at this time, by this process or
    /// another, and whether it had an effect is not known.
    pub in_doubt_since: Option<Timestamp>,
}

/// What an action's effect has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Done. The output is merged into the reference to the guest, but for its
    /// member `pending` (a list of texts): that is what of the effect the guest
    /// gets only at its next start.
    Done(Value),
    /// Begun; the handle says how far it is.
    Started(Handle),
}

/// Something that goes on outside and that any process can ask about.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Handle {
    /// The host to ask.
    pub host: HostId,
    /// What to ask for (opaque; on Proxmox a UPID).
    pub reference: String,
}

/// What reading back an action says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// There is no effect. After a lost answer this counts only once the
    /// action's settle time has passed.
    NotDone,
    /// It is going on; the handle, when there is one to follow.
    InProgress(Option<Handle>),
    /// It is done; the output as [`Applied::Done`] would have given it.
    Done(Value),
    /// Somebody else's thing stands where ours should be. The text says what.
    Foreign(String),
}

/// What taking back an action has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undone {
    /// There is no effect, and none of our requests can still cause one.
    Done,
    /// There is no effect, but a request that was sent may still cause one
    /// later: the id must stay retired and watched (the tombstone's text says
    /// for what).
    Tombstone(String),
    /// Begun; undo is called again when the handle has ended.
    Started(Handle),
    /// Somebody's effect is still going on; undo is called again soon.
    InProgress,
}

/// How far a handle is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum HandleState {
    /// Still going; progress from 0 to 100 where it is known.
    Running {
        /// Percent done.
        percent: Option<u8>,
    },
    /// Ended well.
    Ok,
    /// Ended badly.
    Failed {
        /// What the hypervisor said.
        text: String,
    },
    /// The host does not know it any more.
    Lost,
}

/// A hypervisor, or a cluster of them.
///
/// The methods that plan are pure. Those that act are called only from a
/// journalled step, and every one of them may be called again after a crash.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// The kind, for example `proxmox`.
    fn kind(&self) -> &'static str;

    /// How guests get at their seeds here, where they get one.
    fn seed_access(&self) -> SeedAccess {
        SeedAccess::Http
    }

    /// Whether a medium with its seed is attached to the guest of this reference.
    fn has_seed_medium(&self, _native: &Value) -> bool {
        false
    }

    /// The ids that the plan for this intent will need.
    ///
    /// # Errors
    /// [`Error::Rejected`] when the intent is impossible here.
    fn ids_needed(&self, intent: &Intent, facts: &Facts) -> Result<Vec<IdRequest>, Error>;

    /// The plan for this intent, with one reserved id per request of
    /// [`Provider::ids_needed`], in order. The same arguments give the same plan.
    ///
    /// # Errors
    /// [`Error::Rejected`] when the intent is impossible here.
    fn plan(&self, intent: &Intent, facts: &Facts, ids: &[ReservedId]) -> Result<Plan, Error>;

    /// Carries out an action.
    ///
    /// # Errors
    /// By what the caller may do; see [`Error`].
    async fn apply(&self, action: &Action, context: &ActionContext) -> Result<Applied, Error>;

    /// Reads back whether an action has been carried out.
    ///
    /// # Errors
    /// As [`Provider::apply`]; reads are never ambiguous.
    async fn probe(&self, action: &Action, context: &ActionContext) -> Result<Probe, Error>;

    /// Takes back an action. Idempotent; accepts that it never happened.
    ///
    /// # Errors
    /// As [`Provider::apply`].
    async fn undo(&self, action: &Action, context: &ActionContext) -> Result<Undone, Error>;

    /// What kind of error the text is that an action's handle failed with.
    fn failure(&self, action: &Action, text: &str) -> Error;

    /// How far these handles of one host are, with one call however many there
    /// are. Answers in the order of the handles.
    ///
    /// # Errors
    /// As a read.
    async fn poll(&self, host: &HostId, handles: &[Handle]) -> Result<Vec<HandleState>, Error>;

    /// The bulk lists: hosts, images and guests.
    ///
    /// # Errors
    /// As a read. A part that cannot be had makes the batch incomplete instead.
    async fn observe(&self) -> Result<Batch, Error>;

    /// The key under which [`Batch::guests`] lists the guest of this reference.
    fn guest_key(&self, native: &Value) -> Option<String>;

    /// The guest's addresses, asked of the guest: those of our interfaces only,
    /// global ones first. `None` while the guest does not answer.
    ///
    /// # Errors
    /// As a read.
    async fn addresses(&self, native: &Value) -> Result<Option<Vec<Address>>, Error>;

    /// Whether this guest, with this mark, exists: asked of its host directly.
    ///
    /// # Errors
    /// As a read.
    async fn exists(&self, native: &Value, mark: &Mark) -> Result<Existence, Error>;

    /// Every host that this guest of ours could move to, or the reason why not:
    /// what the hypervisor knows about it (disks, devices), asked now. The host
    /// where it is is not among them.
    ///
    /// # Errors
    /// As a read; [`Error::Rejected`] when the guest is not there or not ours.
    async fn destinations(&self, native: &Value, mark: &Mark) -> Result<Destinations, Error>;

    /// The mark that the guest at `key` carries and the reference that a
    /// destroy intent needs to remove it; `None` when it carries no mark.
    ///
    /// # Errors
    /// As a read.
    async fn inspect(&self, key: &str) -> Result<Option<Orphan>, Error>;

    /// The guest at `key` as it stands, whoever owns it, read for its adoption;
    /// `None` when there is none. Its power is what [`Batch::guests`] says.
    ///
    /// # Errors
    /// As a read; [`Error::Rejected`] for what is there and can be no instance.
    async fn describe(&self, key: &str) -> Result<Option<GuestDetails>, Error>;
}
