//! High availability: what the cluster keeps running.

use serde::Deserialize;

use super::Attributes;
use super::attributes::Read;
use crate::lenient::{self, List};
use crate::resource::Resource;
use crate::{Client, Error, Params};

fn resources(client: &Client) -> Resource {
    Resource::new(client, "cluster/ha/resources")
}

/// A guest that the cluster looks after.
#[derive(Clone, Debug)]
pub struct HaResource {
    client: Client,
    sid: String,
    entry: Entry,
    attributes: Attributes,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    #[serde(deserialize_with = "lenient::string")]
    sid: String,
    #[serde(deserialize_with = "lenient::opt_string")]
    state: Option<String>,
    #[serde(deserialize_with = "lenient::opt_string")]
    group: Option<String>,
    #[serde(deserialize_with = "lenient::opt_string")]
    comment: Option<String>,
}

impl HaResource {
    fn of(client: &Client, sid: &str, read: Read<Entry>) -> Self {
        let Read { typed, attributes } = read;
        Self { client: client.clone(), sid: sid.to_owned(), entry: typed, attributes }
    }

    /// All of them.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn all(client: &Client) -> Result<Vec<Self>, Error> {
        let List(rows) = resources(client).get::<List<Read<Entry>>>(()).await?;
        let model = |row: Read<Entry>| {
            let sid = row.typed.sid.clone();
            Self::of(client, &sid, row)
        };
        Ok(rows.into_iter().map(model).collect())
    }

    /// One by its id: `vm:100`, `ct:101`; `None` when the cluster does not look
    /// after it.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn get(client: &Client, sid: &str) -> Result<Option<Self>, Error> {
        let all = Self::all(client).await?;
        Ok(all.into_iter().find(|resource| resource.sid == sid))
    }

    /// Has the cluster look after a guest. `options`: `state` (`started`,
    /// `stopped`, `ignored`, `disabled`), `max_restart`, `max_relocate`,
    /// `comment`, and before release 9 `group`.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn create(
        client: &Client,
        sid: &str,
        options: impl Into<Params>,
    ) -> Result<Self, Error> {
        let params = Params::new().set("sid", sid).and(options);
        resources(client).post(params).await?;
        Ok(Self::of(client, sid, resources(client).join(sid).get(()).await?))
    }

    /// Its id: `vm:100`.
    pub fn sid(&self) -> &str {
        &self.sid
    }

    /// The state that is wanted: `started` unless told otherwise.
    pub fn state(&self) -> &str {
        self.entry.state.as_deref().unwrap_or("started")
    }

    /// Its group, before release 9.
    pub fn group(&self) -> Option<&str> {
        self.entry.group.as_deref()
    }

    /// Its comment.
    pub fn comment(&self) -> Option<&str> {
        self.entry.comment.as_deref()
    }

    /// Everything that was read.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// Reads it again.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn reload(&mut self) -> Result<(), Error> {
        let read = resources(&self.client).join(&self.sid).get(()).await?;
        *self = Self::of(&self.client, &self.sid, read);
        Ok(())
    }

    /// Changes options; `delete` resets some.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn update(&mut self, options: impl Into<Params>) -> Result<(), Error> {
        resources(&self.client).join(&self.sid).put(options).await?;
        self.reload().await
    }

    /// Has the cluster look after the guest no more. The guest stays.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn destroy(&self) -> Result<(), Error> {
        resources(&self.client).join(&self.sid).delete(()).await.map(drop)
    }
}

/// Which nodes guests may run on, before release 9.
///
/// Release 9 has [`HaRule`]s instead, and answers every call about groups with
/// an error that says so.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct HaGroup {
    /// Its name.
    #[serde(default, deserialize_with = "lenient::string")]
    pub group: String,
    /// The nodes with their priorities: `pve1:2,pve2`.
    #[serde(default, deserialize_with = "lenient::string")]
    pub nodes: String,
    /// May its guests run nowhere else?
    #[serde(default, deserialize_with = "lenient::bool")]
    pub restricted: bool,
    /// A comment.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub comment: Option<String>,
}

impl HaGroup {
    /// All groups.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn all(client: &Client) -> Result<Vec<Self>, Error> {
        let List(rows) = Resource::new(client, "cluster/ha/groups").get(()).await?;
        Ok(rows)
    }

    /// Makes a group. `options`: `restricted`, `nofailback`, `comment`.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::already_exists`].
    pub async fn create(
        client: &Client,
        group: &str,
        nodes: &str,
        options: impl Into<Params>,
    ) -> Result<(), Error> {
        let params = Params::new().set("group", group).set("nodes", nodes).and(options);
        Resource::new(client, "cluster/ha/groups").post(params).await.map(drop)
    }

    /// Deletes a group.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn destroy(client: &Client, group: &str) -> Result<(), Error> {
        Resource::new(client, "cluster/ha/groups").join(group).delete(()).await.map(drop)
    }
}

/// Where guests may run, and which stay together or apart; since release 9.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct HaRule {
    /// Its name.
    #[serde(default, deserialize_with = "lenient::string")]
    pub rule: String,
    /// `node-affinity` or `resource-affinity`.
    #[serde(rename = "type", default, deserialize_with = "lenient::string")]
    pub kind: String,
    /// The guests: `vm:100,ct:101`.
    #[serde(default, deserialize_with = "lenient::string")]
    pub resources: String,
    /// The nodes with their priorities, of a `node-affinity`.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub nodes: Option<String>,
    /// Is it out of force?
    #[serde(default, deserialize_with = "lenient::bool")]
    pub disable: bool,
    /// A comment.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub comment: Option<String>,
}

impl HaRule {
    /// All rules.
    ///
    /// # Errors
    /// As [`Client::request`]; before release 9
    /// [`Kind::NotImplemented`](crate::error::Kind::NotImplemented).
    pub async fn all(client: &Client) -> Result<Vec<Self>, Error> {
        let List(rows) = Resource::new(client, "cluster/ha/rules").get(()).await?;
        Ok(rows)
    }

    /// Makes a rule of this kind for these guests. `options`: `nodes` and
    /// `strict` of a `node-affinity`, `affinity` (`positive`, `negative`) of a
    /// `resource-affinity`, `comment`, `disable`.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn create(
        client: &Client,
        rule: &str,
        kind: &str,
        sids: &str,
        options: impl Into<Params>,
    ) -> Result<(), Error> {
        let params = Params::new().set("rule", rule).set("type", kind).set("resources", sids);
        Resource::new(client, "cluster/ha/rules").post(params.and(options)).await.map(drop)
    }

    /// Deletes a rule.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn destroy(client: &Client, rule: &str) -> Result<(), Error> {
        Resource::new(client, "cluster/ha/rules").join(rule).delete(()).await.map(drop)
    }
}

/// A line of what high availability is doing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct HaStatusLine {
    /// What it is about: `quorum`, `master`, `lrm:pve1`, `service:vm:100`.
    #[serde(default, deserialize_with = "lenient::string")]
    pub id: String,
    /// `quorum`, `master`, `lrm`, `service`.
    #[serde(rename = "type", default, deserialize_with = "lenient::string")]
    pub kind: String,
    /// The node.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub node: Option<String>,
    /// In Proxmox's words.
    #[serde(default, deserialize_with = "lenient::string")]
    pub status: String,
}

impl HaStatusLine {
    /// All lines.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn all(client: &Client) -> Result<Vec<Self>, Error> {
        let List(rows) = Resource::new(client, "cluster/ha/status/current").get(()).await?;
        Ok(rows)
    }
}
