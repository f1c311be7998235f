//! API tokens.

use secrecy::SecretString;
use serde::Deserialize;

use super::found;
use crate::lenient::{self, List};
use crate::resource::Resource;
use crate::{Auth, Client, Error, Params};

/// An API token of a user.
#[derive(Clone, Debug)]
pub struct Token {
    client: Client,
    user: String,
    name: String,
    entry: Entry,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    #[serde(deserialize_with = "lenient::string")]
    tokenid: String,
    #[serde(deserialize_with = "lenient::opt_string")]
    comment: Option<String>,
    #[serde(deserialize_with = "lenient::opt_u64")]
    expire: Option<u64>,
    #[serde(deserialize_with = "lenient::opt_bool")]
    privsep: Option<bool>,
}

/// What a token is like. Unset members are left as they are, or as Proxmox would
/// have them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenOptions {
    /// A comment.
    pub comment: Option<String>,
    /// When it stops to be valid, in seconds since the epoch; 0: never. As the
    /// user's unless set.
    pub expire: Option<u64>,
    /// Does it have only what both its own entries and the user's allow? Yes
    /// unless told otherwise: a new token can do nothing.
    pub privilege_separation: Option<bool>,
}

impl From<&TokenOptions> for Params {
    fn from(options: &TokenOptions) -> Self {
        Self::new()
            .opt("comment", options.comment.as_ref())
            .opt("expire", options.expire)
            .opt("privsep", options.privilege_separation)
    }
}

/// A token that was just made, with the secret that is shown this once.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewToken {
    /// The token.
    pub token: Token,
    /// The secret.
    pub secret: SecretString,
}

impl NewToken {
    /// To log in with it.
    pub fn auth(&self) -> Auth {
        Auth::token(self.token.full_id(), self.secret.clone())
    }
}

/// The part of an answer that holds a new secret.
#[derive(Deserialize)]
struct Made {
    value: String,
}

fn tokens(client: &Client, user: &str) -> Resource {
    Resource::new(client, "access/users").join(user).sub("token")
}

impl Token {
    fn of(client: &Client, user: &str, name: &str, entry: Entry) -> Self {
        let (user, name) = (user.to_owned(), name.to_owned());
        Self { client: client.clone(), user, name, entry }
    }

    /// The tokens of a user.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_not_found`].
    pub async fn all(client: &Client, user: &str) -> Result<Vec<Self>, Error> {
        let List(rows) = tokens(client, user).get::<List<Entry>>(()).await?;
        let model = |entry: Entry| {
            let name = entry.tokenid.clone();
            Self::of(client, user, &name, entry)
        };
        Ok(rows.into_iter().map(model).collect())
    }

    async fn load(client: &Client, user: &str, name: &str) -> Result<Self, Error> {
        let entry = tokens(client, user).join(name).get(()).await?;
        Ok(Self::of(client, user, name, entry))
    }

    /// A token of a user; `None` when there is none.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn get(client: &Client, user: &str, name: &str) -> Result<Option<Self>, Error> {
        found(Self::load(client, user, name).await)
    }

    /// Makes a token.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::already_exists`].
    pub async fn create(
        client: &Client,
        user: &str,
        name: &str,
        options: &TokenOptions,
    ) -> Result<NewToken, Error> {
        let params = Params::from(options);
        let made: Made = tokens(client, user).join(name).post(params).await?.data()?;
        let token = Self::load(client, user, name).await?;
        Ok(NewToken { token, secret: made.value.into() })
    }

    /// Its user.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Its name among the tokens of its user.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its whole id: `alice@pve!ci`.
    pub fn full_id(&self) -> String {
        format!("{}!{}", self.user, self.name)
    }

    /// Its comment.
    pub fn comment(&self) -> Option<&str> {
        self.entry.comment.as_deref()
    }

    /// When it stops to be valid, in seconds since the epoch.
    pub fn expires(&self) -> Option<u64> {
        self.entry.expire.filter(|expire| *expire != 0)
    }

    /// Does it have only what both its own entries and the user's allow?
    pub fn is_privilege_separated(&self) -> bool {
        self.entry.privsep.unwrap_or(true)
    }

    /// Reads it again.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_not_found`].
    pub async fn reload(&mut self) -> Result<(), Error> {
        *self = Self::load(&self.client, &self.user, &self.name).await?;
        Ok(())
    }

    /// Changes it.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_not_found`].
    pub async fn update(&mut self, options: &TokenOptions) -> Result<(), Error> {
        tokens(&self.client, &self.user).join(&self.name).put(Params::from(options)).await?;
        self.reload().await
    }

    /// Gives it a new secret; the old one opens nothing any more. Since
    /// release 9.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_not_found`]. Releases before 9 refuse
    /// the parameter.
    pub async fn regenerate(&mut self) -> Result<NewToken, Error> {
        let params = Params::new().set("regenerate", true);
        let place = tokens(&self.client, &self.user).join(&self.name);
        let made: Made = place.put(params).await?.data()?;
        self.reload().await?;
        Ok(NewToken { token: self.clone(), secret: made.value.into() })
    }

    /// Deletes it: from now on it opens nothing.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_not_found`].
    pub async fn destroy(&self) -> Result<(), Error> {
        tokens(&self.client, &self.user).join(&self.name).delete(()).await.map(drop)
    }
}
