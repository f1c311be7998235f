//! A client from the environment, for the examples' `main`.

use std::env;
use std::error::Error;

use pve::{Auth, Client, Config, Tls};

/// Reads `PVE_URL` (`https://pve1.example:8006`), `PVE_TOKEN_ID`
/// (`me@pve!innkeeper`), `PVE_TOKEN_SECRET`, and `PVE_FINGERPRINT` unless the
/// system trusts the server's certificate.
pub fn client() -> Result<Client, Box<dyn Error>> {
    let auth = Auth::token(env::var("PVE_TOKEN_ID")?, env::var("PVE_TOKEN_SECRET")?);
    let mut config = Config::new([env::var("PVE_URL")?.parse()?], auth);
    if let Ok(fingerprint) = env::var("PVE_FINGERPRINT") {
        config.tls = Tls::pinned([fingerprint.parse()?]);
    }
    Ok(Client::new(config)?)
}

/// `PVE_NODE`, the node that an example works on.
pub fn node() -> Result<String, Box<dyn Error>> {
    Ok(env::var("PVE_NODE")?)
}

/// `PVE_STORAGE`, the storage that an example puts disks on.
pub fn storage() -> Result<String, Box<dyn Error>> {
    Ok(env::var("PVE_STORAGE")?)
}
