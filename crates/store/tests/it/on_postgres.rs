//! The suite over PostgreSQL.

pub const POSTGRES: bool = true;

#[path = "children.rs"]
mod children;
#[path = "claims.rs"]
mod claims;
#[path = "events.rs"]
mod events;
#[path = "ids.rs"]
mod ids;
#[path = "keys.rs"]
mod keys;
#[path = "lives.rs"]
mod lives;
#[path = "postgres/mod.rs"]
mod postgres;
#[path = "rekey.rs"]
mod rekey;
#[path = "rows.rs"]
mod rows;
#[path = "seals.rs"]
mod seals;
#[path = "toy.rs"]
mod toy;
#[path = "world.rs"]
pub mod world;
#[path = "writer.rs"]
mod writer;
