//! Serves a cluster from a seed file: `cargo run -p pve-sim --example serve -- seed.toml [address]`.

use std::time::Duration;

use pve_sim::{Seed, Simulator, TaskDurations};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let seed = match arguments.next() {
        Some(path) => Seed::from_toml(&std::fs::read_to_string(path)?)?,
        None => Seed::default(),
    };
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8006".into());
    let simulator = Simulator::builder()
        .seed(seed)
        .durations(TaskDurations::all(Duration::from_millis(20)))
        .auth_delay(Duration::ZERO)
        .stats_interval(Duration::ZERO)
        .start(address.parse()?)
        .await?;
    println!("url         {}", simulator.url());
    println!("fingerprint {}", simulator.fingerprint());
    println!("token       {}", simulator.token());
    tokio::signal::ctrl_c().await?;
    Ok(())
}
