//! Network interfaces of nodes.

use serde::Deserialize;

use super::attributes::Read;
use super::{Attributes, Node, Operation};
use crate::lenient::{self, List};
use crate::resource::Resource;
use crate::{Client, Error, Params};

/// A network interface of a node: a bridge, a bond, a VLAN, a card.
///
/// Changes are written down and wait until [`apply`](Self::apply) puts them in
/// force, or [`revert`](Self::revert) drops them.
#[derive(Clone, Debug)]
pub struct Network {
    client: Client,
    node: String,
    iface: String,
    entry: Entry,
    attributes: Attributes,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    #[serde(deserialize_with = "lenient::string")]
    iface: String,
    #[serde(rename = "type", deserialize_with = "lenient::string")]
    kind: String,
    #[serde(deserialize_with = "lenient::bool")]
    active: bool,
    #[serde(deserialize_with = "lenient::bool")]
    autostart: bool,
    #[serde(deserialize_with = "lenient::opt_string")]
    cidr: Option<String>,
    #[serde(deserialize_with = "lenient::opt_string")]
    gateway: Option<String>,
    #[serde(deserialize_with = "lenient::opt_string")]
    bridge_ports: Option<String>,
    #[serde(deserialize_with = "lenient::opt_string")]
    comments: Option<String>,
}

fn networks(client: &Client, node: &str) -> Resource {
    Resource::new(client, "nodes").join(node).sub("network")
}

impl Network {
    fn of(client: &Client, node: &str, iface: &str, read: Read<Entry>) -> Self {
        let (node, iface) = (node.to_owned(), iface.to_owned());
        let Read { typed, attributes } = read;
        Self { client: client.clone(), node, iface, entry: typed, attributes }
    }

    /// The interfaces of a node: all, or those of a kind (`bridge`, `bond`,
    /// `eth`, `vlan`, `any_bridge`, …).
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn all(client: &Client, node: &str, kind: Option<&str>) -> Result<Vec<Self>, Error> {
        let params = Params::new().opt("type", kind);
        let List(rows) = networks(client, node).get::<List<Read<Entry>>>(params).await?;
        let model = |row: Read<Entry>| {
            let iface = row.typed.iface.clone();
            Self::of(client, node, &iface, row)
        };
        Ok(rows.into_iter().map(model).collect())
    }

    async fn load(client: &Client, node: &str, iface: &str) -> Result<Self, Error> {
        let read = networks(client, node).join(iface).get(()).await?;
        Ok(Self::of(client, node, iface, read))
    }

    /// An interface by name, as it will be; `None` when there is none.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn get(client: &Client, node: &str, iface: &str) -> Result<Option<Self>, Error> {
        // Asked for by name, one that is not there is a refused parameter.
        let all = Self::all(client, node, None).await?;
        match all.iter().any(|network| network.iface == iface) {
            true => Self::load(client, node, iface).await.map(Some),
            false => Ok(None),
        }
    }

    /// Writes a new interface down, with the options of its kind: `cidr`,
    /// `gateway`, `bridge_ports`, `autostart`, …
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn create(
        client: &Client,
        node: &str,
        iface: &str,
        kind: &str,
        options: impl Into<Params>,
    ) -> Result<Self, Error> {
        let params = Params::new().set("iface", iface).set("type", kind).and(options);
        networks(client, node).post(params).await?;
        Self::load(client, node, iface).await
    }

    /// Its name: `vmbr0`.
    pub fn iface(&self) -> &str {
        &self.iface
    }

    /// The node.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// `bridge`, `bond`, `eth`, `vlan`, `OVSBridge`, …
    pub fn kind(&self) -> &str {
        &self.entry.kind
    }

    /// Is it up?
    pub fn is_active(&self) -> bool {
        self.entry.active
    }

    /// Does it come up with the node?
    pub fn autostart(&self) -> bool {
        self.entry.autostart
    }

    /// Its IPv4 address with the length of its network's part.
    pub fn cidr(&self) -> Option<&str> {
        self.entry.cidr.as_deref()
    }

    /// The IPv4 gateway.
    pub fn gateway(&self) -> Option<&str> {
        self.entry.gateway.as_deref()
    }

    /// The interfaces that a bridge joins.
    pub fn bridge_ports(&self) -> impl Iterator<Item = &str> {
        self.entry.bridge_ports.iter().flat_map(|ports| ports.split_ascii_whitespace())
    }

    /// Its comment.
    pub fn comment(&self) -> Option<&str> {
        self.entry.comments.as_deref().map(str::trim_end)
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
        *self = Self::load(&self.client, &self.node, &self.iface).await?;
        Ok(())
    }

    /// Writes changed options down; `delete` resets some. The kind cannot be
    /// changed.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn update(&mut self, options: impl Into<Params>) -> Result<(), Error> {
        let params = Params::new().set("type", self.kind()).and(options);
        networks(&self.client, &self.node).join(&self.iface).put(params).await?;
        self.reload().await
    }

    /// Writes its end down.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn destroy(&self) -> Result<(), Error> {
        networks(&self.client, &self.node).join(&self.iface).delete(()).await.map(drop)
    }

    /// Puts what was written down in force.
    pub fn apply(client: &Client, node: &str) -> Operation<'static> {
        let resource = networks(client, node);
        let begin = async move { resource.put(()).await?.task() };
        Operation::new(client, begin, || async { Ok(()) })
    }

    /// Drops what was written down and is not in force.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn revert(client: &Client, node: &str) -> Result<(), Error> {
        networks(client, node).delete(()).await.map(drop)
    }
}

impl Node {
    /// Its network interfaces.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn networks(&self) -> Result<Vec<Network>, Error> {
        Network::all(self.client(), self.name(), None).await
    }
}
