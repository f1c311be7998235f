//! What guests are given: pure renders of seeds.

mod iso;
mod nocloud;

pub use nocloud::{SeedDocuments, SeedRequest, quoted, render_medium, render_nocloud};
