//! A machine's power state.

use serde::Deserialize;

use super::Qemu;
use crate::{Error, Params, Upid, VmId, lenient};

/// What high availability says about a guest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct HaStatus {
    /// Does it look after the guest?
    #[serde(deserialize_with = "lenient::bool")]
    pub managed: bool,
    /// The state that it wants or sees.
    #[serde(deserialize_with = "lenient::opt_string")]
    pub state: Option<String>,
}

/// A machine's state.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct QemuStatus {
    /// `running` or `stopped`; a paused machine runs.
    #[serde(default, deserialize_with = "lenient::string")]
    pub status: String,
    /// QEMU's own word: `running`, `stopped`, `paused`, `prelaunch`, …
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub qmpstatus: Option<String>,
    /// The id.
    #[serde(default, deserialize_with = "crate::upid::opt_vmid")]
    pub vmid: Option<VmId>,
    /// The name.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub name: Option<String>,
    /// The lock in its configuration.
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub lock: Option<String>,
    /// Its tags as stored; see [`split_tags`](super::split_tags).
    #[serde(default, deserialize_with = "lenient::opt_string")]
    pub tags: Option<String>,
    /// Is it a template?
    #[serde(default, deserialize_with = "lenient::bool")]
    pub template: bool,
    /// Is the guest agent switched on?
    #[serde(default, deserialize_with = "lenient::opt_bool")]
    pub agent: Option<bool>,
    /// Seconds since the start, or since a rollback.
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    pub uptime: Option<u64>,
    /// The process, while it runs.
    #[serde(default, deserialize_with = "lenient::opt_u32")]
    pub pid: Option<u32>,
    /// Load, 0 to 1.
    #[serde(default, deserialize_with = "lenient::opt_f64")]
    pub cpu: Option<f64>,
    /// Cores.
    #[serde(default, deserialize_with = "lenient::opt_f64")]
    pub cpus: Option<f64>,
    /// Memory in use, bytes.
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    pub mem: Option<u64>,
    /// Memory, bytes.
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    pub maxmem: Option<u64>,
    /// The boot disk's size, bytes.
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    pub maxdisk: Option<u64>,
    /// High availability.
    #[serde(default)]
    pub ha: HaStatus,
}

impl lenient::Lenient for HaStatus {
    fn read<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(d)?.unwrap_or_default())
    }
}

impl QemuStatus {
    /// Is there a process, paused or not?
    pub fn is_running(&self) -> bool {
        self.status == "running"
    }

    /// Is it paused?
    pub fn is_paused(&self) -> bool {
        self.qmpstatus.as_deref() == Some("paused")
    }
}

/// How a machine is asked to shut down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownRequest {
    /// Wait so many seconds for the guest; Proxmox's default is 60.
    pub timeout_s: Option<u32>,
    /// Then stop it hard. Without this, a guest that does not react makes the
    /// task fail.
    pub force_stop: bool,
}

impl Qemu {
    /// The state.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request);
    /// [`Error::is_guest_missing`].
    pub async fn status(&self) -> Result<QemuStatus, Error> {
        self.0.sub("status/current").get(()).await
    }

    async fn act(&self, action: &str, params: impl Into<Params>) -> Result<Upid, Error> {
        self.0.sub("status").join(action).post(params).await?.started()
    }

    /// Starts it. Most faults (it runs already, it is a template, it does not
    /// exist) show only in the task.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn start(&self) -> Result<Upid, Error> {
        self.act("start", ()).await
    }

    /// Stops it hard. The task of a stopped one ends well.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn stop(&self) -> Result<Upid, Error> {
        self.act("stop", ()).await
    }

    /// Asks the guest to shut down. The task of a stopped one ends well.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn shutdown(&self, request: ShutdownRequest) -> Result<Upid, Error> {
        let params = Params::new()
            .opt("timeout", request.timeout_s)
            .opt("forceStop", request.force_stop.then_some(true));
        self.act("shutdown", params).await
    }

    /// Shuts it down and starts it, so that waiting changes take effect.
    ///
    /// # Errors
    /// As [`start`](Self::start); a stopped one is refused
    /// ([`Kind::NotRunning`](crate::error::Kind::NotRunning)).
    pub async fn reboot(&self, timeout_s: Option<u32>) -> Result<Upid, Error> {
        let params = Params::new().opt("timeout", timeout_s);
        self.act("reboot", params).await
    }

    /// Presses the reset button.
    ///
    /// # Errors
    /// As [`reboot`](Self::reboot).
    pub async fn reset(&self) -> Result<Upid, Error> {
        self.act("reset", ()).await
    }

    /// Pauses it; `to_disk` saves its memory and stops it.
    ///
    /// # Errors
    /// As [`reboot`](Self::reboot).
    pub async fn suspend(&self, to_disk: bool) -> Result<Upid, Error> {
        let params = Params::new().opt("todisk", to_disk.then_some(true));
        self.act("suspend", params).await
    }

    /// Lets a paused one run.
    ///
    /// # Errors
    /// As [`reboot`](Self::reboot).
    pub async fn resume(&self) -> Result<Upid, Error> {
        self.act("resume", ()).await
    }
}
