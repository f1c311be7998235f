//! A Proxmox VE API server for tests, demos and CI: a whole cluster in one
//! process. Guests are records, or QEMU processes on this machine.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use pve_sim::{GuestSeed, Simulator};
//!
//! let simulator = Simulator::builder()
//!     .template(GuestSeed::new(9000, "debian").disk("local", 2048))
//!     .start("127.0.0.1:0".parse()?)
//!     .await?;
//! println!("{} {} {}", simulator.url(), simulator.fingerprint(), simulator.token());
//! # Ok(())
//! # }
//! ```
//!
//! Where things are: `http` reads and writes as pveproxy does, `engine` checks
//! and carries out requests and tasks, `calls` has the API's methods, `world`
//! is the state, `schema` the parameter tables, `machine` what carries guests.

mod calls;
mod clock;
mod engine;
mod fail;
mod faults;
mod http;
pub mod machine;
mod requests;
mod schema;
mod seed;
mod simulator;
mod tasks;
mod world;

pub use clock::{Clock, ManualClock, WallClock};
pub use faults::{Change, Effect, Fault};
pub use machine::{AgentBehaviour, Records, Script};
pub use requests::RequestRecord;
pub use schema::Version;
pub use schema::returns::{Mismatch, check_answer};
pub use seed::{
    AclSeed, GroupSeed, GuestSeed, NodeSeed, Seed, SeedError, StorageSeed, TokenSeed, UserSeed,
    VolumeSeed,
};
pub use simulator::{Builder, FaultId, Simulator, StartError};
pub use tasks::TaskDurations;
pub use world::saved::StateError;
