//! The store: rows, journals, sealed secrets, and the feed of the read model.
//!
//! SQL stops here. Everything that a process writes goes through its one
//! writer, which gathers the requests that wait into one commit; reads go beside
//! it. On SQLite there is one process; on PostgreSQL the writers of all processes
//! take turns. How to add a query or a migration: see the modules `db` and
//! `db/migrate.rs`.
#![warn(missing_docs)]

mod change;
mod compact;
mod copy;
mod db;
mod dump;
mod error;
mod feed;
mod flow;
mod journal_store;
mod open;
mod read;
mod rekey;
mod rows;
mod seal;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod visa_tables;

pub use change::{Annotation, Change, ImageUpdate, InstanceUpdate, SpecUpdate};
pub use copy::Copied;
pub use db::{PostgresSettings, Schema, Synchronous, TimeSource};
pub use error::Error;
pub use feed::{FeedItem, FeedKind};
pub use flow::{CancelAnswer, Start};
pub use read::OperationJournal;
pub use rows::{
    Alias, AnnotationRow, AuditEntry, AuditFilter, Event, EventFilter, IdReservation,
    InstanceFilter, NUMBERS, OperationFilter, Orphan, Project, Quota, RequestKey, RetiredId, Seed,
    Token, Usage, UsedKey, Webhook, WebhookProgress,
};
pub use store::{Settings, Store};
pub use visa_tables::{OldFlavour, OldInstance, OldSeed, visa_connector, visa_seeds};
