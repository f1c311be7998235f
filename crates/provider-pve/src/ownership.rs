//! Who stands at a vmid: the rule that decides which guests Innkeeper touches.
//!
//! A guest is ours when its vmid and its SMBIOS UUID are those of our row and
//! its mark names this installation and instance. Before the UUID is known (the
//! clone that makes the guest is in doubt) the mark must also name the attempt.
//! Proxmox copies descriptions and tags to clones and restores, so that a mark
//! alone, at another vmid, proves nothing. A template is nobody's guest.

use model::{HostId, Mark};
use provider::{Error, Existence, GuestDetails, Orphan, Rejection};
use pve::VmId;
use pve::cluster::ResourceFilter;
use pve::qemu::QemuConfig;

use crate::cluster::{Cluster, ConfigAnswer};
use crate::guest::{self, Guest};
use crate::native::{GuestRef, Identity, host_id};

/// Who stands at a vmid.
#[derive(Debug)]
pub(crate) enum Standing {
    /// Nobody, and the cluster is quorate.
    Absent,
    /// A guest that is being made; whose it is shows at the end.
    Unfinished(Guest),
    /// Our guest.
    Ours(Guest),
    /// Somebody else's. The text says what.
    Foreign(String),
}

/// Where a guest is.
enum Place {
    Absent,
    At(Guest),
    /// There is something that is no guest of ours for certain.
    Other(String),
    /// There is something that these credentials may not see.
    Hidden(String),
}

impl Cluster {
    /// Who stands at `vmid`. `hints` are the nodes where it may be; when it is
    /// on none of them the whole cluster is searched.
    ///
    /// # Errors
    /// As a read; [`Error::Unavailable`] when absence cannot be proven because
    /// the cluster is not quorate.
    pub async fn look(
        &self,
        vmid: VmId,
        hints: &[&HostId],
        identity: &Identity,
    ) -> Result<Standing, Error> {
        self.find(vmid, hints).await.map(|place| standing(vmid, place, identity))
    }

    /// The guest read again, immediately before what cannot be taken back.
    ///
    /// # Errors
    /// As [`Cluster::look`]; [`Error::Busy`] when it is not ours, or not there,
    /// any more: whoever asks has to look again.
    pub async fn still_ours(&self, found: &Guest, identity: &Identity) -> Result<Guest, Error> {
        match self.look(found.vmid, &[&found.node], identity).await? {
            Standing::Ours(guest) => Ok(guest),
            _ => Err(Error::Busy(format!("VM {} changed while it was looked at", found.vmid))),
        }
    }

    /// See [`provider::Provider::exists`].
    pub async fn existence(&self, reference: &GuestRef, mark: Mark) -> Result<Existence, Error> {
        let identity = Identity::of(reference, mark);
        let place = self.find(reference.vmid, &reference.hints()).await?;
        if let Place::Hidden(text) = place {
            // What may not be seen is not proven to be somebody else's.
            return Err(Error::Unavailable(text));
        }
        Ok(match standing(reference.vmid, place, &identity) {
            Standing::Absent => Existence::Gone,
            Standing::Ours(_) => Existence::Ours,
            Standing::Foreign(_) => Existence::Foreign,
            Standing::Unfinished(guest) => {
                return Err(Error::Busy(format!("VM {} is being made", guest.vmid)));
            }
        })
    }

    /// The guest of this reference by its vmid and UUID alone (or by having
    /// none), whatever mark it carries; `None` when it is not there.
    ///
    /// # Errors
    /// As [`Cluster::look`].
    pub async fn by_uuid(&self, reference: &GuestRef) -> Result<Option<Guest>, Error> {
        match self.find(reference.vmid, &reference.hints()).await? {
            Place::At(guest) if guest.config.is_template() => Ok(None),
            Place::At(guest) => {
                let wanted = reference.uuid.as_deref().map(str::to_ascii_lowercase);
                let same = guest::uuid(&guest.config) == wanted;
                Ok(same.then_some(guest))
            }
            Place::Hidden(text) => Err(Error::Unavailable(text)),
            Place::Absent | Place::Other(_) => Ok(None),
        }
    }

