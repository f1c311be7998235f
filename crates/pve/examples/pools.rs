//! Pools: guests and storages that belong together.
//!
//! ```sh
//! PVE_URL=… PVE_TOKEN_ID=… PVE_TOKEN_SECRET=… PVE_VMID=100 PVE_STORAGE=local \
//!     cargo run --example pools
//! ```

use std::error::Error;

use pve::models::Pool;
use pve::pools::PoolChange;
use pve::{Client, VmId};

#[allow(dead_code, reason = "not every example needs all of it")]
mod support;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let vmid = std::env::var("PVE_VMID")?.parse()?;
    let client = support::client()?;
    let pool = fill(&client, "example", vmid, &support::storage()?).await?;
    empty(pool).await
}

/// Makes a pool and puts a guest and a storage into it.
pub async fn fill(
    client: &Client,
    name: &str,
    vmid: VmId,
    storage: &str,
) -> Result<Pool, Box<dyn Error>> {
    let mut pool = match Pool::get(client, name).await? {
        Some(pool) => pool,
        None => Pool::create(client, name, None).await?,
    };
    let comment = Some("an example".to_owned());
    pool.update(&PoolChange { comment, ..Default::default() }).await?;
    pool.add(&[vmid], &[storage]).await?;
    assert!(pool.guests().any(|member| member == vmid));
    Ok(pool)
}

/// Takes everything out of a pool and deletes it.
pub async fn empty(mut pool: Pool) -> Result<(), Box<dyn Error>> {
    let guests: Vec<VmId> = pool.guests().collect();
    let storages: Vec<String> = pool.storages().into_iter().map(str::to_owned).collect();
    let storages: Vec<&str> = storages.iter().map(String::as_str).collect();
    pool.remove(&guests, &storages).await?;
    pool.destroy().await?;
    Ok(())
}
