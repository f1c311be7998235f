//! The suite that every data base of the house must pass, once over each. It
//! opens its stores through [`on_sqlite::world::World`] alone. What only one of
//! them has is in `files.rs` (SQLite) and `postgres/`.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::duplicate_mod, reason = "the same tests over every data base")]

mod on_postgres;
mod on_sqlite;
