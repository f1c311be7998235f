//! Storages: what they hold, and how files get there.
//!
//! ```sh
//! PVE_URL=… PVE_TOKEN_ID=… PVE_TOKEN_SECRET=… PVE_NODE=pve1 PVE_STORAGE=local \
//!     cargo run --example storages -- debian.iso
//! ```

use std::error::Error;

use bytes::Bytes;
use futures::stream;
use pve::models::{Storage, Volume};
use pve::property::DiskSize;
use pve::{Client, UploadRequest, VmId};

#[allow(dead_code, reason = "not every example needs all of it")]
mod support;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = support::client()?;
    let node = support::node()?;
    for line in list(&client, &node).await? {
        println!("{line}");
    }
    let storage = Storage::get(&client, &node, &support::storage()?).await?.ok_or("no storage")?;
    if let Some(path) = std::env::args().nth(1) {
        let content = std::fs::read(&path)?;
        let volume = upload(&storage, &path, content).await?;
        println!("{} is {:?} bytes long", volume.volid(), volume.size());
    }
    Ok(())
}

/// A line about each storage that may hold ISO images.
pub async fn list(client: &Client, node: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let mut lines = Vec::new();
    for storage in Storage::list_by_content_type(client, node, "iso").await? {
        let free = storage.entry().avail.unwrap_or_default() >> 30;
        lines.push(format!("{}: {free} GiB free", storage.name()));
        for volume in storage.volumes(Some("iso"), None).await? {
            lines.push(format!("  {}", volume.volid()));
        }
    }
    Ok(lines)
}

/// Uploads a file. It is streamed: any stream of bytes will do.
pub async fn upload(
    storage: &Storage,
    name: &str,
    content: Vec<u8>,
) -> Result<Volume, Box<dyn Error>> {
    let request = UploadRequest {
        content: "iso".into(),
        filename: name.into(),
        length: content.len().try_into()?,
        ..Default::default()
    };
    let file = stream::iter([Ok::<_, std::io::Error>(Bytes::from(content))]);
    storage.upload(&request, file).await?;
    let volid = format!("{}:iso/{name}", storage.name());
    storage.volume(&volid).await?.ok_or_else(|| "it was just uploaded".into())
}

/// An empty disk for a guest, made and deleted.
pub async fn allocate(storage: &Storage, vmid: VmId) -> Result<(), Box<dyn Error>> {
    let name = format!("vm-{vmid}-disk-7.raw");
    let disk = storage.allocate(vmid, &name, DiskSize::from_mib(64), None).await?;
    println!("{} lies at {}", disk.volid(), disk.details().await?.path);
    disk.destroy().await?;
    Ok(())
}
