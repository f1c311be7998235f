//! The client against a server that does exactly what a test says.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod admin;
mod auth;
mod console;
mod diagnose;
mod endpoints;
mod errors;
mod follow;
mod fuzz;
mod limits;
mod login;
mod lxc;
mod methods;
mod property;
mod proxy;
mod readme;
mod recorded;
mod requests;
mod retry;
mod server;
mod services;
mod tasks;
mod tls;
mod upload;
mod volumes;
