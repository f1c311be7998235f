//! Resource pools: `/pools`.

use serde::Deserialize;

use crate::lenient::List;
use crate::resource::{Resource, handle};
use crate::upid::opt_vmid;
use crate::{Client, Error, Params, VmId, lenient};

/// `/pools`.
#[derive(Clone, Debug)]
pub struct Pools(Resource);
handle!(Pools);

/// A pool.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Pool {
    /// Its name; absent when one pool was asked for.
    #[serde(deserialize_with = "lenient::string")]
    pub poolid: String,
    /// A comment.
    #[serde(deserialize_with = "lenient::opt_string")]
    pub comment: Option<String>,
    /// What is in it; only when one pool was asked for.
    #[serde(deserialize_with = "lenient::list")]
    pub members: Vec<PoolMember>,
}

/// A guest or storage in a pool.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PoolMember {
    /// `qemu`, `lxc`, `storage`.
    #[serde(rename = "type", deserialize_with = "lenient::string")]
    pub kind: String,
    /// The guest's id.
    #[serde(deserialize_with = "opt_vmid")]
    pub vmid: Option<VmId>,
    /// The storage's name.
    #[serde(deserialize_with = "lenient::opt_string")]
    pub storage: Option<String>,
    /// The node.
    #[serde(deserialize_with = "lenient::opt_string")]
    pub node: Option<String>,
}

/// A change of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolChange {
    /// The new comment.
    pub comment: Option<String>,
    /// Guests to add, or to remove. An id without a guest is accepted.
    pub vms: Vec<VmId>,
    /// Storages to add, or to remove.
    pub storages: Vec<String>,
    /// Remove instead of add.
    pub remove: bool,
    /// Take guests out of the pool that they are in.
    pub allow_move: bool,
}

impl From<&PoolChange> for Params {
    fn from(change: &PoolChange) -> Self {
        let vms: Vec<String> = change.vms.iter().map(VmId::to_string).collect();
        let flag = |set: bool| set.then_some(true);
        Self::new()
            .opt("comment", change.comment.as_ref())
            .opt("vms", (!vms.is_empty()).then(|| vms.join(",")))
            .opt("storage", (!change.storages.is_empty()).then(|| change.storages.join(",")))
            .opt("delete", flag(change.remove))
            .opt("allow-move", flag(change.allow_move))
    }
}

impl Client {
    /// Resource pools.
    pub fn pools(&self) -> Pools {
        Pools(Resource::new(self, "pools"))
    }
}

/// Where a pool is addressed: by its path, or, for nested ones (`a/b`, since
/// release 8.1), by a parameter of the list.
fn addressed(pools: &Resource, name: &str) -> (Resource, Params) {
    match name.contains('/') {
        true => (pools.clone(), Params::new().set("poolid", name)),
        false => (pools.join(name), Params::new()),
    }
}

impl Pools {
    /// All pools, without their members.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn list(&self) -> Result<Vec<Pool>, Error> {
        let List(pools) = self.0.get(()).await?;
        Ok(pools)
    }

    /// One pool with its members.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_not_found`].
    pub async fn get(&self, name: &str) -> Result<Pool, Error> {
        let (at, params) = addressed(&self.0, name);
        // By parameter, the answer is a list of one.
        let mut pools: Vec<Pool> = at.list(params).await?;
        let mut pool = pools.pop().unwrap_or_default();
        if pool.poolid.is_empty() {
            name.clone_into(&mut pool.poolid);
        }
        Ok(pool)
    }

    /// Makes a pool.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::already_exists`].
    pub async fn create(&self, name: &str, comment: Option<&str>) -> Result<(), Error> {
        let params = Params::new().set("poolid", name).opt("comment", comment);
        self.0.post(params).await.map(drop)
    }

    /// Changes a pool.
    ///
    /// # Errors
    /// As [`Client::request`]; a guest that is in the pool already is an error.
    pub async fn update(&self, name: &str, change: &PoolChange) -> Result<(), Error> {
        let (at, params) = addressed(&self.0, name);
        at.put(params.and(change)).await.map(drop)
    }

    /// Deletes a pool, which must be empty.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn delete(&self, name: &str) -> Result<(), Error> {
        let (at, params) = addressed(&self.0, name);
        at.delete(params).await.map(drop)
    }
}
