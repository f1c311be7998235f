//! Access control: who has which role where.

use serde::Deserialize;

use crate::lenient::{self, List};
use crate::resource::Resource;
use crate::{Client, Error, Params};

/// Who an entry is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AclSubject {
    /// A user: `alice@pve`.
    User(String),
    /// A group.
    Group(String),
    /// An API token: `alice@pve!ci`.
    Token(String),
}

impl AclSubject {
    /// The user, group or token.
    pub fn id(&self) -> &str {
        match self {
            Self::User(id) | Self::Group(id) | Self::Token(id) => id,
        }
    }
}

/// An entry of access control.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Acl {
    /// Where: `/`, `/vms/100`, `/pool/p1`, `/storage/local`, …
    pub path: String,
    /// Who.
    pub subject: AclSubject,
    /// Which role; `NoAccess` takes away.
    pub role: String,
    /// Below the path, too?
    pub propagate: bool,
}

#[derive(Deserialize)]
struct Row {
    path: String,
    #[serde(rename = "type")]
    kind: String,
    ugid: String,
    roleid: String,
    #[serde(default, deserialize_with = "lenient::opt_bool")]
    propagate: Option<bool>,
}

impl Acl {
    /// An entry that holds below the path, too, as Proxmox has it unless told
    /// otherwise.
    pub fn new(path: &str, subject: AclSubject, role: &str) -> Self {
        Self { path: path.to_owned(), subject, role: role.to_owned(), propagate: true }
    }

    /// All entries that the caller may see.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn all(client: &Client) -> Result<Vec<Self>, Error> {
        let List(rows) = Resource::new(client, "access/acl").get::<List<Row>>(()).await?;
        let model = |row: Row| {
            let subject = match row.kind.as_str() {
                "group" => AclSubject::Group(row.ugid),
                "token" => AclSubject::Token(row.ugid),
                _ => AclSubject::User(row.ugid),
            };
            let propagate = row.propagate.unwrap_or(true);
            Self { path: row.path, subject, role: row.roleid, propagate }
        };
        Ok(rows.into_iter().map(model).collect())
    }

    fn params(&self) -> Params {
        let kind = match &self.subject {
            AclSubject::User(_) => "users",
            AclSubject::Group(_) => "groups",
            AclSubject::Token(_) => "tokens",
        };
        let params = Params::new().set("path", &self.path).set("roles", &self.role);
        params.set(kind, self.subject.id()).set("propagate", self.propagate)
    }

    /// Puts it in force. That it is there already is no error.
    ///
    /// # Errors
    /// As [`Client::request`]; an unknown user, group or role is refused.
    pub async fn grant(&self, client: &Client) -> Result<(), Error> {
        Resource::new(client, "access/acl").put(self.params()).await.map(drop)
    }

    /// Takes it out of force. That it is not there is no error.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn revoke(&self, client: &Client) -> Result<(), Error> {
        let params = self.params().set("delete", true);
        Resource::new(client, "access/acl").put(params).await.map(drop)
    }
}

/// Effective privileges by path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Permissions(crate::access::Permissions);

impl Permissions {
    /// What a user or token may do; the caller when it is `None`. Without
    /// `path`, every path that an entry or pool mentions; with it, what holds at
    /// that path.
    ///
    /// # Errors
    /// As [`Client::request`]. Asking about others needs `Sys.Audit` on
    /// `/access`.
    pub async fn of(
        client: &Client,
        user: Option<&str>,
        path: Option<&str>,
    ) -> Result<Self, Error> {
        let params = Params::new().opt("userid", user).opt("path", path);
        Resource::new(client, "access/permissions").get(params).await.map(Self)
    }

    /// Is the privilege held at exactly this path of the answer?
    pub fn has(&self, path: &str, privilege: &str) -> bool {
        self.0.has(path, privilege)
    }

    /// The paths of the answer.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.0.keys().map(String::as_str)
    }

    /// The privileges that are held at a path of the answer.
    pub fn privileges(&self, path: &str) -> impl Iterator<Item = &str> {
        self.0.0.get(path).into_iter().flat_map(|held| held.keys().map(String::as_str))
    }
}
