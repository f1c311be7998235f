//! Realms.

use super::Access;
use crate::requests::{record, request};
use crate::resource::{Resource, handle};
use crate::{Error, Params, Upid};

/// `/access/domains/REALM`.
#[derive(Clone, Debug)]
pub struct DomainHandle(Resource);
handle!(DomainHandle);

record! {
    /// A realm. What only some types have is in `extra`.
    Domain {
        /// Its name; absent when one realm was asked for.
        realm: String,
        /// `pam`, `pve`, `ad`, `ldap`, `openid`.
        #[serde(rename = "type")]
        kind: String,
        /// A comment.
        comment: Option<String>,
        /// Is it the one that the log-in form offers first?
        default: bool,
        /// The required second factor: its type in lists, a property string
        /// (`type=oath,step=30,digits=8`) when one realm was asked for.
        tfa: Option<String>,
        /// Guards a change.
        digest: Option<String>,
    }
}

request! {
    /// A realm to make (with `type`) or to change.
    ///
    /// ```
    /// use pve::access::DomainRequest;
    /// let ldap = DomainRequest::new()
    ///     .kind("ldap")
    ///     .server1("ldap.example")
    ///     .base_dn("dc=example")
    ///     .user_attr("uid");
    /// # let _ = ldap;
    /// ```
    DomainRequest {
        /// `ad`, `ldap`, `openid`, `pam`, `pve`; for new ones.
        kind: text "type",
        /// A comment.
        comment: text "comment",
        /// The log-in form offers it first.
        is_default: flag "default",
        /// The required second factor.
        tfa: value "tfa",
        /// The server.
        server1: text "server1",
        /// Another server.
        server2: text "server2",
        /// The server's port.
        port: uint "port",
        /// `ldap`, `ldaps` or `ldap+starttls`.
        mode: text "mode",
        /// Check the server's certificate.
        verify: flag "verify",
        /// Where users are looked for in LDAP.
        base_dn: text "base_dn",
        /// Who looks.
        bind_dn: text "bind_dn",
        /// The password of who looks.
        password: secret "password",
        /// The attribute with the user's name.
        user_attr: text "user_attr",
        /// The domain of Active Directory.
        domain: text "domain",
        /// The issuer of OpenID Connect.
        issuer_url: text "issuer-url",
        /// The client's id at the issuer.
        client_id: text "client-id",
        /// The client's secret at the issuer.
        client_key: secret "client-key",
        /// Make users at their first log-in.
        autocreate: flag "autocreate",
        /// The claim with the user's name; for new ones.
        username_claim: text "username-claim",
        /// What is asked for: `email profile`.
        scopes: text "scopes",
        /// Settings to reset; for changes.
        delete: list "delete",
        /// Guards a change.
        digest: text "digest",
    }
}

request! {
    /// What is taken over from LDAP.
    SyncRequest {
        /// `users`, `groups` or `both`.
        scope: text "scope",
        /// What goes when it is gone there: `acl;entry;properties`.
        remove_vanished: text "remove-vanished",
        /// New users can log in.
        enable_new: flag "enable-new",
        /// Only say what would be done.
        dry_run: flag "dry-run",
    }
}

impl Access {
    /// The realms. Needs no log-in.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn domains(&self) -> Result<Vec<Domain>, Error> {
        self.0.sub("domains").list(()).await
    }

    /// A realm.
    pub fn domain(&self, realm: &str) -> DomainHandle {
        DomainHandle(self.0.sub("domains").join(realm))
    }
}

impl DomainHandle {
    /// How it is configured.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request);
    /// [`Error::is_not_found`].
    pub async fn get(&self) -> Result<Domain, Error> {
        self.0.get(()).await
    }

    /// Makes it.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request);
    /// [`Error::already_exists`].
    pub async fn create(&self, request: &DomainRequest) -> Result<(), Error> {
        let params = Params::new().set("realm", self.0.path.last()).and(request);
        self.0.parent().post(params).await.map(drop)
    }

    /// Changes it.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn update(&self, request: &DomainRequest) -> Result<(), Error> {
        self.0.put(request).await.map(drop)
    }

    /// Deletes it.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn delete(&self) -> Result<(), Error> {
        self.0.delete(()).await.map(drop)
    }

    /// Takes over users and groups from LDAP.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn sync(&self, request: &SyncRequest) -> Result<Option<Upid>, Error> {
        self.0.sub("sync").post(request).await?.task()
    }
}
