//! Nodes.

use serde::Deserialize;

use super::attributes::Read;
use super::{Attributes, Operation, Task};
use crate::lenient::{self, List};
use crate::nodes::{NodeEntry, NodeStatus};
use crate::resource::Resource;
use crate::tasks::TaskFilter;
use crate::{Client, Error, Params};

/// A node of the cluster.
#[derive(Clone, Debug)]
pub struct Node {
    client: Client,
    entry: NodeEntry,
    attributes: Attributes,
}

/// What statistics cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Timeframe {
    /// The last hour, a point a minute.
    Hour,
    /// The last day.
    Day,
    /// The last week.
    Week,
    /// The last month.
    Month,
    /// The last year.
    Year,
    /// The last ten years; since release 9.
    Decade,
}

impl Timeframe {
    fn word(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
            Self::Decade => "decade",
        }
    }
}

/// A point of a statistic. Which figures it has differs between releases; one
/// without a measurement has only its time.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct StatisticsPoint {
    /// When, in seconds since the epoch.
    #[serde(deserialize_with = "lenient::u64")]
    pub time: u64,
    /// Name to figure: `cpu` (0 to 1), `memused`, `netin` (bytes per second), …
    #[serde(flatten)]
    pub figures: Attributes,
}

impl StatisticsPoint {
    /// A figure.
    pub fn figure(&self, name: &str) -> Option<f64> {
        self.figures.text(name)?.trim().parse().ok()
    }
}

/// A diagram, drawn by Proxmox.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagram {
    /// The file on the node that it was taken from.
    pub filename: String,
    /// A PNG image.
    pub png: Vec<u8>,
}

impl<'de> Deserialize<'de> for Diagram {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default, deserialize_with = "lenient::string")]
            filename: String,
            #[serde(default, deserialize_with = "lenient::string")]
            image: String,
        }
        let answer = Answer::deserialize(d)?;
        // The bytes come as characters of the same number.
        let png: Result<Vec<u8>, _> = answer.image.chars().map(u8::try_from).collect();
        let png = png.map_err(|_| serde::de::Error::custom("image: expected bytes as Latin-1"))?;
        Ok(Self { filename: answer.filename, png })
    }
}

/// What a statistic is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Consolidation {
    /// Averages.
    Average,
    /// Largest values.
    Max,
}

impl Consolidation {
    fn word(self) -> &'static str {
        match self {
            Self::Average => "AVERAGE",
            Self::Max => "MAX",
        }
    }
}

impl Node {
    /// The nodes of the cluster.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn all(client: &Client) -> Result<Vec<Self>, Error> {
        let List(nodes) = Resource::new(client, "nodes").get::<List<Read<NodeEntry>>>(()).await?;
        let model = |read: Read<NodeEntry>| Self {
            client: client.clone(),
            entry: read.typed,
            attributes: read.attributes,
        };
        Ok(nodes.into_iter().map(model).collect())
    }

    /// A node by name; `None` when the cluster has none of it.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn get(client: &Client, name: &str) -> Result<Option<Self>, Error> {
        // There is no call for one line of the list.
        let nodes = Self::all(client).await?;
        Ok(nodes.into_iter().find(|node| node.name() == name))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.entry.node
    }

    /// What the cluster's list says about it.
    pub fn entry(&self) -> &NodeEntry {
        &self.entry
    }

    /// Everything that the list says about it.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// Its calls.
    pub fn requests(&self) -> crate::nodes::Node {
        self.client.node(self.name())
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    fn resource(&self, tail: &str) -> Resource {
        Resource::new(&self.client, "nodes").join(self.name()).sub(tail)
    }

    /// Reads its line of the list again.
    ///
    /// # Errors
    /// As [`Client::request`]; [`Error::is_not_found`] when it left the cluster.
    pub async fn reload(&mut self) -> Result<(), Error> {
        match Self::get(&self.client, self.name()).await? {
            Some(node) => *self = node,
            // Let the server say it.
            None => drop(self.status().await?),
        }
        Ok(())
    }

    /// Its state: processors, memory, load, release. Needs `Sys.Audit`.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn status(&self) -> Result<NodeStatus, Error> {
        self.requests().status().await
    }

    /// Its statistics, oldest first.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn statistics(
        &self,
        timeframe: Timeframe,
        consolidation: Option<Consolidation>,
    ) -> Result<Vec<StatisticsPoint>, Error> {
        let params = Params::new()
            .set("timeframe", timeframe.word())
            .opt("cf", consolidation.map(Consolidation::word));
        let List(points) = self.resource("rrddata").get(params).await?;
        Ok(points)
    }

    /// A diagram of some figures (`cpu,iowait`).
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn diagram(
        &self,
        figures: &str,
        timeframe: Timeframe,
        consolidation: Option<Consolidation>,
    ) -> Result<Diagram, Error> {
        let params = Params::new()
            .set("ds", figures)
            .set("timeframe", timeframe.word())
            .opt("cf", consolidation.map(Consolidation::word));
        self.resource("rrd").get(params).await
    }

    async fn power(&self, command: &str) -> Result<(), Error> {
        let params = Params::new().set("command", command);
        self.resource("status").post(params).await.map(drop)
    }

    /// Restarts the node itself. Guests are shut down or moved as the data
    /// centre's options say. Answered before it happens.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn reboot(&self) -> Result<(), Error> {
        self.power("reboot").await
    }

    /// Switches the node itself off. See [`reboot`](Self::reboot).
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn shutdown(&self) -> Result<(), Error> {
        self.power("shutdown").await
    }

    /// Its tasks, newest first.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<Task>, Error> {
        Task::search(&self.client, self.name(), filter).await
    }

    /// Backs up guests of this node: `vmid` (a comma list), `pool`, or
    /// `all=1`, with the options of the call. The task fails with `job errors`
    /// when one guest failed.
    pub fn backup(&self, options: impl Into<Params>) -> Operation<'static> {
        let (resource, params) = (self.resource("vzdump"), options.into());
        let begin = async move { resource.post(params).await?.task() };
        Operation::new(&self.client, begin, || async { Ok(()) })
    }

    /// What a backup does where it is not told: storage, mode, compression.
    ///
    /// # Errors
    /// As [`Client::request`]. Since release 7.
    pub async fn backup_defaults(&self) -> Result<Attributes, Error> {
        self.resource("vzdump/defaults").get(()).await
    }
}
