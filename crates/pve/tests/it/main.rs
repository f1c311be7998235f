//! The client against a server that does exactly what a test says.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod auth;
mod errors;
mod recorded;
mod requests;
mod server;
mod tasks;
mod tls;
mod upload;
