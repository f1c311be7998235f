//! What only virtual machines have: a guest agent, cloud-init.

use super::{Guest, Lxc, Qemu};
use crate::lxc::LxcInterface;
use crate::models::wait::{Pauses, Polling};
use crate::qemu::{ExecStatus, GuestAgent};
use crate::{Error, Params};

/// One of cloud-init's documents that Proxmox makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloudInitDocument {
    /// Users, keys, packages.
    User,
    /// Addresses.
    Network,
    /// The instance's id.
    Meta,
}

impl Guest<Qemu> {
    /// The agent inside the guest. While the guest boots it does not answer:
    /// [`Error::is_agent_not_running`].
    pub fn agent(&self) -> GuestAgent {
        self.requests().agent()
    }

    /// Waits until the agent answers: until the guest has booted, that is.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request); [`Error::TimedOut`].
    pub async fn wait_for_agent(&self, policy: &Polling) -> Result<(), Error> {
        let agent = self.agent();
        let mut pauses = Pauses::new(&self.client, policy);
        loop {
            match agent.ping().await {
                Err(error) if error.is_agent_not_running() => {}
                answered => return answered,
            }
            pauses.next(&format!("the agent of guest {}", self.vmid)).await?;
        }
    }

    /// Runs a program with arguments inside, without a shell, and waits for its
    /// end. `policy` says how long; the program goes on when that is over.
    ///
    /// # Errors
    /// As [`GuestAgent::exec`]; [`Error::TimedOut`]. What the program itself
    /// answers is no error.
    pub async fn run(&self, command: &[&str], policy: &Polling) -> Result<ExecStatus, Error> {
        let agent = self.agent();
        let pid = agent.exec(command, None).await?;
        let mut pauses = Pauses::new(&self.client, policy);
        loop {
            let status = agent.exec_status(pid).await?;
            if status.exited {
                return Ok(status);
            }
            pauses.next(&format!("process {pid} in guest {}", self.vmid)).await?;
        }
    }

    /// Its calls.
    pub fn requests(&self) -> crate::qemu::Qemu {
        self.client.node(&self.node).qemu(self.vmid)
    }

    /// One of cloud-init's documents, as it would be made now.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn cloudinit_document(&self, which: CloudInitDocument) -> Result<String, Error> {
        let which = match which {
            CloudInitDocument::User => "user",
            CloudInitDocument::Network => "network",
            CloudInitDocument::Meta => "meta",
        };
        let params = Params::new().set("type", which);
        self.resource().sub("cloudinit/dump").get(params).await
    }

    /// Makes the cloud-init disk anew, with what was changed since it was made.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request). Since release 7.2.
    pub async fn regenerate_cloudinit(&self) -> Result<(), Error> {
        self.resource().sub("cloudinit").put(()).await.map(drop)
    }

    /// Presses a key in the guest: `ctrl-alt-delete`.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn send_key(&self, key: &str) -> Result<(), Error> {
        self.resource().sub("sendkey").put([("key", key)]).await.map(drop)
    }
}

impl Guest<Lxc> {
    /// The network interfaces as they are inside, without any agent. Since
    /// release 8; it must run.
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request).
    pub async fn interfaces(&self) -> Result<Vec<LxcInterface>, Error> {
        self.requests().interfaces().await
    }

    /// Its calls.
    pub fn requests(&self) -> crate::lxc::Lxc {
        self.client.node(&self.node).lxc(self.vmid)
    }
}
