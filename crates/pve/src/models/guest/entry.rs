//! Guests as lists show them.

use std::marker::PhantomData;

use serde::Deserialize;

use super::{Guest, GuestKind};
use crate::lenient::{self, List};
use crate::models::Attributes;
use crate::models::attributes::Read;
use crate::resource::Resource;
use crate::{Client, Error, Params, VmId};

/// A guest as a list shows it: enough to choose one and [`load`](Self::load)
/// it.
#[derive(Clone, Debug)]
pub struct GuestEntry<K> {
    client: Client,
    row: Row,
    attributes: Attributes,
    kind: PhantomData<K>,
}

#[derive(Clone, Debug, Deserialize)]
struct Row {
    vmid: VmId,
    #[serde(default, deserialize_with = "lenient::string")]
    node: String,
    #[serde(rename = "type", default, deserialize_with = "lenient::string")]
    kind: String,
    #[serde(default, deserialize_with = "lenient::opt_string")]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient::string")]
    status: String,
    #[serde(default, deserialize_with = "lenient::bool")]
    template: bool,
}

impl<K: GuestKind> Guest<K> {
    /// The guests of this kind in the whole cluster. Those that the caller may
    /// not see are left out without a word, and a new one is shown without name
    /// and state for up to ten seconds.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn all(client: &Client) -> Result<Vec<GuestEntry<K>>, Error> {
        let params = Params::new().set("type", "vm");
        let resources = Resource::new(client, "cluster/resources");
        let List(rows) = resources.get::<List<Read<Row>>>(params).await?;
        let rows = rows.into_iter().filter(|row| row.typed.kind == K::WORD);
        Ok(rows.map(|row| GuestEntry::new(client, row)).collect())
    }

    /// The guests of this kind on a node.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn all_on(client: &Client, node: &str) -> Result<Vec<GuestEntry<K>>, Error> {
        let guests = Resource::new(client, "nodes").join(node).sub(K::WORD);
        let List(rows) = guests.get::<List<Read<Row>>>(()).await?;
        let entry = |mut row: Read<Row>| {
            node.clone_into(&mut row.typed.node);
            GuestEntry::new(client, row)
        };
        Ok(rows.into_iter().map(entry).collect())
    }
}

impl<K: GuestKind> GuestEntry<K> {
    fn new(client: &Client, row: Read<Row>) -> Self {
        let Read { typed, attributes } = row;
        Self { client: client.clone(), row: typed, attributes, kind: PhantomData }
    }

    /// Its id.
    pub fn vmid(&self) -> VmId {
        self.row.vmid
    }

    /// The node it is on.
    pub fn node(&self) -> &str {
        &self.row.node
    }

    /// Its name.
    pub fn name(&self) -> Option<&str> {
        self.row.name.as_deref()
    }

    /// `running`, `stopped`, or `unknown`.
    pub fn status(&self) -> &str {
        &self.row.status
    }

    /// Is it a template?
    pub fn is_template(&self) -> bool {
        self.row.template
    }

    /// Everything that the list says about it.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// The guest with its state and configuration; `None` when it is gone.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn load(&self) -> Result<Option<Guest<K>>, Error> {
        Guest::get(&self.client, self.node(), self.vmid()).await
    }
}
