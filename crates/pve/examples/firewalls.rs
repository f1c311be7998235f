//! Firewalls: aliases, sets of addresses, rules.
//!
//! ```sh
//! PVE_URL=… PVE_TOKEN_ID=… PVE_TOKEN_SECRET=… PVE_VMID=100 cargo run --example firewalls
//! ```

use std::error::Error;

use pve::Client;
use pve::firewall::Rule;
use pve::models::{Firewall, Server};

#[allow(dead_code, reason = "not every example needs all of it")]
mod support;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = support::client()?;
    names(&client).await?;
    let vmid = std::env::var("PVE_VMID")?.parse()?;
    let server = Server::find(&client, vmid).await?.ok_or("no such virtual machine")?;
    protect(&server).await
}

/// Names that rules can use: an alias and a set of addresses.
pub async fn names(client: &Client) -> Result<(), Box<dyn Error>> {
    let cluster = Firewall::of_cluster(client);
    cluster.create_alias("office", "192.0.2.0/24", Some("all of it")).await?;
    cluster.create_ip_set("admins", None).await?;
    cluster.add_to_ip_set("admins", "192.0.2.17").await?;
    Ok(())
}

/// Lets SSH into a virtual machine, and nothing else.
pub async fn protect(server: &Server) -> Result<(), Box<dyn Error>> {
    let firewall = server.firewall();
    let mut ssh = Rule::new("in", "ACCEPT");
    ssh.macro_name = Some("SSH".into());
    firewall.rules().create(&ssh, None, None).await?;
    firewall.set_options([("enable", "1"), ("policy_in", "DROP")]).await?;
    assert!(firewall.options().await?.is_enabled());
    Ok(())
}
