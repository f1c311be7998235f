//! Version, users and permissions: `/version`, `/access`.

mod acl;
mod domains;
mod groups;
mod tfa;
mod tokens;
mod users;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use acl::{AclEntry, AclRequest};
pub use domains::{Domain, DomainHandle, DomainRequest, SyncRequest};
pub use groups::{Group, GroupHandle, Role, RoleHandle};
pub use tfa::{NewTfa, TfaEntry, TfaRequest, UserTfa};
pub use tokens::{NewToken, Token, TokenHandle, TokenRequest};
pub use users::{CreateUserRequest, UpdateUserRequest, User, UserHandle};

use crate::resource::{Resource, handle};
use crate::{Client, Error, Params, lenient};

/// The server's release.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Version {
    /// `8.4.21`.
    pub version: String,
    /// `8.4`.
    #[serde(default, deserialize_with = "lenient::string")]
    pub release: String,
    /// The commit it was built from.
    #[serde(default, deserialize_with = "lenient::string")]
    pub repoid: String,
}

impl Version {
    /// Major and minor number.
    pub fn numbers(&self) -> Option<(u32, u32)> {
        let mut parts = self.version.split(['.', '-', '~']);
        let major = parts.next()?.parse().ok()?;
        Some((major, parts.next().and_then(|part| part.parse().ok()).unwrap_or(0)))
    }
}

/// Effective privileges by ACL path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions(pub BTreeMap<String, BTreeMap<String, bool>>);

impl Permissions {
    /// Is the privilege held at exactly this path of the answer? The value in
    /// the answer says whether it is handed down, which does not matter here.
    pub fn has(&self, path: &str, privilege: &str) -> bool {
        self.0.get(path).is_some_and(|privileges| privileges.contains_key(privilege))
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Flag(#[serde(deserialize_with = "lenient::bool")] bool);
        let map = Option::<BTreeMap<String, BTreeMap<String, Flag>>>::deserialize(d)?;
        let plain = |(path, flags): (String, BTreeMap<String, Flag>)| {
            let flags = flags.into_iter().map(|(name, flag)| (name, flag.0));
            (path, flags.collect())
        };
        Ok(Self(map.unwrap_or_default().into_iter().map(plain).collect()))
    }
}

/// `/access`.
#[derive(Clone, Debug)]
pub struct Access(Resource);
handle!(Access);

impl Client {
    /// The server's release.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn version(&self) -> Result<Version, Error> {
        Resource::new(self, "version").get(()).await
    }

    /// Users, roles, permissions.
    pub fn access(&self) -> Access {
        Access(Resource::new(self, "access"))
    }
}

impl Access {
    /// What the caller may do. Without `path`, every path that an ACL or pool
    /// mentions; with it, the effective privileges at that path.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn permissions(&self, path: Option<&str>) -> Result<Permissions, Error> {
        self.permissions_of(None, path).await
    }

    /// What a user or a token (`user@realm!token`) may do; `None` is the
    /// caller. Others' need `Sys.Audit` on `/access`.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn permissions_of(
        &self,
        userid: Option<&str>,
        path: Option<&str>,
    ) -> Result<Permissions, Error> {
        let params = Params::new().opt("userid", userid).opt("path", path);
        self.0.sub("permissions").get(params).await
    }
}
