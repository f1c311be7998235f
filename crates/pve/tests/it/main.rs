//! The client against a server that does exactly what a test says.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod admin;
mod auth;
mod errors;
mod lxc;
mod recorded;
mod requests;
mod server;
mod services;
mod tasks;
mod tls;
mod upload;
