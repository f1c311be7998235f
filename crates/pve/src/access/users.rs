//! Users.

use secrecy::SecretString;

use super::{Access, TokenHandle};
use crate::lenient::Words;
use crate::requests::{record, request};
use crate::resource::{Resource, handle};
use crate::{Error, Params};

/// `/access/users/USER`.
#[derive(Clone, Debug)]
pub struct UserHandle(pub(super) Resource, String);
handle!(UserHandle);

record! {
    /// A user.
    User {
        /// `name@realm`; absent when one user was asked for.
        userid: String,
        /// Can it log in?
        enable: bool,
        /// When it ends, in seconds since the epoch; 0 is never.
        expire: Option<u64>,
        /// First name.
        firstname: Option<String>,
        /// Last name.
        lastname: Option<String>,
        /// Mail address.
        email: Option<String>,
        /// A comment.
        comment: Option<String>,
        /// Its groups; in lists only with `full`.
        groups: Words,
        /// Keys of two-factor authentication, in old installations.
        keys: Option<String>,
        /// The type of the realm: `pve`, `pam`, …
        #[serde(rename = "realm-type")]
        realm_type: Option<String>,
        /// Its tokens: a list with `full`, an object when one user was asked
        /// for.
        tokens: serde_json::Value,
    }
}

request! {
    /// A new user.
    CreateUserRequest(userid: &str = "userid") {
        /// The password, for the realm `pve`; at least 8 characters.
        password: secret "password",
        /// Can it log in? Yes unless set.
        enable: flag "enable",
        /// When it ends, in seconds since the epoch; 0 is never.
        expire: uint "expire",
        /// First name.
        firstname: text "firstname",
        /// Last name.
        lastname: text "lastname",
        /// Mail address.
        email: text "email",
        /// A comment.
        comment: text "comment",
        /// Its groups.
        groups: list "groups",
        /// Keys of two-factor authentication.
        keys: secret "keys",
    }
}

request! {
    /// A change of a user. On some releases a change without `enable` enables.
    UpdateUserRequest {
        /// Can it log in?
        enable: flag "enable",
        /// When it ends, in seconds since the epoch; 0 is never.
        expire: uint "expire",
        /// First name.
        firstname: text "firstname",
        /// Last name.
        lastname: text "lastname",
        /// Mail address.
        email: text "email",
        /// A comment.
        comment: text "comment",
        /// Its groups: all of them, or more with [`append`](Self::append).
        groups: list "groups",
        /// Add the groups to those that it is in.
        append: flag "append",
        /// Keys of two-factor authentication.
        keys: secret "keys",
    }
}

impl Access {
    /// Users that the caller may see. `full` has groups and tokens, too.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn users(&self, enabled: Option<bool>, full: bool) -> Result<Vec<User>, Error> {
        let params = Params::new().opt("enabled", enabled).opt("full", full.then_some(true));
        self.0.sub("users").list(params).await
    }

    /// Makes a user.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request);
    /// [`Error::already_exists`].
    pub async fn create_user(&self, request: &CreateUserRequest) -> Result<(), Error> {
        self.0.sub("users").post(request).await.map(drop)
    }

    /// A user, `name@realm`.
    pub fn user(&self, userid: &str) -> UserHandle {
        UserHandle(self.0.sub("users").join(userid), userid.to_owned())
    }

    /// Changes the password of a user of the realms `pve` and `pam`. With a
    /// ticket only; since 8.2, users must confirm with their `own` password.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn change_password(
        &self,
        userid: &str,
        password: SecretString,
        own: Option<SecretString>,
    ) -> Result<(), Error> {
        let mut params = Params::new().set("userid", userid).secret("password", password);
        if let Some(own) = own {
            params = params.secret("confirmation-password", own);
        }
        self.0.sub("password").put(params).await.map(drop)
    }
}

impl UserHandle {
    /// The user.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request);
    /// [`Error::is_not_found`].
    pub async fn get(&self) -> Result<User, Error> {
        let mut user: User = self.0.get(()).await?;
        if user.userid.is_empty() {
            self.1.clone_into(&mut user.userid);
        }
        Ok(user)
    }

    /// Changes it.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn update(&self, request: &UpdateUserRequest) -> Result<(), Error> {
        self.0.put(request).await.map(drop)
    }

    /// Deletes it with its tokens and permissions. One that does not exist is
    /// an error for tokens, and none for tickets of root.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn delete(&self) -> Result<(), Error> {
        self.0.delete(()).await.map(drop)
    }

    /// One of its tokens.
    pub fn token(&self, name: &str) -> TokenHandle {
        TokenHandle(self.0.sub("token").join(name))
    }

    /// Lets it log in again after too many wrong second factors; since 8.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn unlock_tfa(&self) -> Result<(), Error> {
        self.0.sub("unlock-tfa").put(()).await.map(drop)
    }
}
