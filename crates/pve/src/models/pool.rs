//! Pools of guests and storages.

use std::collections::BTreeSet;

use crate::pools::{Pool as Entry, PoolChange, PoolMember};
use crate::{Client, Error, VmId};

/// A pool. Since release 8.1 pools can stand in pools: `research/lab`.
///
/// A nested pool cannot be named in a path, so the calls for it have another
/// form, which older releases do not know; each pool gets the form that its name
/// needs.
#[derive(Clone, Debug)]
pub struct Pool {
    client: Client,
    id: String,
    entry: Entry,
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
        let rows = client.pools().list().await?;
        let model = |entry: Entry| {
            let id = entry.poolid.clone();
            Self::of(client, &id, entry)
        };
        Ok(rows.into_iter().map(model).collect())
    }

    async fn load(client: &Client, id: &str) -> Result<Self, Error> {
        Ok(Self::of(client, id, client.pools().get(id).await?))
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
        client.pools().create(id, comment).await?;
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

    /// The storages in it, as last read. Each is a member once per node.
    pub fn storages(&self) -> BTreeSet<&str> {
        self.entry.members.iter().filter_map(|member| member.storage.as_deref()).collect()
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
        self.client.pools().update(&self.id, change).await?;
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
        self.client.pools().delete(&self.id).await
    }
}

fn members(vms: &[VmId], storages: &[&str]) -> PoolChange {
    let storages = storages.iter().map(|name| (*name).to_owned()).collect();
    PoolChange { vms: vms.to_vec(), storages, ..PoolChange::default() }
}
