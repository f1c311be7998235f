//! API tokens of users.

use std::fmt;

use secrecy::SecretString;
use serde::Deserialize;

use super::UserHandle;
use crate::requests::{record, request};
use crate::resource::{Resource, handle};
use crate::{Error, lenient};

/// `/access/users/USER/token/TOKEN`.
#[derive(Clone, Debug)]
pub struct TokenHandle(pub(super) Resource);
handle!(TokenHandle);

record! {
    /// A token, without its secret.
    Token {
        /// Its name; absent when one token was asked for.
        tokenid: String,
        /// A comment.
        comment: Option<String>,
        /// When it ends, in seconds since the epoch; 0 is never.
        expire: Option<u64>,
        /// Has it only what is granted to itself? A text in some answers.
        privsep: bool,
    }
}

/// A new token, with the secret that is shown this once.
#[derive(Clone, Deserialize)]
#[non_exhaustive]
pub struct NewToken {
    /// `user@realm!token`.
    #[serde(rename = "full-tokenid", default, deserialize_with = "lenient::string")]
    pub full_id: String,
    /// The secret.
    #[serde(rename = "value", deserialize_with = "lenient::any")]
    pub secret: SecretString,
    /// What else is known of it.
    #[serde(default, deserialize_with = "lenient::any")]
    pub info: Token,
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewToken").field("full_id", &self.full_id).finish_non_exhaustive()
    }
}

request! {
    /// A token to make or to change.
    TokenRequest {
        /// A comment.
        comment: text "comment",
        /// When it ends, in seconds since the epoch; 0 is never. The user's
        /// own end unless set.
        expire: uint "expire",
        /// Has it only what is granted to itself (and not more than its user)?
        /// Yes unless set: a new token can do nothing.
        privsep: flag "privsep",
        /// Settings to reset; for changes, since release 9.
        delete: list "delete",
    }
}

impl UserHandle {
    /// The user's tokens.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request); an unknown user is
    /// [`Error::is_not_found`].
    pub async fn tokens(&self) -> Result<Vec<Token>, Error> {
        self.0.sub("token").list(()).await
    }
}

impl TokenHandle {
    /// The token, without its secret.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request);
    /// [`Error::is_not_found`].
    pub async fn get(&self) -> Result<Token, Error> {
        self.0.get(()).await
    }

    /// Makes it.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn create(&self, request: &TokenRequest) -> Result<NewToken, Error> {
        self.0.post(request).await?.data()
    }

    /// Changes it and answers what it is now (all values as texts, before
    /// release 9).
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn update(&self, request: &TokenRequest) -> Result<Token, Error> {
        self.0.put(request).await?.data()
    }

    /// Gives it a new secret; since release 9.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn regenerate(&self) -> Result<NewToken, Error> {
        let request = TokenRequest::new().extra("regenerate", true);
        self.0.put(&request).await?.data()
    }

    /// Deletes it.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn delete(&self) -> Result<(), Error> {
        self.0.delete(()).await.map(drop)
    }
}
