//! The suite that every data base of the house must pass. It opens its stores
//! through [`world::World`] alone.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod children;
mod claims;
mod files;
mod ids;
mod lives;
mod rows;
mod toy;
mod world;
mod writer;
