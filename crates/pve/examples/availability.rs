//! High availability: guests that the cluster keeps running.
//!
//! ```sh
//! PVE_URL=… PVE_TOKEN_ID=… PVE_TOKEN_SECRET=… PVE_VMID=100 cargo run --example availability
//! ```

use std::error::Error;

use pve::cluster::{HaGroupRequest, HaResourceRequest, HaRuleRequest};
use pve::models::{HaGroup, HaResource, HaRule};
use pve::{Client, VmId};

#[allow(dead_code, reason = "not every example needs all of it")]
mod support;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = support::client()?;
    let vmid: VmId = std::env::var("PVE_VMID")?.parse()?;
    protect(&client, vmid).await?;
    release(&client, vmid).await
}

/// Keeps a virtual machine running, on `pve1` if that is up.
pub async fn protect(client: &Client, vmid: VmId) -> Result<(), Box<dyn Error>> {
    let sid = format!("vm:{vmid}");
    let request = HaResourceRequest::new().state("started").max_restart(2);
    let mut resource = HaResource::create(client, &sid, &request).await?;
    // Release 9 has rules where releases before it have groups.
    match client.version().await?.numbers() {
        Some((major, _)) if major >= 9 => {
            let request = HaRuleRequest::new("node-affinity").nodes(["pve1:2", "pve2"]);
            HaRule::create(client, "near-pve1", &request.resources([&sid])).await?;
        }
        _ => {
            let request = HaGroupRequest::new().nodes(["pve1:2", "pve2"]);
            HaGroup::create(client, "near-pve1", &request).await?;
            resource.update(&HaResourceRequest::new().group("near-pve1")).await?;
        }
    }
    Ok(())
}

/// Lets it be.
pub async fn release(client: &Client, vmid: VmId) -> Result<(), Box<dyn Error>> {
    if let Some(resource) = HaResource::get(client, &format!("vm:{vmid}")).await? {
        resource.destroy().await?;
    }
    Ok(())
}
