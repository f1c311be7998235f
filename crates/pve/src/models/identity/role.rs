//! Roles: named sets of privileges.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::found;
use crate::lenient::{self, List};
use crate::resource::Resource;
use crate::{Client, Error, Params};

/// A role.
#[derive(Clone, Debug)]
pub struct Role {
    client: Client,
    id: String,
    privileges: BTreeSet<String>,
    special: bool,
}

#[derive(Deserialize)]
struct Entry {
    roleid: String,
    #[serde(default, deserialize_with = "super::user::words")]
    privs: Vec<String>,
    #[serde(default, deserialize_with = "lenient::bool")]
    special: bool,
}

fn roles(client: &Client) -> Resource {
    Resource::new(client, "access/roles")
}

impl Role {
    /// The roles, Proxmox's own included.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn all(client: &Client) -> Result<Vec<Self>, Error> {
        let List(rows) = roles(client).get::<List<Entry>>(()).await?;
        let model = |entry: Entry| Self {
            client: client.clone(),
            id: entry.roleid,
            privileges: entry.privs.into_iter().collect(),
            special: entry.special,
        };
        Ok(rows.into_iter().map(model).collect())
    }

    async fn load(client: &Client, id: &str) -> Result<Self, Error> {
        // Name to 1. Whether it is one of Proxmox's own is not said here.
        let flags: BTreeMap<String, Value> = roles(client).join(id).get(()).await?;
        let privileges = flags.into_keys().collect();
        Ok(Self { client: client.clone(), id: id.to_owned(), privileges, special: false })
    }

    /// A role by name; `None` when there is none.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn get(client: &Client, id: &str) -> Result<Option<Self>, Error> {
        found(Self::load(client, id).await)
    }

    /// Makes a role. Names that begin with `PVE` are refused. Privileges differ
    /// between releases: `VM.Monitor` is gone in 9, `VM.GuestAgent.Audit` and
    /// its like came with it.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::already_exists`].
    pub async fn create(client: &Client, id: &str, privileges: &[&str]) -> Result<Self, Error> {
        let params = Params::new().set("roleid", id).set("privs", privileges.join(","));
        roles(client).post(params).await?;
        Self::load(client, id).await
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its privileges, as last read.
    pub fn privileges(&self) -> &BTreeSet<String> {
        &self.privileges
    }

    /// Is it one of Proxmox's own, which cannot be changed? Known only for
    /// roles from [`all`](Self::all).
    pub fn is_special(&self) -> bool {
        self.special
    }

    /// Reads its privileges again.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_not_found`].
    pub async fn reload(&mut self) -> Result<(), Error> {
        let special = self.special;
        *self = Self { special, ..Self::load(&self.client, &self.id).await? };
        Ok(())
    }

    async fn put(&mut self, privileges: &[&str], append: bool) -> Result<(), Error> {
        let params =
            Params::new().set("privs", privileges.join(",")).opt("append", append.then_some(true));
        roles(&self.client).join(&self.id).put(params).await?;
        self.reload().await
    }

    /// Gives it these privileges and no others.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_not_found`].
    pub async fn update(&mut self, privileges: &[&str]) -> Result<(), Error> {
        self.put(privileges, false).await
    }

    /// Gives it these privileges, too.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_not_found`].
    pub async fn append(&mut self, privileges: &[&str]) -> Result<(), Error> {
        self.put(privileges, true).await
    }

    /// Deletes it.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_not_found`].
    pub async fn destroy(&self) -> Result<(), Error> {
        roles(&self.client).join(&self.id).delete(()).await.map(drop)
    }
}
