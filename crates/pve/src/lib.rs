//! A client for the API of Proxmox VE 7 to 9 that says what happened.
//!
//! - **Errors sort themselves by what the caller may do** ([`Error`]): not
//!   sent, outcome unknown, refused and why, busy, not available now. After a
//!   lost answer to a write nobody guesses: it is [`Error::Ambiguous`].
//! - **Handles follow the API's tree**: `client.node("pve1").qemu(vmid)` is
//!   `/nodes/pve1/qemu/VMID`. Every handle has `request` for the calls below it
//!   that have no method yet, and [`Client::request`] reaches everything.
//! - **Readers are lenient** ([`lenient`]): numbers in strings, booleans as 0
//!   and 1, absent and unknown members, null where a task id was.
//! - **Nothing is sent twice that may have happened.** A call goes on to the
//!   next endpoint when it reads or was certainly not sent, and is sent again
//!   when its ticket was refused (once). Retries of what was refused for a lock
//!   are opt-in: [`Config::retry`], [`Client::start_and_wait`],
//!   [`Client::allocate`].
//! - **Objects stand above the calls** ([`models`]): a server with its disks,
//!   snapshots and state, whose operations wait until they are carried out.
//!
//! The package's `README.md` has a section with an example for each area, and a
//! table from operation to HTTP call to method. The layer of calls:
//!
//! ```no_run
//! use pve::qemu::{CloneRequest, ConfigChange};
//! use pve::{Auth, Client, Config, Tls, VmId, WaitPolicy};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let auth = Auth::token("me@pve!innkeeper", std::env::var("PVE_SECRET")?);
//! let mut config = Config::new(["https://pve1.example:8006".parse()?], auth);
//! config.tls = Tls::pinned([std::env::var("PVE_FINGERPRINT")?.parse()?]);
//! let client = Client::new(config)?;
//!
//! let (template, new) = (VmId::try_from(9000)?, client.cluster().next_id().await?);
//! let node = client.node("pve1");
//! let mut clone = CloneRequest::new(new);
//! clone.name = Some("web-1".into());
//! let task = node.qemu(template).clone_to(&clone).await?;
//! let end = client.wait_task(&task, &WaitPolicy::default()).await?;
//! assert!(end.is_success(), "{}", end.exit);
//!
//! let vm = node.qemu(new);
//! let config = vm.config().await?;
//! let change = ConfigChange::new().set("cores", 2).digest(&config.digest.unwrap_or_default());
//! vm.configure(&change).await?;
//! vm.start().await?;
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]

pub mod access;
mod auth;
mod client;
pub mod cluster;
mod config;
pub mod console;
pub mod diagnose;
pub mod error;
pub mod firewall;
mod judge;
pub mod lenient;
mod limits;
pub mod lxc;
pub mod methods;
pub mod models;
mod nearest;
pub mod nodes;
mod params;
mod path;
pub mod pools;
pub mod property;
pub mod qemu;
mod reply;
mod requests;
mod resource;
mod retry;
pub mod storage;
pub mod tasks;
mod time;
mod tls;
mod upid;
mod upload;
mod wire;

pub use auth::{Auth, Challenge, Factor, FactorKind, LogIn, Session, TokenInfo};
pub use client::Client;
pub use config::{Config, Proxy, Timeouts};
pub use error::{Error, Sent};
pub use http::Method;
pub use limits::Limits;
pub use models::Release;
pub use params::{ParamValue, Params};
pub use path::ApiPath;
pub use reply::Reply;
pub use retry::{Allocated, AllocationError, RetryPolicy};
pub use tasks::{ExitStatus, TaskOutcome, WaitPolicy};
pub use time::{Clock, Sleep, SystemClock, TokioSleep};
pub use tls::{ClientCertificate, Fingerprint, Tls, TlsVersion};
pub use upid::{ParseError, Upid, VmId};
pub use upload::{Upload, UploadProgress, UploadRequest};
