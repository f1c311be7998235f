//! A container's power state.

use super::Lxc;
use crate::nodes::{RrdPoint, rrd_params};
use crate::qemu::HaStatus;
use crate::requests::{record, request};
use crate::{Error, Params, Upid, VmId};

record! {
    /// A container's state.
    LxcStatus {
        /// `running` or `stopped`.
        status: String,
        /// The id; a text in some releases.
        vmid: Option<VmId>,
        /// The host name.
        name: Option<String>,
        /// The lock in its configuration.
        lock: Option<String>,
        /// Its tags as stored; see [`split_tags`](crate::qemu::split_tags).
        tags: Option<String>,
        /// Is it a template?
        template: bool,
        /// Seconds since the start.
        uptime: Option<u64>,
        /// The process of its init on the node; a text in some releases.
        pid: Option<u32>,
        /// Load, 0 to 1 (of all its cores).
        cpu: Option<f64>,
        /// Cores.
        cpus: Option<f64>,
        /// Memory in use, bytes.
        mem: Option<u64>,
        /// Memory, bytes.
        maxmem: Option<u64>,
        /// Swap in use, bytes.
        swap: Option<u64>,
        /// Swap, bytes.
        maxswap: Option<u64>,
        /// The root file system in use, bytes.
        disk: Option<u64>,
        /// The root file system, bytes.
        maxdisk: Option<u64>,
        /// High availability.
        ha: HaStatus,
    }
}

impl LxcStatus {
    /// Does it run?
    pub fn is_running(&self) -> bool {
        self.status == "running"
    }
}

record! {
    /// A network interface as the container sees it, loopback included.
    LxcInterface {
        /// `eth0`.
        name: String,
        /// The MAC address, in lower case.
        hwaddr: Option<String>,
        /// The IPv4 address with its prefix, before release 8.4 the only form.
        inet: Option<String>,
        /// The IPv6 address with its prefix.
        inet6: Option<String>,
    }
}

request! {
    /// How a container is asked to shut down.
    ShutdownRequest {
        /// Wait so many seconds; 60 unless set.
        timeout: uint "timeout",
        /// Then stop it hard. Without this, one that does not react makes the
        /// task fail.
        force_stop: flag "forceStop",
    }
}

impl Lxc {
    /// The state.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request);
    /// [`Error::is_guest_missing`].
    pub async fn status(&self) -> Result<LxcStatus, Error> {
        self.0.sub("status/current").get(()).await
    }

    async fn act(&self, action: &str, params: impl Into<Params>) -> Result<Upid, Error> {
        self.0.sub("status").join(action).post(params).await?.started()
    }

    /// Starts it. One that runs is refused at once, other than a machine.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn start(&self) -> Result<Upid, Error> {
        self.act("start", ()).await
    }

    /// Stops it hard. One that does not run is refused at once
    /// ([`Kind::NotRunning`](crate::error::Kind::NotRunning)).
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn stop(&self) -> Result<Upid, Error> {
        self.act("stop", ()).await
    }

    /// Asks it to shut down.
    ///
    /// # Errors
    /// As [`stop`](Self::stop).
    pub async fn shutdown(&self, request: &ShutdownRequest) -> Result<Upid, Error> {
        self.act("shutdown", request).await
    }

    /// Shuts it down and starts it, so that waiting changes take effect.
    ///
    /// # Errors
    /// As [`stop`](Self::stop).
    pub async fn reboot(&self, timeout_s: Option<u32>) -> Result<Upid, Error> {
        self.act("reboot", Params::new().opt("timeout", timeout_s)).await
    }

    /// Freezes it to disk; experimental, needs CRIU on the node.
    ///
    /// # Errors
    /// As [`stop`](Self::stop).
    pub async fn suspend(&self) -> Result<Upid, Error> {
        self.act("suspend", ()).await
    }

    /// Wakes a suspended one; experimental.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn resume(&self) -> Result<Upid, Error> {
        self.act("resume", ()).await
    }

    /// The network interfaces of the running container; since release 8.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn interfaces(&self) -> Result<Vec<LxcInterface>, Error> {
        self.0.sub("interfaces").list(()).await
    }

    /// Load over time; see [`Node::rrd_data`](crate::nodes::Node::rrd_data).
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
}
