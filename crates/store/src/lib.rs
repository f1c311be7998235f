//! The store: rows, journals, sealed secrets, and the feed of the read model.
//!
//! SQL stops here. Everything that is written goes through one writer, which
//! gathers the requests that wait into one commit; reads go beside it.
#![warn(missing_docs)]

mod change;
mod compact;
mod db;
mod dump;
mod error;
mod feed;
mod flow;
mod journal_store;
mod read;
mod rows;
mod seal;
mod store;

pub use change::{Annotation, Change, ImageUpdate, InstanceUpdate, SpecUpdate};
pub use db::Synchronous;
pub use error::Error;
pub use feed::{FeedItem, FeedKind};
pub use flow::{CancelAnswer, Start};
pub use read::OperationJournal;
pub use rows::{
    Alias, AnnotationRow, Event, IdReservation, InstanceFilter, OperationFilter, RetiredId, Seed,
    Token,
};
pub use store::{Settings, Store};
