//! Connecting: by API token or by log-in, and which servers to trust.
//!
//! ```sh
//! PVE_URL=https://pve1.example:8006 PVE_TOKEN_ID='me@pve!innkeeper' PVE_TOKEN_SECRET=… \
//!     PVE_FINGERPRINT=AB:CD:… cargo run --example connect
//! ```

use std::error::Error;
use std::time::Duration;

use pve::{Auth, Client, Config, Factor, LogIn, Tls};

#[allow(dead_code, reason = "not every example needs all of it")]
mod support;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("{}", run(&support::client()?).await?);
    Ok(())
}

/// With an API token: `user@realm!name` and its secret. The server is known by
/// the fingerprint of its certificate.
pub fn by_token(
    url: &str,
    id: &str,
    secret: &str,
    fingerprint: &str,
) -> Result<Client, Box<dyn Error>> {
    let mut config = Config::new([url.parse()?], Auth::token(id, secret.to_owned()));
    config.tls = Tls::pinned([fingerprint.parse()?]);
    config.timeouts.read = Duration::from_secs(20);
    Ok(Client::new(config)?)
}

/// With name and password. The client logs in at the first call, and again
/// before its ticket is too old.
pub fn by_password(
    url: &str,
    user: &str,
    password: &str,
    authorities: &str,
) -> Result<Client, Box<dyn Error>> {
    let mut config = Config::new([url.parse()?], Auth::ticket(user, password.to_owned()));
    config.tls = Tls::ca_bundle(authorities);
    Ok(Client::new(config)?)
}

/// With a second factor: two steps, between which a person reads a code.
pub async fn by_second_factor(config: Config, code: &str) -> Result<Client, Box<dyn Error>> {
    match Client::log_in(config).await? {
        LogIn::Done(client) => Ok(client),
        LogIn::Challenge(challenge) => Ok(challenge.answer(&Factor::totp(code)).await?),
        _ => Err("neither logged in nor asked for a second factor".into()),
    }
}

/// Who answers, and what we may do there.
pub async fn run(client: &Client) -> Result<String, Box<dyn Error>> {
    let version = client.version().await?;
    let permissions = client.access().permissions(None).await?;
    let may_look = permissions.has("/", "Sys.Audit");
    Ok(format!("release {}, may look around: {may_look}", version.release))
}