    /// See [`provider::Provider::describe`].
    pub async fn describe(&self, vmid: VmId) -> Result<Option<GuestDetails>, Error> {
        match self.find(vmid, &[]).await? {
            Place::At(guest) => guest.details(&self.rules(&guest).await?).map(Some),
            Place::Absent => Ok(None),
            Place::Other(text) => Err(Error::rejected(Rejection::Unsupported, text)),
            Place::Hidden(text) => Err(Error::Unavailable(text)),
        }
    }

    /// See [`provider::Provider::inspect`].
    pub async fn inspect(&self, vmid: VmId) -> Result<Option<Orphan>, Error> {
        let Place::At(guest) = self.find(vmid, &[]).await? else {
            return Ok(None);
        };
        if guest.config.is_template() {
            return Ok(None);
        }
        let Some(mark) = guest::mark(&guest.config) else {
            return Ok(None);
        };
        let uuid = guest::uuid(&guest.config);
        Ok(Some(Orphan { mark, native: GuestRef::write(vmid, &guest.node, uuid.as_deref()) }))
    }

    /// The guest at a vmid, whoever owns it and wherever it is; `hint` is the
    /// node that is asked first.
    pub async fn whereabouts(&self, vmid: VmId, hint: &HostId) -> Result<Option<Guest>, Error> {
        Ok(match self.find(vmid, &[hint]).await? {
            Place::At(guest) => Some(guest),
            Place::Absent | Place::Other(_) | Place::Hidden(_) => None,
        })
    }

    async fn find(&self, vmid: VmId, hints: &[&HostId]) -> Result<Place, Error> {
        let mut asked: Vec<&HostId> = Vec::new();
        for node in hints {
            if asked.contains(node) {
                continue;
            }
            match self.at(node, vmid).await {
                Ok(Some(guest)) => return Ok(Place::At(guest)),
                // A hint is only a hint: the guest may have left a node before
                // that went down.
                Ok(None) | Err(Error::Unavailable(_)) => asked.push(node),
                Err(error) => return Err(error),
            }
        }
        // The one look-up that no permission filters.
        if self.is_free(vmid).await? {
            self.require_quorum().await?;
            return Ok(Place::Absent);
        }
        let rows = self.resources(Some(ResourceFilter::Guests)).await?;
        let row = rows.into_iter().find(|row| row.vmid == Some(vmid));
        let Some(row) = row else {
            return self.unseen(vmid).await;
        };
        let node = host_id(row.node.as_deref().unwrap_or_default())?;
        if row.kind != "qemu" {
            return Ok(Place::Other(format!("a container stands at {vmid} on {node}")));
        }
        match self.at(&node, vmid).await? {
            Some(guest) => Ok(Place::At(guest)),
            // It moved or went between the two looks.
            None => Err(Error::Unavailable(format!("VM {vmid} is on its way to or from {node}"))),
        }
    }

    /// The guest, if this node has it and we may see it.
    async fn at(&self, node: &HostId, vmid: VmId) -> Result<Option<Guest>, Error> {
        Ok(match self.config(node, vmid).await? {
            ConfigAnswer::Found(config) => {
                Some(Guest { vmid, node: node.clone(), config: *config })
            }
            ConfigAnswer::Missing | ConfigAnswer::Hidden => None,
        })
    }

    /// The vmid is taken, and the guest is not on our list.
    async fn unseen(&self, vmid: VmId) -> Result<Place, Error> {
        match self.sees_guests().await? {
            None => Ok(Place::Hidden(format!(
                "a guest that these credentials may not see stands at {vmid}"
            ))),
            Some(missing) => Err(Error::rejected(
                Rejection::Denied(Some(missing.clone())),
                format!(
                    "{vmid} is taken by a guest that these credentials may not see; they lack {missing}"
                ),
            )),
        }
    }
}

