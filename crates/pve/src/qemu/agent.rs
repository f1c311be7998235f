//! The guest agent inside a machine.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde::Deserialize;

use crate::lenient::List;
use crate::resource::{Resource, handle};
use crate::{Error, Params, lenient};

/// `/nodes/NODE/qemu/VMID/agent`. While a guest boots its agent does not
/// answer: [`Error::is_agent_not_running`], try again.
#[derive(Clone, Debug)]
pub struct GuestAgent(pub(super) Resource);
handle!(GuestAgent);

/// Most read commands nest their answer.
#[derive(Deserialize)]
struct Answer<T> {
    result: T,
}

/// An address of a network interface.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct AgentAddress {
    /// The address.
    #[serde(rename = "ip-address", default, deserialize_with = "lenient::string")]
    pub address: String,
    /// `ipv4` or `ipv6`.
    #[serde(rename = "ip-address-type", default, deserialize_with = "lenient::string")]
    pub kind: String,
    /// Bits of the network's part.
    #[serde(default, deserialize_with = "lenient::opt_u32")]
    pub prefix: Option<u32>,
}

/// A network interface as the guest sees it, loopback included.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct AgentInterface {
    /// `eth0`.
    #[serde(default, deserialize_with = "lenient::string")]
    pub name: String,
    /// The MAC address in lower case, while a configuration has upper case.
    #[serde(rename = "hardware-address", default, deserialize_with = "lenient::opt_string")]
    pub mac: Option<String>,
    /// Its addresses.
    #[serde(rename = "ip-addresses", default, deserialize_with = "lenient::list")]
    pub addresses: Vec<AgentAddress>,
}

/// The guest's operating system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct OsInfo {
    /// `debian`, `mswindows`.
    #[serde(deserialize_with = "lenient::opt_string")]
    pub id: Option<String>,
    /// `Debian GNU/Linux`.
    #[serde(deserialize_with = "lenient::opt_string")]
    pub name: Option<String>,
    /// `Debian GNU/Linux 12 (bookworm)`.
    #[serde(deserialize_with = "lenient::opt_string")]
    pub pretty_name: Option<String>,
    /// `12`.
    #[serde(deserialize_with = "lenient::opt_string")]
    pub version_id: Option<String>,
    /// The kernel.
    #[serde(deserialize_with = "lenient::opt_string")]
    pub kernel_release: Option<String>,
    /// `x86_64`.
    #[serde(deserialize_with = "lenient::opt_string")]
    pub machine: Option<String>,
}

/// How a command inside the guest is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ExecStatus {
    /// Has it ended?
    #[serde(deserialize_with = "lenient::bool")]
    pub exited: bool,
    /// Its exit code.
    #[serde(rename = "exitcode", deserialize_with = "lenient::opt_i64")]
    pub exit_code: Option<i64>,
    /// The signal that ended it.
    #[serde(deserialize_with = "lenient::opt_i64")]
    pub signal: Option<i64>,
    /// What it wrote to standard output.
    #[serde(deserialize_with = "lenient::string")]
    pub out_data: String,
    /// What it wrote to standard error.
    #[serde(deserialize_with = "lenient::string")]
    pub err_data: String,
    /// Was the output cut?
    #[serde(deserialize_with = "lenient::bool")]
    pub out_truncated: bool,
    /// Was the error output cut?
    #[serde(deserialize_with = "lenient::bool")]
    pub err_truncated: bool,
}

/// A file's content. Proxmox hands bytes over as Latin-1 characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct FileContent {
    /// The content.
    #[serde(deserialize_with = "lenient::string")]
    pub content: String,
    /// Was it cut?
    #[serde(deserialize_with = "lenient::bool")]
    pub truncated: bool,
}

impl GuestAgent {
    /// Does the agent answer?
    ///
    /// # Errors
    /// As [`Client::request`](crate::Client::request);
    /// [`Error::is_agent_not_running`].
    pub async fn ping(&self) -> Result<(), Error> {
        self.0.sub("ping").post(()).await.map(drop)
    }

    /// The network interfaces with their addresses.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub async fn network_interfaces(&self) -> Result<Vec<AgentInterface>, Error> {
        let answer: Answer<List<_>> = self.0.sub("network-get-interfaces").get(()).await?;
        Ok(answer.result.0)
    }

    /// The operating system.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub async fn os_info(&self) -> Result<OsInfo, Error> {
        let answer: Answer<OsInfo> = self.0.sub("get-osinfo").get(()).await?;
        Ok(answer.result)
    }

    /// Runs a program with arguments, no shell, and answers its process id.
    /// `input` goes to its standard input.
    ///
    /// # Errors
    /// As [`ping`](Self::ping). A program that does not exist ends in
    /// [`Doubt::AgentAnswerLost`](crate::error::Doubt::AgentAnswerLost).
    pub async fn exec(&self, command: &[&str], input: Option<SecretString>) -> Result<u64, Error> {
        #[derive(Deserialize)]
        struct Started {
            #[serde(deserialize_with = "lenient::u64")]
            pid: u64,
        }
        let mut params: Params = command.iter().map(|word| ("command", *word)).collect();
        if let Some(input) = input {
            params = params.secret("input-data", input);
        }
        let started: Started = self.0.sub("exec").post(params).await?.data()?;
        Ok(started.pid)
    }

    /// How a program is doing. The answer that says `exited` is given once.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub async fn exec_status(&self, pid: u64) -> Result<ExecStatus, Error> {
        let params = Params::new().set("pid", pid);
        self.0.sub("exec-status").get(params).await
    }

    /// Reads a file, at most 16 MiB of it.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub async fn file_read(&self, file: &str) -> Result<FileContent, Error> {
        let params = Params::new().set("file", file);
        self.0.sub("file-read").get(params).await
    }

    /// Writes a file, at most about 45 KiB.
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub async fn file_write(&self, file: &str, content: &[u8]) -> Result<(), Error> {
        let params = Params::new()
            .set("file", file)
            .secret("content", STANDARD.encode(content).into())
            .set("encode", false);
        self.0.sub("file-write").post(params).await.map(drop)
    }
}
