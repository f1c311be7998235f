//! Load over time.

use super::Node;
use crate::lenient::Lenient;
use crate::requests::record;
use crate::{Error, Params, Reply};

record! {
    /// A point in time. A point without figures has nothing but its time;
    /// figures are numbers with or without a fraction, or null.
    RrdPoint {
        /// Seconds since the epoch.
        time: Option<u64>,
        /// Load, 0 to 1.
        cpu: Option<f64>,
        /// Cores.
        maxcpu: Option<f64>,
        /// Memory in use of a guest, bytes.
        mem: Option<f64>,
        /// Memory of a guest, bytes.
        maxmem: Option<f64>,
        /// Bytes per second into the network interfaces.
        netin: Option<f64>,
        /// Bytes per second out of the network interfaces.
        netout: Option<f64>,
        /// Bytes per second read from disks.
        diskread: Option<f64>,
        /// Bytes per second written to disks.
        diskwrite: Option<f64>,
        /// Bytes in use of a storage.
        used: Option<f64>,
        /// Bytes of a storage.
        total: Option<f64>,
    }
}

impl RrdPoint {
    /// Any figure, by Proxmox's name for it.
    pub fn extra_figure(&self, name: &str) -> Option<f64> {
        Option::<f64>::read(self.extra.get(name)?).ok()?
    }
}

record! {
    /// A picture.
    RrdGraph {
        /// Its file on the node.
        filename: String,
        /// The PNG's bytes, each as a Latin-1 character.
        image: Option<String>,
    }
}

impl RrdGraph {
    /// The PNG's bytes; `None` when there is no picture in the answer.
    pub fn png(&self) -> Option<Vec<u8>> {
        let bytes = self.image.as_deref()?.chars().map(|c| u8::try_from(u32::from(c)).ok());
        bytes.collect()
    }
}

pub(crate) fn rrd_params(timeframe: &str, consolidation: Option<&str>) -> Params {
    Params::new().set("timeframe", timeframe).opt("cf", consolidation)
}

impl Node {
    /// Load over the last `hour`, `day`, `week`, `month`, `year` or (since
    /// release 9) `decade`; `AVERAGE` unless `MAX` is asked for.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn rrd_data(
        &self,
        timeframe: &str,
        consolidation: Option<&str>,
    ) -> Result<Vec<RrdPoint>, Error> {
        self.0.sub("rrddata").list(rrd_params(timeframe, consolidation)).await
    }

    /// The same as a picture of these figures, `cpu,iowait` for example.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn rrd_graph(
        &self,
        figures: &str,
        timeframe: &str,
        consolidation: Option<&str>,
    ) -> Result<RrdGraph, Error> {
        let params = rrd_params(timeframe, consolidation).set("ds", figures);
        let reply: Reply = self.0.sub("rrd").send(http::Method::GET, params).await?;
        reply.data()
    }
}
