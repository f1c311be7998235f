//! Renames, describes, tags and protects the guest: one call that sends what
//! differs. The mark and our tag stay.

use std::collections::BTreeSet;

use async_trait::async_trait;
use model::{EditIntent, Mark};
use provider::{ActionContext, Applied, Error, Probe};
use pve::qemu::{ConfigChange, QemuConfig};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::configure::TAG;
use super::{Carry, ours};
use crate::cluster::Cluster;
use crate::guest::{is_protected, without_marks};

/// The action's name.
pub(crate) const NAME: &str = "edit";

/// The action's payload.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Edit {
    /// What is to be.
    pub edit: EditIntent,
}

impl Edit {
    /// What has to be sent so that the configuration becomes as wanted.
    fn changes(&self, config: &QemuConfig, mark: &Mark) -> ConfigChange {
        let (edit, mut change) = (&self.edit, ConfigChange::new());
        if let Some(name) = &edit.name
            && config.name() != Some(name)
        {
            change = change.set("name", name);
        }
        let description = config.description().unwrap_or_default();
        if let Some(text) = edit.description.as_deref().map(str::trim)
            && without_marks(description) != text
        {
            // The mark as it stands: its attempt may be another.
            let mark = Mark::parse(description).unwrap_or(*mark);
            change = change.set("description", format!("{mark}\n{text}").trim());
        }
        if let Some(tags) = &edit.tags {
            let wanted: BTreeSet<&str> = tags.iter().map(String::as_str).chain([TAG]).collect();
            if config.tags() != wanted {
                let wanted: Vec<&str> = wanted.into_iter().collect();
                change = change.set("tags", wanted.join(";"));
            }
        }
        match edit.protected {
            Some(true) if !is_protected(config) => change.set("protection", true),
            Some(false) if is_protected(config) => change.delete("protection"),
            _ => change,
        }
    }
}

#[async_trait]
impl Carry for Edit {
    async fn apply(&self, cluster: &Cluster, context: &ActionContext) -> Result<Applied, Error> {
        let guest = ours(cluster, context).await?;
        let changes = self.changes(&guest.config, &context.mark);
        if !changes.is_empty() {
            cluster.configure(&guest, changes).await?;
        }
        Ok(Applied::Done(json!({})))
    }

    async fn probe(&self, cluster: &Cluster, context: &ActionContext) -> Result<Probe, Error> {
        let guest = ours(cluster, context).await?;
        Ok(match self.changes(&guest.config, &context.mark).is_empty() {
            true => Probe::Done(json!({})),
            false => Probe::NotDone,
        })
    }
}

#[cfg(test)]
mod tests {
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

    fn sent(edit: EditIntent, options: &[(&str, &str)]) -> pve::Params {
        pve::Params::from(&Edit { edit }.changes(&config(options), &mark()))
    }

    #[test]
    fn the_mark_and_our_tag_stay() {
        let described = format!("{}\nold text\n", mark());
        let edit = EditIntent {
            description: Some("new\ntext".into()),
            tags: Some(["web".to_owned()].into()),
            ..EditIntent::default()
        };
        let sent = sent(edit, &[("description", &described), ("tags", "innkeeper;db")]);
        assert_eq!(sent.get("description"), Some(format!("{}\nnew\ntext", mark()).as_str()));
        assert_eq!(sent.get("tags"), Some("innkeeper;web"));
        assert_eq!(sent.names().count(), 2);
    }

    #[test]
    fn what_is_as_wanted_is_not_sent() {
        let described = format!("{}\ntext\n", mark());
        let options = [
            ("description", described.as_str()),
            ("tags", "web,innkeeper"),
            ("name", "a"),
            ("protection", "1"),
        ];
        let edit = EditIntent {
            name: Some("a".into()),
            description: Some("text".into()),
            tags: Some(["web".to_owned()].into()),
            protected: Some(true),
            ..EditIntent::default()
        };
        assert_eq!(sent(edit, &options).names().count(), 0);
        let open = EditIntent { protected: Some(false), ..EditIntent::default() };
        assert_eq!(sent(open, &options).get("delete"), Some("protection"));
    }
}
