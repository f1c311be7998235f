//! Consoles: where a viewer connects to.
//!
//! ```sh
//! PVE_URL=… PVE_TOKEN_ID=… PVE_TOKEN_SECRET=… PVE_VMID=100 cargo run --example console
//! ```

use std::error::Error;

use pve::models::{Console, Server};

#[allow(dead_code, reason = "not every example needs all of it")]
mod support;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = support::client()?;
    let vmid = std::env::var("PVE_VMID")?.parse()?;
    let mut server = Server::find(&client, vmid).await?.ok_or("no such virtual machine")?;
    let console = run(&mut server).await?;
    println!("{:?} on port {:?}", console.kind(), console.ticket().map(|ticket| ticket.port));
    Ok(())
}

/// Opens the console that the machine's graphics card asks for.
pub async fn run(server: &mut Server) -> Result<Console, Box<dyn Error>> {
    if !server.is_running() {
        server.start().await?;
    }
    Ok(server.start_console().await?)
}