/// Whose the guest at a place is.
fn standing(vmid: VmId, place: Place, identity: &Identity) -> Standing {
    match place {
        Place::Absent => Standing::Absent,
        Place::Other(text) | Place::Hidden(text) => Standing::Foreign(text),
        Place::At(guest) if is_unfinished(&guest.config) => Standing::Unfinished(guest),
        Place::At(guest) => match foreign(vmid, &guest.config, identity) {
            None => Standing::Ours(guest),
            Some(text) => Standing::Foreign(text),
        },
    }
}

/// Whether the guest is a clone (or a new guest) that is still being made.
fn is_unfinished(config: &QemuConfig) -> bool {
    matches!(config.lock(), Some("clone" | "create"))
}

/// Why a guest is not the one that is meant; `None` when it is.
fn foreign(vmid: VmId, config: &QemuConfig, identity: &Identity) -> Option<String> {
    let name = config.get("name").unwrap_or_default();
    let who = |why: &str| Some(format!("VM {vmid} ({name}) {why}"));
    if config.is_template() {
        return who("is a template");
    }
    if identity.unmarked {
        return match guest::is_it(config, identity.uuid.as_deref()) {
            true => None,
            false => who("is another guest (its SMBIOS UUID differs)"),
        };
    }
    let Some(mark) = guest::mark(config) else {
        return who("does not carry our mark");
    };
    let wanted = &identity.mark;
    if mark.installation != wanted.installation {
        return who("carries the mark of another installation");
    }
    if mark.instance != wanted.instance {
        return who("carries the mark of another instance");
    }
    match &identity.uuid {
        Some(_) if !guest::is_it(config, identity.uuid.as_deref()) => {
            who("carries our mark, but is another guest (its SMBIOS UUID differs)")
        }
        None if mark.attempt != wanted.attempt => who("carries the mark of another attempt"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::guest::tests::config;
    use model::random::SeededRandom;
    use model::time::ManualClock;
    use model::{AttemptId, InstallationId, InstanceId};

    fn mark(seed: u64) -> Mark {
        let (clock, random) = (ManualClock::default(), SeededRandom::new(seed));
        Mark {
            installation: InstallationId::generate(&clock, &random),
            instance: InstanceId::generate(&clock, &random),
            attempt: AttemptId::generate(&clock, &random),
        }
    }

    fn verdict(
        mark: &Mark,
        uuid: &str,
        identity: &Identity,
        more: &[(&str, &str)],
    ) -> Option<String> {
        let (description, smbios) = (format!("{mark}\n"), format!("uuid={uuid}"));
        let mut options = vec![("description", &*description), ("smbios1", &*smbios)];
        options.extend(more);
        foreign(VmId::MIN, &config(&options), identity)
    }

    #[test]
    fn ours_needs_vmid_uuid_installation_and_instance() {
        let (ours, other) = (mark(1), mark(2));
        let known = Identity { mark: ours, uuid: Some("ab".into()), unmarked: false };
        assert_eq!(verdict(&ours, "AB", &known, &[]), None);
        // A later attempt's row still owns the guest that has its UUID.
        let attempt = other.attempt;
        assert_eq!(verdict(&Mark { attempt, ..ours }, "ab", &known, &[]), None);
        for (mark, uuid) in [
            (ours, "cd"),
            (Mark { installation: other.installation, ..ours }, "ab"),
            (Mark { instance: other.instance, ..ours }, "ab"),
        ] {
            assert!(verdict(&mark, uuid, &known, &[]).is_some(), "{mark} {uuid}");
        }
        assert!(verdict(&ours, "ab", &known, &[("template", "1")]).is_some());
        assert!(foreign(VmId::MIN, &config(&[("smbios1", "uuid=ab")]), &known).is_some());
    }

    #[test]
    fn without_a_uuid_the_attempt_must_be_ours() {
        let (ours, other) = (mark(1), mark(2));
        let unknown = Identity { mark: ours, uuid: None, unmarked: false };
        assert_eq!(verdict(&ours, "anything", &unknown, &[]), None);
        let attempt = other.attempt;
        assert!(verdict(&Mark { attempt, ..ours }, "x", &unknown, &[]).is_some());
    }
}
