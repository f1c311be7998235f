//! Nodes: what there is, how it does, what it did.
//!
//! ```sh
//! PVE_URL=… PVE_TOKEN_ID=… PVE_TOKEN_SECRET=… cargo run --example nodes
//! ```

use std::error::Error;

use pve::Client;
use pve::models::{Consolidation, Node, Timeframe};

#[allow(dead_code, reason = "not every example needs all of it")]
mod support;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    for line in run(&support::client()?).await? {
        println!("{line}");
    }
    Ok(())
}

/// A line about each node.
pub async fn run(client: &Client) -> Result<Vec<String>, Box<dyn Error>> {
    let mut lines = Vec::new();
    for node in Node::all(client).await? {
        if !node.entry().is_online() {
            lines.push(format!("{}: offline", node.name()));
            continue;
        }
        let status = node.status().await?;
        // The last hour, one point a minute; a point may lack a measurement.
        let points = node.statistics(Timeframe::Hour, Some(Consolidation::Average)).await?;
        let load: Vec<f64> = points.iter().filter_map(|point| point.cpu).collect();
        let peak = load.into_iter().fold(0.0, f64::max);
        let total = status.memory.total.unwrap_or_default() >> 20;
        lines.push(format!("{}: {total} MiB, load at most {:.0} %", node.name(), peak * 100.0));
    }
    Ok(lines)
}
