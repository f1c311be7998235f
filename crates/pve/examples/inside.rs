//! What is inside a virtual machine: cloud-init before it starts, the guest
//! agent while it runs.
//!
//! ```sh
//! PVE_URL=… PVE_TOKEN_ID=… PVE_TOKEN_SECRET=… PVE_VMID=100 PVE_STORAGE=local cargo run --example inside
//! ```

use std::error::Error;
use std::time::Duration;

use pve::models::{CloudInitDocument, Controller, Disk, Polling, Server};
use pve::qemu::ConfigChange;

#[allow(dead_code, reason = "not every example needs all of it")]
mod support;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = support::client()?;
    let vmid = std::env::var("PVE_VMID")?.parse()?;
    let mut server = Server::find(&client, vmid).await?.ok_or("no such virtual machine")?;
    println!("{}", prepare(&mut server, &support::storage()?).await?);
    server.start().await?;
    for line in look(&server).await? {
        println!("{line}");
    }
    Ok(())
}

/// A drive with cloud-init's documents: a user with a key, and an address.
pub async fn prepare(server: &mut Server, storage: &str) -> Result<String, Box<dyn Error>> {
    let place = server.next_device(Controller::Ide).ok_or("all places are taken")?;
    server.attach(&Disk::cloudinit(place, storage)?).await?;
    let change = ConfigChange::new()
        .set("ciuser", "alice")
        .ssh_keys("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFakeKeyForTheExample alice\n")
        .set("ipconfig0", "ip=10.0.0.9/24,gw=10.0.0.1");
    server.update(&change).await?;
    // The drive has what it was made with; a running guest needs this call.
    server.regenerate_cloudinit().await?;
    Ok(server.cloudinit_document(CloudInitDocument::User).await?)
}

/// The system, its addresses, and what a program prints.
pub async fn look(server: &Server) -> Result<Vec<String>, Box<dyn Error>> {
    // It does not answer before the guest has booted.
    server.wait_for_agent(&Polling::within(Duration::from_secs(120))).await?;
    let agent = server.agent();
    let mut lines = vec![agent.os_info().await?.pretty_name.unwrap_or_default()];
    for interface in agent.network_interfaces().await? {
        for address in interface.addresses {
            lines.push(format!("{}: {}", interface.name, address.address));
        }
    }
    let status = server.run(&["/bin/echo", "hello"], &Polling::default()).await?;
    lines.push(status.out_data);
    Ok(lines)
}
