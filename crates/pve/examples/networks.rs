//! Networks of nodes: bridges and VLANs, written down and then put in force.
//!
//! ```sh
//! PVE_URL=… PVE_TOKEN_ID=… PVE_TOKEN_SECRET=… PVE_NODE=pve1 cargo run --example networks
//! ```

use std::error::Error;

use pve::Client;
use pve::models::Network;

#[allow(dead_code, reason = "not every example needs all of it")]
mod support;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = support::client()?;
    let node = support::node()?;
    for network in Network::all(&client, &node, Some("any_bridge")).await? {
        println!("{}: {:?}", network.iface(), network.cidr());
    }
    add_bridge(&client, &node, "vmbr99").await
}

/// A bridge without a port, made, changed, and put in force.
pub async fn add_bridge(client: &Client, node: &str, name: &str) -> Result<(), Box<dyn Error>> {
    let options = [("autostart", "1"), ("comments", "for tests")];
    let mut bridge = Network::create(client, node, name, "bridge", options).await?;
    bridge.update([("cidr", "10.99.0.1/24"), ("autostart", "1")]).await?;
    assert_eq!(bridge.cidr(), Some("10.99.0.1/24"));
    // Until here it is only written down.
    Network::apply(client, node).await?;
    Ok(())
}

/// Its end.
pub async fn remove_bridge(client: &Client, node: &str, name: &str) -> Result<(), Box<dyn Error>> {
    if let Some(bridge) = Network::get(client, node, name).await? {
        bridge.destroy().await?;
        Network::apply(client, node).await?;
    }
    Ok(())
}
