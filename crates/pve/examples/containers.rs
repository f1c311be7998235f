//! Containers: made of a template, with mount points and interfaces.
//!
//! ```sh
//! PVE_URL=… PVE_TOKEN_ID=… PVE_TOKEN_SECRET=… PVE_NODE=pve1 PVE_STORAGE=local-lvm \
//!     PVE_TEMPLATE=local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst \
//!     cargo run --example containers
//! ```

use std::error::Error;

use pve::Client;
use pve::models::{CloneOptions, Container, Controller, DestroyOptions, MountPoint, Nic};
use pve::property::DiskSize;
use pve::qemu::{ConfigChange, ShutdownRequest};

#[allow(dead_code, reason = "not every example needs all of it")]
mod support;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = support::client()?;
    let (node, storage) = (support::node()?, support::storage()?);
    let template = std::env::var("PVE_TEMPLATE")?;
    let mut container = create(&client, &node, &storage, &template).await?;
    devices(&mut container, &storage).await?;
    power(&mut container).await?;
    container.destroy(DestroyOptions::default()).await?;
    Ok(())
}

/// A container from a template.
pub async fn create(
    client: &Client,
    node: &str,
    storage: &str,
    template: &str,
) -> Result<Container, Box<dyn Error>> {
    let id = Container::next_id(client).await?;
    let root = format!("{storage}:1");
    let config = [
        ("ostemplate", template),
        ("hostname", "example"),
        ("memory", "256"),
        ("rootfs", root.as_str()),
        ("net0", "name=eth0,bridge=vmbr0,ip=dhcp"),
        ("unprivileged", "1"),
    ];
    let mut container = Container::create(client, node, id, config).await?;
    container.update(&ConfigChange::new().set("cores", 1).set("swap", 0)).await?;
    Ok(container)
}

/// A mount point: attached, grown, removed; a second interface.
pub async fn devices(container: &mut Container, storage: &str) -> Result<(), Box<dyn Error>> {
    let place = container.next_device(Controller::Mp).ok_or("all places are taken")?;
    let point = MountPoint::new(place, storage, DiskSize::from_gib(1), "/opt/app")?;
    container.attach(&point.clone().with("backup", true)?).await?;
    container.extend(point.id(), "+1G").await?;
    for point in container.mount_points()? {
        println!("{} at {:?}: {:?}", point.id(), point.path(), point.size());
    }
    // Detached and deleted.
    container.remove(point.id()).await?;

    let index = container.next_device(Controller::Net).ok_or("all places are taken")?.index();
    let nic = Nic::in_container(index, "eth1")?.with("bridge", "vmbr0")?.with("ip", "manual")?;
    container.attach_nic(&nic).await?;
    println!("{:?}", container.mac_addresses()?);
    Ok(())
}

/// Power. A stopped container cannot be stopped, a running one not started.
pub async fn power(container: &mut Container) -> Result<(), Box<dyn Error>> {
    container.start().await?;
    assert!(container.is_running());
    let gently = ShutdownRequest { timeout_s: Some(30), force_stop: true };
    container.shutdown(gently).await?;
    assert!(!container.is_running());
    Ok(())
}

/// A copy.
pub async fn copy(client: &Client, container: &Container) -> Result<Container, Box<dyn Error>> {
    let options =
        CloneOptions { name: Some("copy".into()), full: Some(true), ..Default::default() };
    Ok(container.clone_to(Container::next_id(client).await?, &options).await?)
}
