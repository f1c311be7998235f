//! `innkeeper pve-sim`: a Proxmox VE cluster in one process, for trying things
//! out and for tests.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use pve_sim::{GuestSeed, NodeSeed, Seed, Simulator, StorageSeed};

use crate::serve::asked_to_end;

/// Runs a simulated Proxmox VE cluster. Guests are records: they have states
/// and addresses, and nothing runs.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Where its API listens
    #[arg(long, default_value = "127.0.0.1:8006")]
    pub listen: SocketAddr,
    /// A TOML file that describes the cluster; without it: one node, a local
    /// storage, the template 9000 `debian`, the firewall groups web and db
    #[arg(long, value_name = "FILE")]
    pub seed: Option<PathBuf>,
}

/// Runs until it is asked to end.
///
/// # Errors
/// When the seed makes no sense or the address is taken.
pub async fn run(options: &Options) -> Result<()> {
    let builder = match &options.seed {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("--seed: cannot read {}", path.display()))?;
            let seed =
                Seed::from_toml(&text).with_context(|| format!("--seed {}", path.display()))?;
            Simulator::builder().seed(seed)
        }
        None => Simulator::builder()
            .node(NodeSeed::new("pve1"))
            .storage(StorageSeed::new("local", "dir"))
            .template(GuestSeed::new(9000, "debian").disk("local", 2048))
            .firewall_group("web")
            .firewall_group("db"),
    };
    let simulator = builder.start(options.listen).await?;
    println!("address      {}", simulator.url());
    println!("fingerprint  {}", simulator.fingerprint());
    println!("token        {}", simulator.token());
    println!("Guests are simulated records. Ctrl-C ends it.");
    asked_to_end().await;
    Ok(())
}
