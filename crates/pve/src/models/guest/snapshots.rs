//! Snapshots.

use super::{Guest, GuestKind, Lxc, Qemu};
use crate::models::{Operation, Snapshot};
use crate::{Error, Params};

impl<K: GuestKind> Guest<K> {
    /// Its snapshots; the last entry is the present state.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn snapshots(&self) -> Result<Vec<Snapshot>, Error> {
        Snapshot::all(self.resource()).await
    }

    /// A snapshot by name; `None` when there is none.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn snapshot(&self, name: &str) -> Result<Option<Snapshot>, Error> {
        let snapshots = self.snapshots().await?;
        Ok(snapshots.into_iter().find(|one| one.name() == name && !one.is_current()))
    }

    fn snap(&self, name: &str, params: Params) -> Operation<'static, Snapshot> {
        let guest = self.resource();
        let snapshots = guest.sub("snapshot");
        let params = Params::new().set("snapname", name).and(params);
        let begin = async move { snapshots.post(params).await?.task() };
        let name = name.to_owned();
        Operation::new(&self.client, begin, move || async move {
            let all = Snapshot::all(guest.clone()).await?;
            match all.into_iter().find(|one| one.name() == name) {
                Some(snapshot) => Ok(snapshot),
                // Somebody deleted it in the meantime: let the server say it.
                None => {
                    let config = guest.sub("snapshot").join(&name).sub("config");
                    Err(vanished(&config, config.get::<serde::de::IgnoredAny>(()).await.err()))
                }
            }
        })
    }
}

/// What the server says of a thing that is not in its list.
fn vanished(resource: &crate::resource::Resource, error: Option<Error>) -> Error {
    error.unwrap_or_else(|| Error::Malformed {
        call: crate::error::Call { method: http::Method::GET, path: resource.path.to_string() },
        reason: "in no list, but there".to_owned(),
    })
}

impl Guest<Qemu> {
    /// Makes a snapshot; `with_memory` saves the memory of a running machine.
    /// Disks that cannot have snapshots, and a name that is taken, show only in
    /// the task.
    pub fn create_snapshot(
        &self,
        name: &str,
        description: Option<&str>,
        with_memory: bool,
    ) -> Operation<'static, Snapshot> {
        let params = Params::new()
            .opt("description", description)
            .opt("vmstate", with_memory.then_some(true));
        self.snap(name, params)
    }
}

impl Guest<Lxc> {
    /// Makes a snapshot. Volumes that cannot have snapshots (all on directory
    /// storages), and a name that is taken, show only in the task.
    pub fn create_snapshot(
        &self,
        name: &str,
        description: Option<&str>,
    ) -> Operation<'static, Snapshot> {
        self.snap(name, Params::new().opt("description", description))
    }
}
