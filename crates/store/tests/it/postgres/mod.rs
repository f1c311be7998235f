//! What PostgreSQL alone has: several processes, and a server that goes away.

mod copying;
mod opening;
mod outage;
mod replicas;
