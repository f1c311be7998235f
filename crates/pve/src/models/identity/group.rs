//! Groups of users.

use serde::Deserialize;

use super::found;
use crate::lenient::{self, List};
use crate::resource::Resource;
use crate::{Client, Error, Params};

/// A group of users.
#[derive(Clone, Debug)]
pub struct Group {
    client: Client,
    id: String,
    entry: Entry,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    #[serde(deserialize_with = "lenient::string")]
    groupid: String,
    #[serde(deserialize_with = "lenient::opt_string")]
    comment: Option<String>,
    /// In a list, `users` as a text; alone, `members`.
    #[serde(alias = "users", deserialize_with = "super::user::words")]
    members: Vec<String>,
}

fn groups(client: &Client) -> Resource {
    Resource::new(client, "access/groups")
}

impl Group {
    /// The groups.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn all(client: &Client) -> Result<Vec<Self>, Error> {
        let List(rows) = groups(client).get::<List<Entry>>(()).await?;
        let model =
            |entry: Entry| Self { client: client.clone(), id: entry.groupid.clone(), entry };
        Ok(rows.into_iter().map(model).collect())
    }

    async fn load(client: &Client, id: &str) -> Result<Self, Error> {
        let entry = groups(client).join(id).get(()).await?;
        Ok(Self { client: client.clone(), id: id.to_owned(), entry })
    }

    /// A group by name; `None` when there is none.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn get(client: &Client, id: &str) -> Result<Option<Self>, Error> {
        found(Self::load(client, id).await)
    }

    /// Makes an empty group. Users are put into it by their own
    /// [`groups`](super::UserOptions::groups).
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::already_exists`].
    pub async fn create(client: &Client, id: &str, comment: Option<&str>) -> Result<Self, Error> {
        let params = Params::new().set("groupid", id).opt("comment", comment);
        groups(client).post(params).await?;
        Self::load(client, id).await
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its comment.
    pub fn comment(&self) -> Option<&str> {
        self.entry.comment.as_deref()
    }

    /// The users in it, as last read.
    pub fn members(&self) -> &[String] {
        &self.entry.members
    }

    /// Reads it again.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_not_found`].
    pub async fn reload(&mut self) -> Result<(), Error> {
        *self = Self::load(&self.client, &self.id).await?;
        Ok(())
    }

    /// Changes its comment.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_not_found`].
    pub async fn update(&mut self, comment: &str) -> Result<(), Error> {
        let params = Params::new().set("comment", comment);
        groups(&self.client).join(&self.id).put(params).await?;
        self.reload().await
    }

    /// Deletes it; its users stay.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_not_found`].
    pub async fn destroy(&self) -> Result<(), Error> {
        groups(&self.client).join(&self.id).delete(()).await.map(drop)
    }
}
