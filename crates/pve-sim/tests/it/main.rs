//! The simulator over its own TLS port, fact by fact.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lifecycle;
mod support;
