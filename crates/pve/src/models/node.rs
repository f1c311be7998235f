//! Nodes.

use super::attributes::Read;
use super::{Attributes, Operation, Task};
use crate::lenient::List;
use crate::nodes::{NodeEntry, NodeStatus, RrdGraph, RrdPoint};
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
    ) -> Result<Vec<RrdPoint>, Error> {
        let consolidation = consolidation.map(Consolidation::word);
        self.requests().rrd_data(timeframe.word(), consolidation).await
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
    ) -> Result<RrdGraph, Error> {
        let consolidation = consolidation.map(Consolidation::word);
        self.requests().rrd_graph(figures, timeframe.word(), consolidation).await
    }

    /// Restarts the node itself. Guests are shut down or moved as the data
    /// centre's options say. Answered before it happens.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn reboot(&self) -> Result<(), Error> {
        self.requests().reboot().await
    }

    /// Switches the node itself off. See [`reboot`](Self::reboot).
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn shutdown(&self) -> Result<(), Error> {
        self.requests().shutdown().await
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
}
