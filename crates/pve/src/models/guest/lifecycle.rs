//! Clones, templates, moves to other nodes, and the end.

use std::collections::BTreeMap;

use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::{Guest, GuestKind};
use crate::models::attributes::Read;
use crate::models::{Attributes, Operation};
use crate::{Error, Params, VmId, WaitPolicy, lenient};

/// What a clone is like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloneOptions {
    /// Its name, a DNS name.
    pub name: Option<String>,
    /// Its notes; those of the source otherwise.
    pub description: Option<String>,
    /// The node it is for, if another one: needs shared storage.
    pub target: Option<String>,
    /// Copies of all disks instead of linked ones. Unset: linked for a
    /// template, copies otherwise.
    pub full: Option<bool>,
    /// Where the copies go; refused for a linked clone.
    pub storage: Option<String>,
    /// The copies' format; virtual machines only, refused for a linked clone.
    pub format: Option<String>,
    /// The pool it goes into.
    pub pool: Option<String>,
    /// The snapshot that is cloned.
    pub snapshot: Option<String>,
    /// The limit in KiB/s.
    pub bwlimit: Option<u64>,
}

/// How a guest is moved to another node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MigrateOptions {
    /// While it runs; virtual machines only.
    pub online: bool,
    /// Shut it down, move it, start it; containers only.
    pub restart: bool,
    /// Disks on local storage, too; virtual machines only.
    pub with_local_disks: bool,
    /// Where those disks go, by one name or by a map.
    pub target_storage: Option<String>,
    /// The limit in KiB/s.
    pub bwlimit: Option<u64>,
}

/// What goes with a guest that is destroyed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DestroyOptions {
    /// Take it out of backup jobs, replication and high availability.
    pub purge: bool,
    /// Delete volumes that carry its id but are not in its configuration.
    /// Unset: not, since release 7.
    pub destroy_unreferenced_disks: Option<bool>,
    /// Stop it hard before; a running one is refused otherwise.
    pub stop: bool,
    /// Despite a lock; only `root@pam` with a ticket may. Virtual machines
    /// only.
    pub skiplock: bool,
}

/// What stands in the way of a move to another node. Only virtual machines
/// have this call in all releases.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct MigrationCheck {
    /// Does it run?
    #[serde(default, deserialize_with = "lenient::bool")]
    pub running: bool,
    /// Nodes that it can go to when it is stopped, where they are listed.
    #[serde(default, deserialize_with = "lenient::strings")]
    pub allowed_nodes: Vec<String>,
    /// Nodes that it cannot go to when it is stopped, with what is missing
    /// there.
    #[serde(default, deserialize_with = "reasons")]
    pub not_allowed_nodes: BTreeMap<String, Value>,
    /// Disks on local storage: as Proxmox describes them.
    #[serde(default, deserialize_with = "lenient::list")]
    pub local_disks: Vec<LocalDisk>,
    /// Other things of this node that it uses.
    #[serde(default, deserialize_with = "lenient::strings")]
    pub local_resources: Vec<String>,
}

/// A disk on a storage that only one node has.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct LocalDisk {
    /// The volume id.
    #[serde(default, deserialize_with = "lenient::string")]
    pub volid: String,
    /// Bytes.
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    pub size: Option<u64>,
}

/// An empty list where there is no map: Perl does not tell them apart.
fn reasons<'de, D: serde::Deserializer<'de>>(d: D) -> Result<BTreeMap<String, Value>, D::Error> {
    Ok(match Value::deserialize(d)? {
        Value::Object(map) => map.into_iter().collect(),
        _ => BTreeMap::new(),
    })
}

impl MigrationCheck {
    /// May it go to this node as it is now? `None` when the answer does not
    /// say: running ones are checked when they move.
    pub fn allows(&self, node: &str) -> Option<bool> {
        if self.not_allowed_nodes.contains_key(node) {
            return Some(false);
        }
        self.allowed_nodes.iter().any(|name| name == node).then_some(true)
    }
}

