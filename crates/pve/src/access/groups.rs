//! Groups and roles.

use std::collections::{BTreeMap, BTreeSet};

use super::Access;
use crate::lenient::Words;
use crate::requests::record;
use crate::resource::{Resource, handle};
use crate::{Error, Params};

/// `/access/groups/GROUP`.
#[derive(Clone, Debug)]
pub struct GroupHandle(Resource);

/// `/access/roles/ROLE`.
#[derive(Clone, Debug)]
pub struct RoleHandle(Resource);
handle!(GroupHandle, RoleHandle);

record! {
    /// A group of users.
    Group {
        /// Its name; absent when one group was asked for.
        groupid: String,
        /// A comment.
        comment: Option<String>,
        /// Its users; in lists.
        users: Words,
        /// Its users; when one group was asked for.
        members: Words,
    }
}

record! {
    /// A set of privileges.
    Role {
        /// Its name.
        roleid: String,
        /// Its privileges.
        privs: Words,
        /// Is it built in? A number, a text or empty, depending on the release.
        special: bool,
    }
}

impl Access {
    /// The groups.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn groups(&self) -> Result<Vec<Group>, Error> {
        self.0.sub("groups").list(()).await
    }

    /// Makes a group.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request);
    /// [`Error::already_exists`].
    pub async fn create_group(&self, name: &str, comment: Option<&str>) -> Result<(), Error> {
        let params = Params::new().set("groupid", name).opt("comment", comment);
        self.0.sub("groups").post(params).await.map(drop)
    }

    /// A group.
    pub fn group(&self, name: &str) -> GroupHandle {
        GroupHandle(self.0.sub("groups").join(name))
    }

    /// The roles.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn roles(&self) -> Result<Vec<Role>, Error> {
        self.0.sub("roles").list(()).await
    }

    /// Makes a role. Names that begin with `PVE` are refused. Releases differ
    /// in their privileges (`VM.Monitor` until 8, `VM.GuestAgent.*` since 9).
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request);
    /// [`Error::already_exists`].
    pub async fn create_role(&self, name: &str, privileges: &[&str]) -> Result<(), Error> {
        let params = Params::new().set("roleid", name).set("privs", privileges.join(","));
        self.0.sub("roles").post(params).await.map(drop)
    }

    /// A role.
    pub fn role(&self, name: &str) -> RoleHandle {
        RoleHandle(self.0.sub("roles").join(name))
    }
}

impl GroupHandle {
    /// The group with its members.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request);
    /// [`Error::is_not_found`].
    pub async fn get(&self) -> Result<Group, Error> {
        self.0.get(()).await
    }

    /// Changes its comment.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn update(&self, comment: &str) -> Result<(), Error> {
        self.0.put(Params::new().set("comment", comment)).await.map(drop)
    }

    /// Deletes it; its users stay.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn delete(&self) -> Result<(), Error> {
        self.0.delete(()).await.map(drop)
    }
}

impl RoleHandle {
    /// Its privileges.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request);
    /// [`Error::is_not_found`].
    pub async fn get(&self) -> Result<BTreeSet<String>, Error> {
        let privileges: Option<BTreeMap<String, serde_json::Value>> = self.0.get(()).await?;
        Ok(privileges.unwrap_or_default().into_keys().collect())
    }

    /// Changes its privileges: `append` adds, otherwise these are all.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn update(&self, privileges: &[&str], append: bool) -> Result<(), Error> {
        let params =
            Params::new().set("privs", privileges.join(",")).opt("append", append.then_some(true));
        self.0.put(params).await.map(drop)
    }

    /// Deletes it; built-in ones are refused.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn delete(&self) -> Result<(), Error> {
        self.0.delete(()).await.map(drop)
    }
}
