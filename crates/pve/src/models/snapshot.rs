//! Snapshots of guests.

use http::Method;
use serde::Deserialize;

use super::{Attributes, Operation};
use crate::lenient::{self, List};
use crate::models::attributes::Read;
use crate::qemu::QemuConfig;
use crate::resource::Resource;
use crate::{Error, Params};

/// The name of the entry for the present state.
const CURRENT: &str = "current";

/// A snapshot of a guest, or the present state, which is listed last as
/// `current`.
#[derive(Clone, Debug)]
pub struct Snapshot {
    guest: Resource,
    entry: Entry,
    attributes: Attributes,
}

#[derive(Clone, Debug, Deserialize)]
struct Entry {
    name: String,
    #[serde(default, deserialize_with = "lenient::opt_string")]
    description: Option<String>,
    #[serde(default, deserialize_with = "lenient::opt_string")]
    parent: Option<String>,
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    snaptime: Option<u64>,
    #[serde(default, deserialize_with = "lenient::bool")]
    vmstate: bool,
}

/// A snapshot with those that were made after it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SnapshotTree {
    /// The snapshot, or the present state.
    pub snapshot: Snapshot,
    /// What came after it, in the order of the list.
    pub children: Vec<SnapshotTree>,
}

impl Snapshot {
    pub(super) async fn all(guest: Resource) -> Result<Vec<Self>, Error> {
        let List(rows) = guest.sub("snapshot").get::<List<Read<Entry>>>(()).await?;
        let model = |row: Read<Entry>| Self {
            guest: guest.clone(),
            entry: row.typed,
            attributes: row.attributes,
        };
        Ok(rows.into_iter().map(model).collect())
    }

    /// Its name: begins with a letter, 2 to 40 characters.
    pub fn name(&self) -> &str {
        &self.entry.name
    }

    /// Its notes, without a final newline.
    pub fn description(&self) -> Option<&str> {
        self.entry.description.as_deref().map(str::trim_end)
    }

    /// The snapshot before it.
    pub fn parent(&self) -> Option<&str> {
        self.entry.parent.as_deref().filter(|name| !name.is_empty())
    }

    /// When it was made, in seconds since the epoch.
    pub fn time(&self) -> Option<u64> {
        self.entry.snaptime
    }

    /// Does it hold the memory?
    pub fn has_memory(&self) -> bool {
        self.entry.vmstate
    }

    /// Is it the entry for the present state? That one cannot be changed.
    pub fn is_current(&self) -> bool {
        self.entry.name == CURRENT
    }

    /// Everything that the list says about it.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    fn resource(&self) -> Resource {
        self.guest.sub("snapshot").join(self.name())
    }

    /// The guest's configuration at that time.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn config(&self) -> Result<QemuConfig, Error> {
        self.resource().sub("config").get(()).await
    }

    /// Changes its notes.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn update(&mut self, description: &str) -> Result<(), Error> {
        let params = Params::new().set("description", description);
        self.resource().sub("config").put(params).await?;
        self.reload().await
    }

    /// Reads its line of the list again.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request);
    /// [`Missing::Snapshot`](crate::error::Missing::Snapshot).
    pub async fn reload(&mut self) -> Result<(), Error> {
        let snapshots = Self::all(self.guest.clone()).await?;
        match snapshots.into_iter().find(|snapshot| snapshot.name() == self.name()) {
            Some(snapshot) => *self = snapshot,
            // Let the server say it.
            None => drop(self.config().await?),
        }
        Ok(())
    }

    /// Goes back to it: configuration and disks. `start` starts the guest
    /// afterwards. `reload` the guest when it is done.
    pub fn rollback(&self, start: bool) -> Operation<'static> {
        self.call(Method::POST, "rollback", Params::new().opt("start", start.then_some(true)))
    }

    /// Deletes it. `force` drops it from the configuration even when a disk's
    /// snapshot cannot be deleted.
    pub fn destroy(&self, force: bool) -> Operation<'static> {
        self.call(Method::DELETE, "", Params::new().opt("force", force.then_some(true)))
    }

    fn call(&self, method: Method, tail: &str, params: Params) -> Operation<'static> {
        let resource = match tail {
            "" => self.resource(),
            tail => self.resource().sub(tail),
        };
        let begin = async move { resource.send(method, params).await?.task() };
        Operation::new(&self.guest.client, begin, || async { Ok(()) })
    }

    /// The snapshots of a list as trees: those without a parent in it, each
    /// with what came after it. The present state is in them where it stands.
    pub fn trees(snapshots: Vec<Self>) -> Vec<SnapshotTree> {
        let names: Vec<String> = snapshots.iter().map(|one| one.name().to_owned()).collect();
        let (mut roots, mut rest) = (Vec::new(), Vec::new());
        for snapshot in snapshots {
            let known = snapshot.parent().is_some_and(|parent| {
                parent != snapshot.name() && names.iter().any(|name| name == parent)
            });
            if known { rest.push(snapshot) } else { roots.push(snapshot) }
        }
        roots.into_iter().map(|root| grow(root, &mut rest)).collect()
    }
}

/// Takes the descendants of `snapshot` out of `rest`. Each is taken once, so a
/// list whose parents run in a circle ends, too.
fn grow(snapshot: Snapshot, rest: &mut Vec<Snapshot>) -> SnapshotTree {
    let mine = |one: &mut Snapshot| one.parent() == Some(snapshot.name());
    let children: Vec<Snapshot> = rest.extract_if(.., mine).collect();
    let children = children.into_iter().map(|child| grow(child, rest)).collect();
    SnapshotTree { snapshot, children }
}
