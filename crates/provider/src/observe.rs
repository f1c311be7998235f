//! What a provider sees.

use std::collections::{BTreeMap, BTreeSet};

use model::{ByteCount, HostId, ImagePresence, Mark, PowerState};
use serde_json::Value;

/// A host as last seen.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct HostView {
    /// Its id.
    pub id: HostId,
    /// Whether it answers.
    pub online: bool,
    /// Its cores.
    pub cores: u32,
    /// Its memory.
    pub memory: ByteCount,
    /// Cores given to guests, whoever owns them.
    pub cores_allocated: u32,
    /// Memory given to guests, whoever owns them.
    pub memory_allocated: ByteCount,
    /// Devices of it that can be handed through to guests, by their names.
    pub devices: BTreeMap<String, HostDevices>,
    /// Why no guest should be placed on it, when so.
    pub closed: Option<String>,
    /// The provider's own facts (opaque).
    pub native: Value,
}

/// Devices of one name on a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct HostDevices {
    /// How many there are, whoever has them.
    pub count: u32,
    /// Whether each can be divided among several guests.
    pub divisible: bool,
}

/// An image as last seen.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ImageView {
    /// Its name, unique within the provider.
    pub name: String,
    /// Its root disk's size.
    pub size: Option<ByteCount>,
    /// Where it can become a guest.
    pub presence: ImagePresence,
    /// The provider's own reference; equal references are the same image.
    pub native: Value,
}

/// A guest as last seen in the bulk lists.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct GuestView {
    /// The key of [`crate::Provider::guest_key`].
    pub key: String,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub host: HostId,
    /// Its power state.
    pub power: PowerState,
    /// Whether it carries the label of guests that Innkeeper made.
    pub labelled: bool,
}

/// What one look at a whole provider has seen.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Batch {
    /// Why the batch does not show everything; `None` when it is complete
    /// (quorate, every host online, privileges proven). Only a complete batch
    /// may make an instance lost.
    pub incomplete: Option<String>,
    /// The hosts.
    pub hosts: Vec<HostView>,
    /// The images.
    pub images: Vec<ImageView>,
    /// The guests, whoever owns them.
    pub guests: Vec<GuestView>,
    /// The names of the security groups, sorted; `None` when they cannot be had.
    pub security_groups: Option<Vec<String>>,
}

/// Whether a guest exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existence {
    /// It does, and it is the one that was meant.
    Ours,
    /// Another guest stands there.
    Foreign,
    /// Its host says that it does not exist, and the cluster is quorate.
    Gone,
}

/// Where a guest could move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destinations {
    /// Where it is.
    pub host: HostId,
    /// Whether it runs.
    pub running: bool,
    /// The other hosts.
    pub others: Vec<Destination>,
}

/// A host that a guest may be moved to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The host.
    pub host: HostId,
    /// Why the guest cannot move there, if so.
    pub refused: Option<String>,
}

/// A guest as it stands, whoever owns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestDetails {
    /// The mark that it carries.
    pub mark: Option<Mark>,
    /// The reference to it as a guest of ours.
    pub native: Value,
    /// The reference to it as a guest that carries no mark: it is told from
    /// others by what the hypervisor itself has given it; `Null` when it was
    /// given nothing, so that it can only become ours.
    pub unmarked: Value,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub host: HostId,
    /// Its cores.
    pub cores: u32,
    /// Its memory.
    pub memory: ByteCount,
    /// The size of its root disk, when that is known.
    pub root_disk: Option<ByteCount>,
    /// What people say about it, without marks.
    pub description: String,
    /// Its tags, without ours.
    pub tags: BTreeSet<String>,
    /// Whether it is protected against removal.
    pub protected: bool,
    /// The security groups that its rules name, in their order, whoever made
    /// them and whether they are switched on.
    pub security_groups: Vec<String>,
}

/// A guest that carries a mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// The mark.
    pub mark: Mark,
    /// The reference that a destroy intent needs.
    pub native: Value,
}
