//! The native API from the outside: its wire types, a typed client, progress of
//! operations, and the commands of the command line.
//!
//! The wire types are shared with the door that serves them; everything else
//! here works over the network only.
#![warn(missing_docs)]

mod calls;
mod changes;
pub mod cli;
mod error;
mod http;
mod orphans;
pub mod progress;
mod projects;
mod receiver;
pub mod size;
mod webhooks;
pub mod wire;

pub use error::Error;
pub use http::{Client, Endpoint, Settings};
pub use receiver::Receiver;
