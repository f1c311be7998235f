//! A provider whose cloud is a data structure: for the torture matrix, for
//! tests of everything above a provider, and as the shortest complete example
//! of one.
//!
//! [`MemoryCloud`] is the world: hosts, images, guests, disks and running tasks.
//! Several [`MemoryProvider`]s may share it, as several processes share a
//! cluster. Time is that of the [`model::Clock`] it was made with: a task ends,
//! and an effect that comes late lands, when the clock has passed its moment;
//! that is worked out at the beginning of every call. [`Faults`] decide which
//! call goes wrong, and how.
//!
//! It behaves as Proxmox does where that matters for the order of calls: a
//! guest that is being cloned is there at once and locked; a task that was
//! accepted may fail; one task at a time works on a guest; a request that
//! arrives late names a guest by its id alone and takes what it finds there
//! (changes of the configuration are guarded by a digest).

mod actions;
mod cloud;
mod desk;
mod faults;
mod guest;
mod marks;
mod plan;
mod provider;
mod standing;
mod tasks;
mod world;

#[cfg(test)]
mod tests;

pub use cloud::MemoryCloud;
pub use faults::{Call, Fault, FaultId, FaultKind, Faults};
pub use guest::{Durations, Guest, Request};
pub use provider::MemoryProvider;
