//! Power: start, stop, and what lies between.

use std::time::Duration;

use http::Method;

use super::{Guest, GuestKind, Qemu};
use crate::models::{Operation, Polling};
use crate::qemu::ShutdownRequest;
use crate::{Error, Params, lenient};

impl<K: GuestKind> Guest<K> {
    fn act(&mut self, action: &str, params: impl Into<Params>) -> Operation<'_> {
        self.operation(Method::POST, &format!("status/{action}"), params)
    }

    /// Is it running, paused or not? This is what fog calls ready.
    pub fn is_running(&self) -> bool {
        K::is_running(&self.status)
    }

    /// Is it a template?
    pub fn is_template(&self) -> bool {
        self.option("template").and_then(lenient::parse_bool).unwrap_or(false)
    }

    /// Waits until it runs.
    ///
    /// # Errors
    /// As [`wait_for`](Self::wait_for).
    pub async fn wait_until_running(&mut self, policy: &Polling) -> Result<(), Error> {
        self.wait_for(policy, Self::is_running).await
    }

    /// Starts it. That a virtual machine runs already, or is a template, shows
    /// in the task; a container that runs already is refused.
    pub fn start(&mut self) -> Operation<'_> {
        self.act("start", ())
    }

    /// Stops it hard. The task of a stopped virtual machine ends well; a stopped
    /// container is refused.
    pub fn stop(&mut self) -> Operation<'_> {
        self.act("stop", ())
    }

    /// Asks it to shut down. Without a reaction in time the task fails, unless
    /// `request` says to stop it then.
    pub fn shutdown(&mut self, request: ShutdownRequest) -> Operation<'_> {
        let params = Params::new()
            .opt("timeout", request.timeout_s)
            .opt("forceStop", request.force_stop.then_some(true));
        self.act("shutdown", params)
    }

    /// Shuts it down and starts it, so that waiting changes take effect. A
    /// stopped one is refused. `timeout` is in whole seconds.
    pub fn reboot(&mut self, timeout: Option<Duration>) -> Operation<'_> {
        let params = Params::new().opt("timeout", timeout.map(|timeout| timeout.as_secs()));
        self.act("reboot", params)
    }

    /// Pauses it. Proxmox calls this experimental for containers.
    pub fn suspend(&mut self) -> Operation<'_> {
        self.act("suspend", ())
    }

    /// Lets a paused or hibernated one run.
    pub fn resume(&mut self) -> Operation<'_> {
        self.act("resume", ())
    }
}

impl Guest<Qemu> {
    /// Is it paused? Its state is `running` all the same.
    pub fn is_paused(&self) -> bool {
        self.status.is_paused()
    }

    /// Presses the reset button. A stopped one is refused.
    pub fn reset(&mut self) -> Operation<'_> {
        self.act("reset", ())
    }

    /// Saves its memory to disk and stops it.
    pub fn hibernate(&mut self) -> Operation<'_> {
        self.act("suspend", Params::new().set("todisk", true))
    }
}
