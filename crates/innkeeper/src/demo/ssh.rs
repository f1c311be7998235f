//! Logging in to the guest, as its user would.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use model::Random;
use russh::client::{self, Handler};
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{ChannelMsg, Disconnect};
use secrecy::SecretString;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::state::StateFolder;

/// How long one try to log in may take. A guest under emulation needs a second
/// or two for the key exchange alone.
const LOG_IN: Duration = Duration::from_secs(20);

/// How long a server may take to greet.
const BANNER: Duration = Duration::from_millis(700);

/// A key pair for one demo.
pub struct DemoKey {
    private: Arc<PrivateKey>,
    /// The line for the guest's `authorized_keys`.
    pub public: String,
}

impl DemoKey {
    /// A new key, written to `path` (0600) for the user's own `ssh`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(random: &dyn Random, path: &Path) -> Result<Self> {
        let mut seed = [0u8; 32];
        random.fill(&mut seed);
        let private = PrivateKey::from(Ed25519Keypair::from_seed(&seed));
        let public = format!("{} innkeeper-demo", private.public_key().to_openssh()?.trim_end());
        let text = private.to_openssh(LineEnding::LF)?;
        StateFolder::write_secret(path, &SecretString::from(text.trim_end().to_owned()))?;
        Ok(Self { private: Arc::new(private), public })
    }
}

/// The guest was made a moment ago and is reached over loopback: there is no
/// earlier key that its host key could be checked against.
struct NewHost;

impl Handler for NewHost {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

/// Whether an SSH server answers at this address now. The user network takes a
/// connection before the guest can, and would then keep it waiting for seconds.
pub async fn answers(address: SocketAddr) -> bool {
    let banner = async {
        let mut stream = TcpStream::connect(address).await?;
        let mut start = [0u8; 4];
        stream.read_exact(&mut start).await?;
        std::io::Result::Ok(&start == b"SSH-")
    };
    matches!(tokio::time::timeout(BANNER, banner).await, Ok(Ok(true)))
}

/// Logs in once and runs a command; its output.
///
/// # Errors
/// When the guest does not answer, refuses, or the command fails.
pub async fn run(address: SocketAddr, key: &DemoKey, command: &str) -> Result<String> {
    tokio::time::timeout(LOG_IN, log_in_and_run(address, key, command))
        .await
        .context("the guest did not answer in time")?
}

async fn log_in_and_run(address: SocketAddr, key: &DemoKey, command: &str) -> Result<String> {
    let mut session =
        client::connect(Arc::new(client::Config::default()), address, NewHost).await?;
    let with_key = PrivateKeyWithHashAlg::new(Arc::clone(&key.private), None);
    if !session.authenticate_publickey("root", with_key).await?.success() {
        bail!("the guest refused the key");
    }
    let mut channel = session.channel_open_session().await?;
    channel.exec(true, command).await?;
    let (mut output, mut status) = (Vec::new(), None);
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Data { data } => output.extend_from_slice(&data),
            ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
            _ => {}
        }
    }
    session.disconnect(Disconnect::ByApplication, "", "en").await?;
    match status {
        Some(0) => Ok(String::from_utf8_lossy(&output).into_owned()),
        status => bail!("the command ended with {status:?}"),
    }
}
