//! Questions about credentials.

use http::Method;
use http::header::HeaderMap;
use secrecy::SecretString;
use serde::Deserialize;

use super::Auth;
use super::login::login_call;
use crate::client::{Client, Payload};
use crate::{ApiPath, Error, Params, lenient};

/// What the server knows about an API token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct TokenInfo {
    /// When it ends to be valid, in seconds since the epoch; 0 or nothing:
    /// never.
    #[serde(deserialize_with = "lenient::opt_u64")]
    pub expire: Option<u64>,
    /// Does it have rights of its own (only what both its and the user's ACLs
    /// allow)? Proxmox's default is yes.
    #[serde(deserialize_with = "lenient::opt_bool")]
    pub privsep: Option<bool>,
    /// A remark.
    #[serde(deserialize_with = "lenient::opt_string")]
    pub comment: Option<String>,
}

impl TokenInfo {
    /// When it ends to be valid, in seconds since the epoch; `None`: never.
    pub fn expires_at(&self) -> Option<u64> {
        self.expire.filter(|seconds| *seconds > 0)
    }

    /// Is it over at `now`, in seconds since the epoch?
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires_at().is_some_and(|end| end <= now)
    }
}

impl Client {
    /// Asks the server about the API token of this client: is it accepted, and
    /// until when?
    ///
    /// # Errors
    /// [`Error::Config`] when the client has no token;
    /// [`Error::Unauthenticated`] when the token is refused; the rest as
    /// [`Client::request`].
    pub async fn check_token(&self) -> Result<TokenInfo, Error> {
        let Auth::Token { id, .. } = self.authenticator().auth() else {
            return Err(Error::Config("auth: expected an API token".into()));
        };
        let (user, name) = id.split_once('!').unwrap_or((id, ""));
        let path = ApiPath::new(["access", "users", user, "token", name]);
        self.request(Method::GET, path, ()).await?.data()
    }

    /// Asks whether somebody's password (or ticket) is right **and** they hold
    /// all of `privileges` at `path`, without logging them in. Releases before
    /// 8.0 were seen to answer without a ticket; newer ones may make one, which
    /// is dropped. Needs no credentials of ours.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] or [`Error::Rejected`] when the answer is no:
    /// the server does not say whether the password or a privilege is missing.
    /// The rest as [`Client::request`].
    pub async fn check_password(
        &self,
        username: &str,
        password: &SecretString,
        path: &str,
        privileges: &[&str],
    ) -> Result<(), Error> {
        let params = Params::new()
            .set("username", username)
            .secret("password", password.clone())
            .set("path", path)
            .set("privs", privileges.join(","));
        let call = login_call();
        let mut tour = self.tour(&call, false);
        loop {
            let (target, payload) = (tour.target()?, Payload::Params(&params));
            let result = self.once(target, payload, HeaderMap::new(), self.timeouts().read).await;
            if let Some(result) = tour.judge(result) {
                return result.map(drop);
            }
        }
    }
}
