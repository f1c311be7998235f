//! Disk images, backups, and machines that come back from them.
//!
//! ```sh
//! PVE_URL=… PVE_TOKEN_ID=… PVE_TOKEN_SECRET=… PVE_VMID=100 PVE_STORAGE=local \
//!     cargo run --example backups
//! ```

use std::error::Error;

use pve::Client;
use pve::models::{Backup, BackupOptions, RestoreOptions, Server};

#[allow(dead_code, reason = "not every example needs all of it")]
mod support;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = support::client()?;
    let vmid = std::env::var("PVE_VMID")?.parse()?;
    let mut server = Server::find(&client, vmid).await?.ok_or("no such virtual machine")?;
    let backup = backup(&mut server, &support::storage()?).await?;
    let copy = restore(&client, &server, &backup).await?;
    println!("{} came back as {}", server.vmid(), copy.vmid());
    Ok(())
}

/// Backs a machine up and finds the backup.
pub async fn backup(server: &mut Server, storage: &str) -> Result<Backup, Box<dyn Error>> {
    for image in server.disk_images().await? {
        println!("{}: {:?} bytes", image.volid(), image.size());
    }
    let options = BackupOptions {
        storage: Some(storage.to_owned()),
        mode: Some("snapshot".into()),
        compress: Some("zstd".into()),
        notes: Some("{{guestname}}, before the upgrade".into()),
        protected: true,
        ..Default::default()
    };
    server.backup(&options).await?;
    // Oldest first.
    server.backups().await?.pop().ok_or_else(|| "it was just made".into())
}

/// A second machine from a backup, and the first as it was.
pub async fn restore(
    client: &Client,
    server: &Server,
    backup: &Backup,
) -> Result<Server, Box<dyn Error>> {
    let options = RestoreOptions { unique: true, ..Default::default() };
    let id = Server::next_id(client).await?;
    let copy = Server::restore_as(client, server.node(), id, backup.volid(), &options).await?;
    // In place: the present disks are deleted, and the machine must be stopped.
    let mut server = server.clone();
    server.restore(backup.volid(), &RestoreOptions::default()).await?;
    Ok(copy)
}
