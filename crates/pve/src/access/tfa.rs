//! Second factors of users.

use std::fmt;

use secrecy::SecretString;
use serde::Deserialize;

use super::Access;
use crate::requests::{record, request};
use crate::{Error, Params, lenient};

record! {
    /// A second factor.
    TfaEntry {
        /// Its id.
        id: String,
        /// `totp`, `u2f`, `webauthn`, `recovery`, `yubico`.
        #[serde(rename = "type")]
        kind: String,
        /// What the user calls it.
        description: String,
        /// Can it be used? Absent means yes.
        enable: Option<bool>,
        /// When it was made, in seconds since the epoch.
        created: Option<u64>,
    }
}

record! {
    /// The second factors of a user.
    UserTfa {
        /// The user.
        userid: String,
        /// The factors.
        entries: Vec<TfaEntry>,
        /// Are time-based codes refused after too many wrong ones?
        #[serde(rename = "totp-locked")]
        totp_locked: bool,
        /// Until when all are refused, in seconds since the epoch.
        #[serde(rename = "tfa-locked-until")]
        locked_until: Option<u64>,
    }
}

request! {
    /// A new second factor.
    TfaRequest(kind: &str = "type") {
        /// What the user calls it.
        description: text "description",
        /// The `otpauth://` address of a time-based one.
        totp: secret "totp",
        /// A code of it, which proves that it works.
        value: secret "value",
        /// The challenge that was answered; for the second call of webauthn.
        challenge: text "challenge",
        /// The caller's own password.
        password: secret "password",
    }
}

/// A new second factor, as it is shown once.
#[derive(Clone, Deserialize)]
#[non_exhaustive]
pub struct NewTfa {
    /// Its id.
    #[serde(default, deserialize_with = "lenient::string")]
    pub id: String,
    /// The challenge to answer with a second call; for webauthn.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub challenge: Option<String>,
    /// The recovery codes.
    #[serde(default, deserialize_with = "lenient::any")]
    pub recovery: Vec<SecretString>,
}

impl fmt::Debug for NewTfa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewTfa").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Access {
    /// The second factors of all users that the caller may see.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn tfa(&self) -> Result<Vec<UserTfa>, Error> {
        self.0.sub("tfa").list(()).await
    }

    /// The second factors of a user.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn user_tfa(&self, userid: &str) -> Result<Vec<TfaEntry>, Error> {
        self.0.sub("tfa").join(userid).list(()).await
    }

    /// Adds a second factor to a user.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn add_tfa(&self, userid: &str, request: &TfaRequest) -> Result<NewTfa, Error> {
        self.0.sub("tfa").join(userid).post(request).await?.data()
    }

    /// Changes what a factor is called, or switches it on or off. `password`
    /// is the caller's own; tokens need none.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn update_tfa(
        &self,
        userid: &str,
        id: &str,
        description: Option<&str>,
        enable: Option<bool>,
        password: Option<SecretString>,
    ) -> Result<(), Error> {
        let mut params = Params::new().opt("description", description).opt("enable", enable);
        if let Some(password) = password {
            params = params.secret("password", password);
        }
        self.0.sub("tfa").join(userid).join(id).put(params).await.map(drop)
    }

    /// Removes a factor. `password` is the caller's own, and goes over the
    /// query: Proxmox takes no body here.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn delete_tfa(
        &self,
        userid: &str,
        id: &str,
        password: Option<SecretString>,
    ) -> Result<(), Error> {
        let mut params = Params::new();
        if let Some(password) = password {
            params = params.secret("password", password);
        }
        self.0.sub("tfa").join(userid).join(id).delete(params).await.map(drop)
    }
}
