//! Realms (the API calls them domains): where users come from.

use serde::Deserialize;

use super::found;
use crate::access::SyncRequest;
use crate::lenient::{self, List};
use crate::models::attributes::Read;
use crate::models::{Attributes, Operation};
use crate::resource::Resource;
use crate::{Client, Error, Params};

/// A realm.
#[derive(Clone, Debug)]
pub struct Domain {
    client: Client,
    realm: String,
    entry: Entry,
    attributes: Attributes,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    #[serde(deserialize_with = "lenient::string")]
    realm: String,
    #[serde(rename = "type", deserialize_with = "lenient::string")]
    kind: String,
    #[serde(deserialize_with = "lenient::opt_string")]
    comment: Option<String>,
    #[serde(deserialize_with = "lenient::opt_string")]
    tfa: Option<String>,
}

fn domains(client: &Client) -> Resource {
    Resource::new(client, "access/domains")
}

impl Domain {
    fn of(client: &Client, realm: &str, read: Read<Entry>) -> Self {
        let Read { typed, attributes } = read;
        Self { client: client.clone(), realm: realm.to_owned(), entry: typed, attributes }
    }

    /// The realms. This call needs no log-in.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn all(client: &Client) -> Result<Vec<Self>, Error> {
        let List(rows) = domains(client).get::<List<Read<Entry>>>(()).await?;
        let model = |row: Read<Entry>| {
            let realm = row.typed.realm.clone();
            Self::of(client, &realm, row)
        };
        Ok(rows.into_iter().map(model).collect())
    }

    async fn load(client: &Client, realm: &str) -> Result<Self, Error> {
        Ok(Self::of(client, realm, domains(client).join(realm).get(()).await?))
    }

    /// A realm with its whole configuration; `None` when there is none.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn get(client: &Client, realm: &str) -> Result<Option<Self>, Error> {
        found(Self::load(client, realm).await)
    }

    /// Makes a realm of this kind (`ad`, `ldap`, `openid`) with the options that
    /// the kind needs: `server1`, `base_dn`, `issuer-url`, …
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::already_exists`].
    pub async fn create(
        client: &Client,
        realm: &str,
        kind: &str,
        options: impl Into<Params>,
    ) -> Result<Self, Error> {
        let params = Params::new().set("realm", realm).set("type", kind).and(options);
        domains(client).post(params).await?;
        Self::load(client, realm).await
    }

    /// Its name: `pve` of `alice@pve`.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// `pam`, `pve`, `ad`, `ldap`, `openid`.
    pub fn kind(&self) -> &str {
        &self.entry.kind
    }

    /// Its comment.
    pub fn comment(&self) -> Option<&str> {
        self.entry.comment.as_deref()
    }

    /// The second factor that it asks for: the kind in a list, a property string
    /// (`type=oath,step=30,digits=6`) alone.
    pub fn second_factor(&self) -> Option<&str> {
        self.entry.tfa.as_deref()
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
        *self = Self::load(&self.client, &self.realm).await?;
        Ok(())
    }

    /// Changes options; `delete` resets some.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_not_found`].
    pub async fn update(&mut self, options: impl Into<Params>) -> Result<(), Error> {
        domains(&self.client).join(&self.realm).put(options).await?;
        self.reload().await
    }

    /// Takes over users and groups from the realm's directory (`ldap`, `ad`).
    pub fn sync(&self, request: &SyncRequest) -> Operation<'static> {
        let domain = self.client.access().domain(&self.realm);
        let request = request.clone();
        let begin = async move { domain.sync(&request).await };
        Operation::new(&self.client, begin, || async { Ok(()) })
    }

    /// Deletes it with its users.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_not_found`].
    pub async fn destroy(&self) -> Result<(), Error> {
        domains(&self.client).join(&self.realm).delete(()).await.map(drop)
    }
}
