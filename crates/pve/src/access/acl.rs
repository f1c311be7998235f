//! Who has which role where.

use super::Access;
use crate::Error;
use crate::requests::{record, request};

record! {
    /// A grant.
    AclEntry {
        /// Where: `/vms/100`, `/storage/local`, …
        path: String,
        /// `user`, `group` or `token`.
        #[serde(rename = "type")]
        kind: String,
        /// The user, group or token.
        ugid: String,
        /// The role.
        roleid: String,
        /// Is it handed down to paths below?
        propagate: bool,
    }
}

request! {
    /// Grants to make, or to take back with [`delete`](Self::delete).
    ///
    /// ```
    /// use pve::access::AclRequest;
    /// let grant = AclRequest::new("/vms/100", "PVEVMUser").users(["joe@pve"]);
    /// # let _ = grant;
    /// ```
    AclRequest(path: &str = "path", roles: &str = "roles") {
        /// For these users.
        users: list "users",
        /// For these groups.
        groups: list "groups",
        /// For these tokens, `user@realm!token`.
        tokens: list "tokens",
        /// Handed down to paths below; yes unless set.
        propagate: flag "propagate",
        /// Take them back.
        delete: flag "delete",
    }
}

impl Access {
    /// The grants that the caller may see.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn acl(&self) -> Result<Vec<AclEntry>, Error> {
        self.0.sub("acl").list(()).await
    }

    /// Makes grants or takes them back.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request). A path that is none is
    /// 400, an unknown role or user 500.
    pub async fn change_acl(&self, request: &AclRequest) -> Result<(), Error> {
        self.0.sub("acl").put(request).await.map(drop)
    }
}
