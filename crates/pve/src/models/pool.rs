//! Pools of guests and storages.

use http::Method;

use crate::lenient::List;
use crate::pools::{Pool as Entry, PoolChange, PoolMember};
use crate::resource::Resource;
use crate::{Client, Error, Params, Reply, VmId};

/// A pool. Since release 8.1 pools can stand in pools: `research/lab`.
///
/// A nested pool cannot be named in a path, so the calls for it have another
/// form, which older releases do not know. Each pool gets the form that its
/// name needs.
#[derive(Clone, Debug)]
pub struct Pool {
    client: Client,
    id: String,
    entry: Entry,
}

fn pools(client: &Client) -> Resource {
    Resource::new(client, "pools")
}

impl Pool {
    fn of(client: &Client, id: &str, entry: Entry) -> Self {
        Self { client: client.clone(), id: id.to_owned(), entry }
    }

    /// The pools, without their members.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn all(client: &Client) -> Result<Vec<Self>, Error> {
        let List(rows) = pools(client).get::<List<Entry>>(()).await?;
        let model = |entry: Entry| {
            let id = entry.poolid.clone();
            Self::of(client, &id, entry)
        };
        Ok(rows.into_iter().map(model).collect())
    }

    async fn load(client: &Client, id: &str) -> Result<Self, Error> {
        let reply = call(client, id, Method::GET, Params::new()).await?;
        let List(rows): List<Entry> = reply.data()?;
        let entry = rows.into_iter().next().unwrap_or_default();
        Ok(Self::of(client, id, entry))
    }

    /// A pool with its members; `None` when there is none.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn get(client: &Client, id: &str) -> Result<Option<Self>, Error> {
        match Self::load(client, id).await {
            Ok(pool) => Ok(Some(pool)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes an empty pool. The pools around a nested one must be there.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::already_exists`].
    pub async fn create(client: &Client, id: &str, comment: Option<&str>) -> Result<Self, Error> {
        let params = Params::new().set("poolid", id).opt("comment", comment);
        pools(client).post(params).await?;
        Self::load(client, id).await
    }

    /// Its name, with those of the pools around it: `research/lab`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The pool that it stands in.
    pub fn parent(&self) -> Option<&str> {
        self.id.rsplit_once('/').map(|(parent, _)| parent)
    }

    /// Its comment.
    pub fn comment(&self) -> Option<&str> {
        self.entry.comment.as_deref()
    }

    /// What is in it, as last read; empty for pools from [`all`](Self::all).
    pub fn members(&self) -> &[PoolMember] {
        &self.entry.members
    }

    /// The guests in it, as last read.
    pub fn guests(&self) -> impl Iterator<Item = VmId> {
        self.entry.members.iter().filter_map(|member| member.vmid)
    }

    /// Reads it again.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_not_found`].
    pub async fn reload(&mut self) -> Result<(), Error> {
        *self = Self::load(&self.client, &self.id).await?;
        Ok(())
    }

    /// Changes it.
    ///
    /// # Errors
    /// As [`Client::request`]; a guest that is in it already is an error.
    pub async fn update(&mut self, change: &PoolChange) -> Result<(), Error> {
        call(&self.client, &self.id, Method::PUT, change.into()).await?;
        self.reload().await
    }

    /// Puts guests and storages into it.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub async fn add(&mut self, vms: &[VmId], storages: &[&str]) -> Result<(), Error> {
        self.update(&members(vms, storages)).await
    }

    /// Takes guests and storages out of it.
    ///
    /// # Errors
    /// As [`Client::request`]; one that is not in it is an error.
    pub async fn remove(&mut self, vms: &[VmId], storages: &[&str]) -> Result<(), Error> {
        self.update(&PoolChange { remove: true, ..members(vms, storages) }).await
    }

    /// Deletes it. It must be empty.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn destroy(&self) -> Result<(), Error> {
        call(&self.client, &self.id, Method::DELETE, Params::new()).await.map(drop)
    }
}

fn members(vms: &[VmId], storages: &[&str]) -> PoolChange {
    let storages = storages.iter().map(|name| (*name).to_owned()).collect();
    PoolChange { vms: vms.to_vec(), storages, ..PoolChange::default() }
}

/// A call about one pool, in the form that its name needs.
async fn call(client: &Client, id: &str, method: Method, params: Params) -> Result<Reply, Error> {
    if id.contains('/') {
        return pools(client).send(method, Params::new().set("poolid", id).and(params)).await;
    }
    pools(client).join(id).send(method, params).await
}
