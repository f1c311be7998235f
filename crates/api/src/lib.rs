//! The doors: each translates one protocol into use cases, and their answers
//! back. A door decides nothing.
#![warn(missing_docs)]

pub mod metadata;
pub mod native;
mod serve;
pub mod visa;
pub mod webhooks;

pub use serve::{ConnectionLimits, bind_unix, serve};
