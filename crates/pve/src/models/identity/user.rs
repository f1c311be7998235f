//! Users.

use secrecy::SecretString;
use serde::Deserialize;

use super::{NewToken, Permissions, Token, TokenOptions, found};
use crate::lenient::{self, List};
use crate::models::Attributes;
use crate::models::attributes::Read;
use crate::resource::Resource;
use crate::{Client, Error, Params};

/// A user.
#[derive(Clone, Debug)]
pub struct User {
    client: Client,
    id: String,
    entry: Entry,
    attributes: Attributes,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    #[serde(deserialize_with = "lenient::string")]
    userid: String,
    #[serde(deserialize_with = "lenient::opt_bool")]
    enable: Option<bool>,
    #[serde(deserialize_with = "lenient::opt_u64")]
    expire: Option<u64>,
    #[serde(deserialize_with = "lenient::opt_string")]
    comment: Option<String>,
    #[serde(deserialize_with = "lenient::opt_string")]
    email: Option<String>,
    #[serde(deserialize_with = "lenient::opt_string")]
    firstname: Option<String>,
    #[serde(deserialize_with = "lenient::opt_string")]
    lastname: Option<String>,
    #[serde(deserialize_with = "words")]
    groups: Vec<String>,
}

/// A list, or a text with commas, depending on the call.
pub(super) fn words<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    let value = serde_json::Value::deserialize(d)?;
    let text = lenient::scalar(&value);
    let words = match &value {
        serde_json::Value::Array(items) => items.iter().filter_map(lenient::scalar).collect(),
        _ => text.iter().flat_map(|text| text.split([',', ' '])).map(str::to_owned).collect(),
    };
    let words: Vec<String> = words;
    Ok(words.into_iter().filter(|word| !word.is_empty()).collect())
}

/// What a user is like. Unset members are left as they are, or as Proxmox would
/// have them.
#[derive(Clone, Debug, Default)]
pub struct UserOptions {
    /// May the user log in? Yes unless told otherwise.
    pub enable: Option<bool>,
    /// When the user stops to be valid, in seconds since the epoch; 0: never.
    pub expire: Option<u64>,
    /// A comment.
    pub comment: Option<String>,
    /// The address.
    pub email: Option<String>,
    /// The first name.
    pub firstname: Option<String>,
    /// The last name.
    pub lastname: Option<String>,
    /// The groups, all of them.
    pub groups: Option<Vec<String>>,
    /// The first password, 8 characters at least; only for a new user of realm
    /// `pve`.
    pub password: Option<SecretString>,
}

impl From<&UserOptions> for Params {
    fn from(options: &UserOptions) -> Self {
        let params = Self::new()
            .opt("enable", options.enable)
            .opt("expire", options.expire)
            .opt("comment", options.comment.as_ref())
            .opt("email", options.email.as_ref())
            .opt("firstname", options.firstname.as_ref())
            .opt("lastname", options.lastname.as_ref())
            .opt("groups", options.groups.as_ref().map(|groups| groups.join(",")));
        match &options.password {
            Some(password) => params.secret("password", password.clone()),
            None => params,
        }
    }
}

fn users(client: &Client) -> Resource {
    Resource::new(client, "access/users")
}

impl User {
    fn of(client: &Client, id: &str, read: Read<Entry>) -> Self {
        let Read { typed, attributes } = read;
        Self { client: client.clone(), id: id.to_owned(), entry: typed, attributes }
    }

    /// The users, with their groups. Those that the caller may not see are left
    /// out without a word.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn all(client: &Client) -> Result<Vec<Self>, Error> {
        let params = Params::new().set("full", true);
        let List(rows) = users(client).get::<List<Read<Entry>>>(params).await?;
        let model = |row: Read<Entry>| {
            let id = row.typed.userid.clone();
            Self::of(client, &id, row)
        };
        Ok(rows.into_iter().map(model).collect())
    }

    /// A user by id (`alice@pve`); `None` when there is none.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn get(client: &Client, id: &str) -> Result<Option<Self>, Error> {
        found(Self::load(client, id).await)
    }

    async fn load(client: &Client, id: &str) -> Result<Self, Error> {
        Ok(Self::of(client, id, users(client).join(id).get(()).await?))
    }

    /// Makes a user.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::already_exists`].
    pub async fn create(client: &Client, id: &str, options: &UserOptions) -> Result<Self, Error> {
        let params = Params::new().set("userid", id).and(Params::from(options));
        users(client).post(params).await?;
        Self::load(client, id).await
    }

    /// The id: `alice@pve`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The realm: `pve` of `alice@pve`.
    pub fn realm(&self) -> &str {
        self.id.rsplit('@').next().unwrap_or_default()
    }

    /// May the user log in?
    pub fn is_enabled(&self) -> bool {
        self.entry.enable.unwrap_or(true)
    }

    /// When the user stops to be valid, in seconds since the epoch.
    pub fn expires(&self) -> Option<u64> {
        self.entry.expire.filter(|expire| *expire != 0)
    }

    /// The comment.
    pub fn comment(&self) -> Option<&str> {
        self.entry.comment.as_deref()
    }

    /// The address.
    pub fn email(&self) -> Option<&str> {
        self.entry.email.as_deref()
    }

    /// First and last name, as far as they are known.
    pub fn full_name(&self) -> String {
        let names = [&self.entry.firstname, &self.entry.lastname];
        let names: Vec<&str> = names.into_iter().flatten().map(String::as_str).collect();
        names.join(" ")
    }

    /// The groups.
    pub fn groups(&self) -> &[String] {
        &self.entry.groups
    }

    /// Everything that was read.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// Reads it again.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_not_found`].
    pub async fn reload(&mut self) -> Result<(), Error> {
        *self = Self::load(&self.client, &self.id).await?;
        Ok(())
    }

    /// Changes it; a password is changed by
    /// [`change_password`](Self::change_password).
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_not_found`].
    pub async fn update(&mut self, options: &UserOptions) -> Result<(), Error> {
        users(&self.client).join(&self.id).put(Params::from(options)).await?;
        self.reload().await
    }

    /// Changes the password of a user of realm `pve` (or `pam`). `own` is the
    /// password of the caller, which newer releases ask for when a user who
    /// logged in with one changes a password.
    ///
    /// # Errors
    /// As [`Client::request`]. Not for API tokens.
    pub async fn change_password(
        &self,
        password: SecretString,
        own: Option<SecretString>,
    ) -> Result<(), Error> {
        let mut params = Params::new().set("userid", &self.id).secret("password", password);
        if let Some(own) = own {
            params = params.secret("confirmation-password", own);
        }
        Resource::new(&self.client, "access/password").put(params).await.map(drop)
    }

    /// What the user may do: everywhere, or at one path.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn permissions(&self, path: Option<&str>) -> Result<Permissions, Error> {
        Permissions::of(&self.client, Some(&self.id), path).await
    }

    /// The API tokens.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn tokens(&self) -> Result<Vec<Token>, Error> {
        Token::all(&self.client, &self.id).await
    }

    /// Makes an API token. Its secret is shown this once.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::already_exists`].
    pub async fn create_token(
        &self,
        name: &str,
        options: &TokenOptions,
    ) -> Result<NewToken, Error> {
        Token::create(&self.client, &self.id, name, options).await
    }

    /// Deletes the user with tokens and entries in access control.
    ///
    /// # Errors
    /// As [`Client::request`]. That there is none is an error for tokens, and
    /// none for `root@pam`'s ticket.
    pub async fn destroy(&self) -> Result<(), Error> {
        users(&self.client).join(&self.id).delete(()).await.map(drop)
    }
}
