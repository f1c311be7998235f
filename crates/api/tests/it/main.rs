//! The doors over a running house with an in-memory provider, over the network.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod again;
mod bad_input;
mod callers;
mod commands;
mod every_route;
mod follow;
mod life;
mod metadata;
mod openapi;
mod orphans;
mod quota;
mod support;
mod visa;
mod webhooks;
