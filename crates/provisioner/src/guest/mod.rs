//! What guests are given: pure renders of seeds.

mod nocloud;

pub use nocloud::{SeedDocuments, SeedRequest, quoted, render_nocloud};
