//! What PostgreSQL alone has: several processes, and a server that goes away.

mod opening;
mod replicas;
