//! Models: what is in a cluster, as objects.
//!
//! A model holds a [`Client`](crate::Client), what identifies the thing, and
//! what was read of it: typed attributes, and everything as it came in
//! [`Attributes`]. `reload` reads it again.
//!
//! Calls that Proxmox carries out in a task give an [`Operation`]. Awaiting it
//! sends the call, waits for the task and brings the model up to date; a task
//! that fails is [`Error::TaskFailed`](crate::Error::TaskFailed). Its
//! [`begin`](Operation::begin) sends the call and hands over the task instead.
//!
//! What does not exist is `None` from the functions called `get` and `find`,
//! and an error for which [`Error::is_not_found`](crate::Error::is_not_found)
//! is true from everything else.
//!
//! ```no_run
//! # async fn example(client: pve::Client) -> Result<(), pve::Error> {
//! use pve::models::Server;
//! use pve::qemu::ConfigChange;
//!
//! let id = Server::next_id(&client).await?;
//! let mut server = Server::create(&client, "pve1", id, [("memory", "512")]).await?;
//! server.update(&ConfigChange::new().set("cores", 2)).await?;
//! server.start().await?;
//! assert!(server.is_running());
//! let task = server.stop().begin().await?; // does not wait
//! # let _ = task;
//! # Ok(())
//! # }
//! ```
//!
//! The calls themselves, without objects around them, are one layer below:
//! [`Client::node`](crate::Client::node) and its neighbours.

mod attributes;
mod backup;
mod device;
mod disk;
mod firewall;
mod guest;
mod ha;
mod identity;
mod network;
mod nic;
mod node;
mod operation;
mod pool;
mod snapshot;
mod storage;
mod task;
mod wait;

pub use attributes::Attributes;
pub use backup::Backup;
pub use device::{Controller, DeviceId, Release};
pub use disk::{Disk, MountPoint};
pub use firewall::Firewall;
pub use guest::{
    BackupOptions, CloneOptions, CloudInitDocument, Console, ConsoleKind, Container,
    DestroyOptions, Guest, GuestEntry, GuestKind, LocalDisk, Lxc, MigrateOptions, MigrationCheck,
    MoveOptions, Qemu, RestoreOptions, Server,
};
pub use ha::{HaGroup, HaResource, HaRule};
pub use identity::{
    Acl, AclSubject, Domain, Group, NewToken, Permissions, Role, Token, TokenOptions, User,
    UserOptions,
};
pub use network::Network;
pub use nic::Nic;
pub use node::{Consolidation, Node, Timeframe};
pub use operation::Operation;
pub use pool::Pool;
pub use snapshot::{Snapshot, SnapshotTree};
pub use storage::{Storage, Volume, VolumeDetails};
pub use task::Task;
pub use wait::Polling;
