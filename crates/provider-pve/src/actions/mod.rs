//! The actions, one file each: what is asked of Proxmox, how it is read back
//! and how it is taken back.

pub(crate) mod clone;
pub(crate) mod configure;
pub(crate) mod destroy;
pub(crate) mod edit;
pub(crate) mod firewall;
pub(crate) mod grow;
pub(crate) mod mark;
pub(crate) mod migrate;
pub(crate) mod reboot;
pub(crate) mod resize;
pub(crate) mod rollback;
pub(crate) mod seed;
pub(crate) mod shutdown;
pub(crate) mod snapshot;
pub(crate) mod start;
pub(crate) mod stop;

use async_trait::async_trait;
use provider::{Action, ActionContext, Applied, Error, Probe, Rejection, Undone};
use pve::VmId;
use serde::de::DeserializeOwned;

use crate::cluster::Cluster;
use crate::errors;
use crate::guest::Guest;
use crate::native::{GuestRef, Identity};
use crate::ownership::Standing;

/// An action's payload, and how it is carried out.
#[async_trait]
pub(crate) trait Carry: Send + Sync {
    /// See [`provider::Provider::apply`].
    async fn apply(&self, cluster: &Cluster, context: &ActionContext) -> Result<Applied, Error>;

    /// See [`provider::Provider::probe`].
    async fn probe(&self, cluster: &Cluster, context: &ActionContext) -> Result<Probe, Error>;

    /// See [`provider::Provider::undo`]. Actions that only change the guest
    /// that their plan's clone made need none: the clone's undo removes the
    /// guest with all that was done to it. Actions that cannot be taken back
    /// are never asked.
    async fn undo(&self, _: &Cluster, _: &ActionContext) -> Result<Undone, Error> {
        Ok(Undone::Done)
    }

    /// See [`provider::Provider::failure`].
    fn failure(&self, text: &str) -> Error {
        errors::of_text(text)
    }
}

/// The action behind its name, version and payload.
///
/// # Errors
/// [`Error::Rejected`] for a name or version that this release does not have,
/// [`Error::Malformed`] for a payload that does not fit.
pub(crate) fn load(action: &Action) -> Result<Box<dyn Carry>, Error> {
    match (action.name.as_str(), action.version) {
        (clone::NAME, 1) => read::<clone::Clone>(action),
        (configure::NAME, 1) => read::<configure::Configure>(action),
        (grow::NAME, 1) => read::<grow::Grow>(action),
        (firewall::NAME, 1) => read::<firewall::Firewall>(action),
        (start::NAME, 1) => read::<start::Start>(action),
        (stop::NAME, 1) => read::<stop::Stop>(action),
        (shutdown::NAME, 1) => read::<shutdown::Shutdown>(action),
        (reboot::NOTE, 1) => read::<reboot::Note>(action),
        (reboot::NAME, 1) => read::<reboot::Reboot>(action),
        (destroy::NAME, 1) => read::<destroy::Destroy>(action),
        (resize::NAME, 1) => read::<resize::Resize>(action),
        (edit::NAME, 1) => read::<edit::Edit>(action),
        (snapshot::TAKE, 1) => read::<snapshot::Take>(action),
        (snapshot::DISCARD, 1) => read::<snapshot::Discard>(action),
        (rollback::NOTE, 1) => read::<rollback::Note>(action),
        (rollback::NAME, 1) => read::<rollback::Rollback>(action),
        (mark::MARK, 1) => read::<mark::Adopt>(action),
        (mark::UNMARK, 1) => read::<mark::Release>(action),
        (seed::NAME, 1) => read::<seed::Upload>(action),
        (seed::EJECT, 1) => read::<seed::Eject>(action),
        (seed::UNSEED, 1) => read::<seed::Unseed>(action),
        (migrate::NAME, 1) => read::<migrate::Migrate>(action),
        (name, version) => Err(Error::rejected(
            Rejection::Unsupported,
            format!("this release has no action {name:?} of version {version}"),
        )),
    }
}

fn read<T: Carry + DeserializeOwned + 'static>(action: &Action) -> Result<Box<dyn Carry>, Error> {
    match serde_json::from_value::<T>(action.payload.clone()) {
        Ok(payload) => Ok(Box::new(payload)),
        Err(error) => {
            Err(Error::Malformed(format!("the payload of the action {:?}: {error}", action.name)))
        }
    }
}

/// Which guest an action is about, and who it has to be.
pub(crate) fn target(context: &ActionContext) -> Result<(GuestRef, Identity), Error> {
    let guest = GuestRef::read(&context.native)?;
    let identity = Identity::of(&guest, context.mark);
    Ok((guest, identity))
}

/// The guest that an action is about, proven to be ours just now.
///
/// # Errors
/// [`Error::Rejected`] when it is gone or another stands in its place,
/// [`Error::Busy`] while it is being cloned.
pub(crate) async fn ours(cluster: &Cluster, context: &ActionContext) -> Result<Guest, Error> {
    let (guest, identity) = target(context)?;
    match cluster.look(guest.vmid, &guest.hints(), &identity).await? {
        Standing::Ours(guest) => Ok(guest),
        Standing::Unfinished(found) => Err(unfinished(found.vmid)),
        Standing::Absent => Err(gone(guest.vmid)),
        Standing::Foreign(text) => Err(Error::rejected(Rejection::NotFound, text)),
    }
}

/// The guest whose change is to be taken back; `None` when it is not there or
/// not ours, so that there is nothing to take back.
///
/// # Errors
/// As a read.
pub(crate) async fn ours_to_undo(
    cluster: &Cluster,
    context: &ActionContext,
) -> Result<Option<Guest>, Error> {
    let (guest, identity) = target(context)?;
    let standing = cluster.look(guest.vmid, &guest.hints(), &identity).await?;
    Ok(match standing {
        Standing::Ours(guest) => Some(guest),
        Standing::Absent | Standing::Foreign(_) | Standing::Unfinished(_) => None,
    })
}

/// What taking back has come to when there is nothing left to take back: done
/// once no request that was sent before can have an effect any more.
pub(crate) fn landed(cluster: &Cluster, context: &ActionContext) -> Undone {
    let timeouts = &cluster.settings.timeouts;
    let on_its_way = timeouts.request() + timeouts.settle();
    match context.in_doubt_since {
        Some(since) if cluster.clock.now() < since.plus(on_its_way) => Undone::InProgress,
        _ => Undone::Done,
    }
}

/// The guest is not there any more.
pub(crate) fn gone(vmid: VmId) -> Error {
    let text = format!("VM {vmid} does not exist any more");
    Error::rejected(Rejection::NotFound, text)
}

/// The guest is locked by its clone.
pub(crate) fn unfinished(vmid: VmId) -> Error {
    Error::Busy(format!("VM {vmid} is still being made"))
}
