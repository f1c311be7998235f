//! What an instance could leave behind: the proof of `--once`.

use anyhow::{Result, bail};
use serde_json::Value;

use super::cluster::Cluster;
use crate::serve::Running;

/// Guests, volumes, processes and rows.
pub struct Everything {
    cluster: Value,
    rows: Value,
}

/// Tables that remember what has been: not what an instance leaves behind.
const HISTORY: [&str; 3] = ["operations", "workflows", "ids"];

/// Looks at everything.
///
/// # Errors
/// When the data base does not answer.
pub async fn look(cluster: &Cluster, running: &Running) -> Result<Everything> {
    let mut rows = running.core.store.dump().await?;
    if let Value::Object(tables) = &mut rows {
        tables.retain(|name, _| !HISTORY.contains(&name.as_str()));
    }
    Ok(Everything { cluster: cluster.dump(), rows })
}

/// Compares two looks.
///
/// # Errors
/// What differs.
pub fn compare(before: &Everything, after: &Everything) -> Result<()> {
    if before.cluster != after.cluster {
        bail!("left in the cluster:\n{:#}\nwhere there was:\n{:#}", after.cluster, before.cluster);
    }
    if before.rows != after.rows {
        bail!("left in the data base:\n{:#}\nwhere there was:\n{:#}", after.rows, before.rows);
    }
    Ok(())
}
