//! Clones a template to the reserved vmid, with our mark as its description.
//!
//! A clone is the one effect here that makes something, and so the one whose
//! lost answer could leak or double a guest. The vmid is reserved and retired
//! by the house, every retry uses the same one, and Proxmox lets at most one
//! request win it.

use async_trait::async_trait;
use model::HostId;
use provider::{ActionContext, Applied, Error, Handle, Probe, Rejection, Undone};
use pve::VmId;
use serde::{Deserialize, Serialize};

use super::Carry;
use super::destroy::{self, Protection, Removal};
use crate::cluster::{Cluster, ConfigAnswer};
use crate::guest::{self, Guest};
use crate::native::{GuestRef, Identity};
use crate::ownership::Standing;
use crate::tasks::LockWatch;

/// The action's name.
pub(crate) const NAME: &str = "clone";

/// The action's payload.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Clone {
    /// The reserved vmid.
    pub vmid: VmId,
    /// The template's vmid.
    pub source: VmId,
    /// Where the template's configuration lies, and the clone's until the end.
    pub source_node: HostId,
    /// Where the guest is to live.
    pub node: HostId,
    /// The guest's name.
    pub name: String,
    /// A full copy instead of a linked clone.
    pub full: bool,
    /// The storage for a full copy; the template's own when unset.
    pub storage: Option<String>,
    /// The pool that the guest is put into.
    pub pool: Option<String>,
}

#[async_trait]
impl Carry for Clone {
    async fn apply(&self, cluster: &Cluster, context: &ActionContext) -> Result<Applied, Error> {
        self.still_a_template(cluster).await?;
        match cluster.clone_guest(self, &context.mark).await {
            Ok(handle) => {
                cluster.explain(&handle.reference, self.vmid);
                Ok(Applied::Started(handle))
            }
            // Either an earlier try of ours has won after all, or somebody
            // else's guest stands there.
            Err(error @ Error::Rejected { why: Rejection::Exists, .. }) => {
                match self.probe(cluster, context).await? {
                    Probe::Done(output) => Ok(Applied::Done(output)),
                    Probe::InProgress(Some(handle)) => Ok(Applied::Started(handle)),
                    Probe::InProgress(None) => Err(Error::Busy(format!(
                        "VM {} is being made by an earlier try",
                        self.vmid
                    ))),
                    Probe::Foreign(text) => Err(Error::rejected(Rejection::Exists, text)),
                    Probe::NotDone => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    async fn probe(&self, cluster: &Cluster, context: &ActionContext) -> Result<Probe, Error> {
        let identity = who(context);
        match self.look(cluster, &identity).await? {
            Standing::Ours(guest) => {
                cluster.forget_lock(self.vmid);
                if self.is_half_made(cluster, &guest).await? {
                    return Err(Error::rejected(
                        Rejection::Exists,
                        format!("VM {} was unlocked before its disk was there", self.vmid),
                    ));
                }
                let uuid = guest::uuid(&guest.config).ok_or_else(|| {
                    Error::Malformed(format!("VM {} has no SMBIOS UUID", self.vmid))
                })?;
                let output = GuestRef::write(self.vmid, &guest.node, Some(&uuid));
                Ok(Probe::Done(output))
            }
            Standing::Unfinished(guest) => {
                let watch =
                    cluster.watch_lock(&guest, Some((&self.source_node, self.source))).await?;
                match watch {
                    LockWatch::Working(upid) => {
                        Ok(Probe::InProgress(upid.map(|upid| self.handle(upid))))
                    }
                    LockWatch::Stays(error) => Err(error),
                }
            }
            Standing::Foreign(text) => Ok(Probe::Foreign(text)),
            Standing::Absent => Ok(match self.may_still_come(cluster, context).await? {
                true => Probe::InProgress(None),
                false => Probe::NotDone,
            }),
        }
    }

    async fn undo(&self, cluster: &Cluster, context: &ActionContext) -> Result<Undone, Error> {
        let identity = who(context);
        match self.look(cluster, &identity).await? {
            Standing::Ours(guest) => {
                cluster.forget_lock(self.vmid);
                match destroy::remove(cluster, &guest, &identity, Protection::OfTemplate).await? {
                    Removal::Started(handle) => Ok(Undone::Started(handle)),
                    Removal::Working => Ok(Undone::InProgress),
                }
            }
            Standing::Unfinished(guest) => {
                let watch =
                    cluster.watch_lock(&guest, Some((&self.source_node, self.source))).await?;
                match watch {
                    LockWatch::Working(_) => Ok(Undone::InProgress),
                    LockWatch::Stays(error) => Err(error),
                }
            }
            Standing::Foreign(_) => Ok(Undone::Done),
            Standing::Absent => {
                if self.may_still_come(cluster, context).await? {
                    return Ok(Undone::InProgress);
                }
                Ok(match context.in_doubt_since {
                    None => Undone::Done,
                    Some(since) => Undone::Tombstone(format!(
                        "VM {} of attempt {}: a clone was asked for at {since} and not answered",
                        self.vmid, context.mark.attempt
                    )),
                })
            }
        }
    }
}

/// Who the clone has to be. Its UUID is known once it was read.
fn who(context: &ActionContext) -> Identity {
    let known = GuestRef::read(&context.native).ok();
    Identity { mark: context.mark, uuid: known.and_then(|guest| guest.uuid), unmarked: false }
}

impl Clone {
    /// The template may have gone since it was seen, and its vmid be somebody's
    /// ordinary guest now, which Proxmox would copy as willingly.
    async fn still_a_template(&self, cluster: &Cluster) -> Result<(), Error> {
        match cluster.config(&self.source_node, self.source).await? {
            ConfigAnswer::Found(config) if config.is_template() => Ok(()),
            _ => Err(Error::rejected(
                Rejection::NotFound,
                format!("VM {} on {} is no template any more", self.source, self.source_node),
            )),
        }
    }

    fn handle(&self, upid: String) -> Handle {
        Handle { host: self.source_node.clone(), reference: upid }
    }

    /// Whether the guest has no disk although the template has one: a clone that
    /// died half way, unlocked by an administrator. It is taken back.
    async fn is_half_made(&self, cluster: &Cluster, guest: &Guest) -> Result<bool, Error> {
        if guest::root_disk(&guest.config).is_some() {
            return Ok(false);
        }
        Ok(match cluster.config(&self.source_node, self.source).await? {
            ConfigAnswer::Found(template) => guest::root_disk(&template).is_some(),
            ConfigAnswer::Missing | ConfigAnswer::Hidden => false,
        })
    }

    /// Who stands at the vmid. The clone's configuration lies on the source
    /// host until the end, and on the target host afterwards.
    async fn look(&self, cluster: &Cluster, identity: &Identity) -> Result<Standing, Error> {
        cluster.look(self.vmid, &[&self.source_node, &self.node], identity).await
    }

    /// Whether a clone of the same template runs that may be the one whose
    /// answer was lost.
    async fn may_still_come(
        &self,
        cluster: &Cluster,
        context: &ActionContext,
    ) -> Result<bool, Error> {
        let Some(since) = context.in_doubt_since else {
            return Ok(false);
        };
        let source = (&self.source_node, self.source);
        cluster.may_be_cloned(self.vmid, source, Some(since)).await
    }
}
