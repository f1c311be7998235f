//! Puts our mark on a guest that was there, and takes it off one that stays.
//!
//! The mark is not there yet, or not any more, so that the SMBIOS UUID alone
//! tells the guest from another at its vmid. What people have written into the
//! description stays.

use std::collections::BTreeSet;

use async_trait::async_trait;
use model::Mark;
use provider::{ActionContext, Applied, Error, Probe, Rejection, Undone};
use pve::qemu::{ConfigChange, QemuConfig};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::configure::TAG;
use super::{Carry, gone, landed};
use crate::cluster::Cluster;
use crate::guest::{self, Guest, without_marks};
use crate::native::GuestRef;

/// The name of the action that puts the mark on.
pub(crate) const MARK: &str = "mark";
/// The name of the action that takes it off.
pub(crate) const UNMARK: &str = "unmark";

/// How the SMBIOS serial number begins that tells a guest where its seed is.
const SEED: &str = "ds=nocloud-net;s=";

/// The payload of the action that puts the mark on.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Adopt {
    /// A mark that it may carry.
    pub replaces: Option<Mark>,
    /// Whether it carries our tag already.
    pub tagged: bool,
}

/// The payload of the action that takes it off.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Release {}

/// What has to be sent so that the description begins with this mark (or with
/// none) and our tag is there (or is not).
fn changes(config: &QemuConfig, mark: Option<&Mark>, tag: bool) -> ConfigChange {
    let mut change = ConfigChange::new();
    let has = config.description().unwrap_or_default();
    let text = without_marks(has);
    let wanted = mark.map_or(text.clone(), |mark| format!("{mark}\n{text}").trim().to_owned());
    if guest::mark(config).as_ref() != mark {
        change = match wanted.is_empty() {
            true => change.delete("description"),
            false => change.set("description", wanted),
        };
    }
    let tags = config.tags();
    let mut wanted: BTreeSet<&str> = tags.clone();
    if tag {
        wanted.insert(TAG)
    } else {
        wanted.remove(TAG)
    };
    if wanted == tags {
        return change;
    }
    match wanted.is_empty() {
        true => change.delete("tags"),
        false => change.set("tags", wanted.into_iter().collect::<Vec<_>>().join(";")),
    }
}

/// Takes the address of our seed out of the SMBIOS strings: it answers nobody
/// any more.
fn without_seed(config: &QemuConfig, change: ConfigChange) -> ConfigChange {
    let Some(mut smbios) = config.smbios1() else { return change };
    if !smbios.text("serial").is_some_and(|serial| serial.starts_with(SEED)) {
        return change;
    }
    smbios.properties_mut().remove("serial");
    change.set("smbios1", smbios.to_string())
}

impl Adopt {
    /// The guest, if it is to be marked or carries the mark already.
    async fn guest(&self, cluster: &Cluster, context: &ActionContext) -> Result<Guest, Error> {
        let reference = GuestRef::read(&context.native)?;
        let found = cluster.by_uuid(&reference).await?.ok_or_else(|| gone(reference.vmid))?;
        match guest::mark(&found.config) {
            None => Ok(found),
            Some(mark) if mark == context.mark || Some(mark) == self.replaces => Ok(found),
            Some(mark) => Err(Error::rejected(
                Rejection::Invalid,
                format!("VM {} carries another mark: {mark}", reference.vmid),
            )),
        }
    }
}

#[async_trait]
impl Carry for Adopt {
    async fn apply(&self, cluster: &Cluster, context: &ActionContext) -> Result<Applied, Error> {
        let guest = self.guest(cluster, context).await?;
        let changes = changes(&guest.config, Some(&context.mark), true);
        if !changes.is_empty() {
            cluster.configure(&guest, changes).await?;
        }
        Ok(Applied::Done(json!({})))
    }

    async fn probe(&self, cluster: &Cluster, context: &ActionContext) -> Result<Probe, Error> {
        let guest = self.guest(cluster, context).await?;
        Ok(match changes(&guest.config, Some(&context.mark), true).is_empty() {
            true => Probe::Done(json!({})),
            false => Probe::NotDone,
        })
    }

