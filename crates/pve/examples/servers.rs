//! Virtual machines: made, changed, started, stopped, destroyed.
//!
//! ```sh
//! PVE_URL=… PVE_TOKEN_ID=… PVE_TOKEN_SECRET=… PVE_NODE=pve1 PVE_STORAGE=local-lvm \
//!     cargo run --example servers
//! ```

use std::error::Error;
use std::time::Duration;

use pve::Client;
use pve::models::{Controller, DestroyOptions, Disk, MoveOptions, Polling, Server};
use pve::property::DiskSize;
use pve::qemu::{ConfigChange, ShutdownRequest};

#[allow(dead_code, reason = "not every example needs all of it")]
mod support;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = support::client()?;
    let mut server = create(&client, &support::node()?, &support::storage()?).await?;
    println!("{} has {:?}", server.vmid(), server.mac_addresses()?);
    disks(&mut server, &support::storage()?).await?;
    power(&mut server).await?;
    server.destroy(DestroyOptions { purge: true, ..Default::default() }).await?;
    Ok(())
}

/// The next id, a new machine, a change, and what waits for the next start.
pub async fn create(client: &Client, node: &str, storage: &str) -> Result<Server, Box<dyn Error>> {
    let id = Server::next_id(client).await?;
    assert!(Server::is_valid_id(client, id.get()).await?);
    let disk = format!("{storage}:1");
    let config = [
        ("name", "example"),
        ("memory", "512"),
        ("net0", "virtio,bridge=vmbr0"),
        ("scsi0", disk.as_str()),
    ];
    // Waits until Proxmox has made it. Somebody else may take the id first.
    let mut server = match Server::create(client, node, id, config).await {
        Err(error) if error.already_exists() => {
            let next = Server::next_id(client).await?;
            Server::create(client, node, next, config).await?
        }
        created => created?,
    };
    let digest = server.config().digest.clone().unwrap_or_default();
    let change = ConfigChange::new().set("cores", 2).set("description", "an example");
    server.update(&change.digest(&digest)).await?;
    assert_eq!(server.config().cores(), 2);
    for option in server.pending().await?.iter().filter(|option| option.is_pending()) {
        println!("{} waits for the next start", option.key);
    }
    Ok(server)
}

/// A disk: attached, grown, moved, detached, deleted.
pub async fn disks(server: &mut Server, storage: &str) -> Result<(), Box<dyn Error>> {
    let place = server.next_device(Controller::Virtio).ok_or("all places are taken")?;
    let disk = Disk::new(place, storage, DiskSize::from_gib(1))?.with("backup", false)?;
    server.attach(&disk).await?;
    server.extend(disk.id(), "+1G").await?;
    let attached = server.disk(disk.id())?.ok_or("it was attached")?;
    assert_eq!(attached.size(), Some(DiskSize::from_gib(2)));
    if attached.storage() != Some(storage) {
        server.move_disk(disk.id(), storage, &MoveOptions::deleting()).await?;
    }
    // Detached, its volume stays as `unused0`; detaching that deletes it.
    server.detach(disk.id()).await?;
    for unused in server.unused_disks()? {
        server.detach(unused.id()).await?;
    }
    let place = server.next_device(Controller::Ide).ok_or("all places are taken")?;
    server.attach(&Disk::cdrom(place, None)?).await?;
    Ok(())
}

/// Power, with and without waiting.
pub async fn power(server: &mut Server) -> Result<(), Box<dyn Error>> {
    server.start().await?;
    server.wait_for(&Polling::within(Duration::from_secs(120)), Server::is_running).await?;
    server.suspend().await?;
    assert!(server.is_paused());
    server.resume().await?;
    server.reset().await?;

    // Without waiting: a task to come back to.
    let task = server.reboot(Some(Duration::from_secs(60))).begin().await?;
    if let Some(mut task) = task {
        println!("{} is at work", task.upid());
        task.wait(&Default::default()).await?;
    }
    // The guest gets a minute, then it is stopped.
    let gently = ShutdownRequest { timeout_s: Some(60), force_stop: true };
    server.shutdown(gently).await?;
    assert!(!server.is_running());
    Ok(())
}
