//! Snapshots, clones, templates, and moves to other nodes.
//!
//! ```sh
//! PVE_URL=… PVE_TOKEN_ID=… PVE_TOKEN_SECRET=… PVE_VMID=100 cargo run --example copies
//! ```

use std::error::Error;

use pve::Client;
use pve::models::{CloneOptions, MigrateOptions, Server, Snapshot, SnapshotTree};
use pve::qemu::ConfigChange;

#[allow(dead_code, reason = "not every example needs all of it")]
mod support;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = support::client()?;
    let vmid = std::env::var("PVE_VMID")?.parse()?;
    let mut server = Server::find(&client, vmid).await?.ok_or("no such virtual machine")?;
    snapshots(&mut server).await?;
    let copy = clones(&client, &server).await?;
    copy.destroy(Default::default()).await?;
    Ok(())
}

/// Makes a snapshot, changes the machine, and goes back.
pub async fn snapshots(server: &mut Server) -> Result<(), Box<dyn Error>> {
    let mut before = server.create_snapshot("before", Some("a clean state"), false).await?;
    before.update("a very clean state").await?;
    let cores = server.config().cores();
    server.update(&ConfigChange::new().set("cores", cores + 1)).await?;
    assert_eq!(before.config().await?.cores(), cores);

    before.rollback(false).await?;
    server.reload().await?;
    assert_eq!(server.config().cores(), cores);
    for tree in Snapshot::trees(server.snapshots().await?) {
        show(&tree, 0);
    }
    before.destroy(false).await?;
    assert!(server.snapshot("before").await?.is_none());
    Ok(())
}

fn show(tree: &SnapshotTree, depth: usize) {
    println!("{:depth$}{}", "", tree.snapshot.name(), depth = depth * 2);
    for child in &tree.children {
        show(child, depth + 1);
    }
}

/// A full copy becomes a template, and the template a linked clone's base.
pub async fn clones(client: &Client, server: &Server) -> Result<Server, Box<dyn Error>> {
    let options = CloneOptions {
        name: Some("example-template".into()),
        full: Some(true),
        ..Default::default()
    };
    let mut template = server.clone_to(Server::next_id(client).await?, &options).await?;
    template.create_template().await?;
    assert!(template.is_template());

    let options = CloneOptions { name: Some("example-linked".into()), ..Default::default() };
    Ok(template.clone_to(Server::next_id(client).await?, &options).await?)
}

/// Looks what stands in the way of a move, and moves.
pub async fn migrate(server: &mut Server, target: &str) -> Result<(), Box<dyn Error>> {
    let (check, _) = server.check_migration(Some(target)).await?;
    if check.allows(target) == Some(false) {
        return Err(format!("{target}: {:?}", check.not_allowed_nodes[target]).into());
    }
    let options = MigrateOptions {
        online: check.running,
        with_local_disks: !check.local_disks.is_empty(),
        ..Default::default()
    };
    server.migrate(target, &options).await?;
    assert_eq!(server.node(), target);
    Ok(())
}