    async fn undo(&self, cluster: &Cluster, context: &ActionContext) -> Result<Undone, Error> {
        let reference = GuestRef::read(&context.native)?;
        let Some(found) = cluster.by_uuid(&reference).await? else {
            return Ok(Undone::Done);
        };
        if guest::mark(&found.config) == Some(context.mark) {
            let changes = changes(&found.config, self.replaces.as_ref(), self.tagged);
            cluster.configure(&found, changes).await?;
            return Ok(Undone::InProgress);
        }
        Ok(landed(cluster, context))
    }
}

impl Release {
    /// The guest with what is to be sent; `None` when nothing of ours is on it.
    async fn due(
        cluster: &Cluster,
        context: &ActionContext,
    ) -> Result<Option<(Guest, ConfigChange)>, Error> {
        let reference = GuestRef::read(&context.native)?;
        let Some(found) = cluster.by_uuid(&reference).await? else { return Ok(None) };
        let mark = guest::mark(&found.config);
        let ours = |mark: Mark| {
            mark.installation == context.mark.installation && mark.instance == context.mark.instance
        };
        if mark.is_some_and(|mark| !ours(mark)) {
            return Ok(None);
        }
        let change = without_seed(&found.config, changes(&found.config, None, false));
        Ok((!change.is_empty()).then_some((found, change)))
    }
}

#[async_trait]
impl Carry for Release {
    async fn apply(&self, cluster: &Cluster, context: &ActionContext) -> Result<Applied, Error> {
        if let Some((guest, change)) = Self::due(cluster, context).await? {
            cluster.configure(&guest, change).await?;
        }
        Ok(Applied::Done(json!({})))
    }

    async fn probe(&self, cluster: &Cluster, context: &ActionContext) -> Result<Probe, Error> {
        Ok(match Self::due(cluster, context).await? {
            None => Probe::Done(json!({})),
            Some(_) => Probe::NotDone,
        })
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

    fn mark() -> Mark {
        let (clock, random) = (ManualClock::default(), SeededRandom::new(1));
        Mark {
            installation: InstallationId::generate(&clock, &random),
            instance: InstanceId::generate(&clock, &random),
            attempt: AttemptId::generate(&clock, &random),
        }
    }

    fn sent(change: &ConfigChange) -> pve::Params {
        pve::Params::from(change)
    }

    #[test]
    fn the_users_description_and_tags_stay() {
        let plain = config(&[("description", "db of the\nlibrary\n"), ("tags", "db")]);
        let on = sent(&changes(&plain, Some(&mark()), true));
        let marked = format!("{}\ndb of the\nlibrary", mark());
        assert_eq!(on.get("description"), Some(marked.as_str()));
        assert_eq!(on.get("tags"), Some("db;innkeeper"));
        let config = config(&[("description", marked.as_str()), ("tags", "db;innkeeper")]);
        assert!(changes(&config, Some(&mark()), true).is_empty());
        let off = sent(&changes(&config, None, false));
        assert_eq!(off.get("description"), Some("db of the\nlibrary"));
        assert_eq!(off.get("tags"), Some("db"));
    }

    #[test]
    fn what_had_nothing_has_nothing_again() {
        let marked = format!("{}\n", mark());
        let config = config(&[("description", marked.as_str()), ("tags", "innkeeper")]);
        assert_eq!(sent(&changes(&config, None, false)).get("delete"), Some("description,tags"));
    }

    #[test]
    fn a_seed_that_answers_nobody_is_not_asked_for_any_more() {
        let mut smbios: pve::property::Smbios1 = "uuid=ab,manufacturer=ACME".parse().unwrap();
        smbios.set_text("serial", "ds=nocloud-net;s=http://10.0.0.1/t/").unwrap();
        let text = smbios.to_string();
        let change = without_seed(&config(&[("smbios1", &text)]), ConfigChange::new());
        let smbios: pve::property::Smbios1 = sent(&change).get("smbios1").unwrap().parse().unwrap();
        assert_eq!((smbios.uuid(), smbios.text("serial")), (Some("ab"), None));
        assert_eq!(smbios.text("manufacturer").as_deref(), Some("ACME"));
        let own = without_seed(&config(&[("smbios1", "uuid=ab,serial=X1")]), ConfigChange::new());
        assert!(own.is_empty());
    }
}