impl<K: GuestKind> Guest<K> {
    fn is_qemu() -> bool {
        K::WORD == "qemu"
    }

    /// Makes a guest with this id and these disks. The task is called after the
    /// **source**. Somebody else may take the id in the meantime, which shows in
    /// the answer or only in the task: [`Error::already_exists`] either way.
    pub fn clone_to(&self, newid: VmId, options: &CloneOptions) -> Operation<'static, Self> {
        let params = Params::new()
            .set("newid", newid)
            .opt(K::NAME, options.name.as_ref())
            .opt("description", options.description.as_ref())
            .opt("target", options.target.as_ref())
            .opt("full", options.full)
            .opt("storage", options.storage.as_ref())
            .opt("format", options.format.as_ref())
            .opt("pool", options.pool.as_ref())
            .opt("snapname", options.snapshot.as_ref())
            .opt("bwlimit", options.bwlimit);
        let resource = self.resource().sub("clone");
        let begin = async move { resource.post(params).await?.task() };
        let client = self.client.clone();
        let node = options.target.clone().unwrap_or_else(|| self.node.clone());
        Operation::new(&self.client, begin, move || async move {
            Self::load(&client, &node, newid).await
        })
    }

    /// Makes it a template, for ever. A task for virtual machines since release
    /// 8; for containers the answer comes before the work is done. Refused while
    /// it runs or has snapshots.
    pub fn create_template(&mut self) -> Operation<'_> {
        self.operation(Method::POST, "template", ())
    }

    /// What stands in the way of a move to another node.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request); a release that has no
    /// such call for containers says
    /// [`Kind::NotImplemented`](crate::error::Kind::NotImplemented).
    pub async fn check_migration(
        &self,
        target: Option<&str>,
    ) -> Result<(MigrationCheck, Attributes), Error> {
        let params = Params::new().opt("target", target);
        let read: Read<MigrationCheck> = self.resource().sub("migrate").get(params).await?;
        Ok((read.typed, read.attributes))
    }

    /// Moves it to another node.
    pub fn migrate(&mut self, target: &str, options: &MigrateOptions) -> Operation<'_> {
        let storage = if Self::is_qemu() { "targetstorage" } else { "target-storage" };
        let params = Params::new()
            .set("target", target)
            .opt("online", options.online.then_some(true))
            .opt("restart", options.restart.then_some(true))
            .opt("with-local-disks", options.with_local_disks.then_some(true))
            .opt(storage, options.target_storage.as_ref())
            .opt("bwlimit", options.bwlimit);
        let resource = self.resource().sub("migrate");
        let begin = async move { resource.post(params).await?.task() };
        let (client, target) = (self.client.clone(), target.to_owned());
        Operation::new(&client, begin, move || async move {
            self.node = target;
            self.reload().await
        })
    }

    /// Destroys it with the volumes of its configuration. One that runs is
    /// refused unless `options` stop it; a template with linked clones fails in
    /// the task ([`Kind::InUse`](crate::error::Kind::InUse)).
    pub fn destroy(&self, options: DestroyOptions) -> Operation<'static> {
        // In the query: Proxmox refuses a body of a DELETE.
        let params = Params::new()
            .opt("purge", options.purge.then_some(true))
            .opt("destroy-unreferenced-disks", options.destroy_unreferenced_disks)
            .opt("skiplock", options.skiplock.then_some(true));
        let (mut guest, resource) = (self.clone(), self.resource());
        let begin = async move {
            if options.stop {
                guest.stop_if_running().await?;
            }
            resource.delete(params).await?.task()
        };
        Operation::new(&self.client, begin, || async { Ok(()) })
    }

    async fn stop_if_running(&mut self) -> Result<(), Error> {
        self.reload().await?;
        if self.is_running() {
            let minute = std::time::Duration::from_secs(60);
            let policy = WaitPolicy { deadline: Some(minute), ..WaitPolicy::default() };
            self.stop().policy(policy).await?;
        }
        Ok(())
    }
}
