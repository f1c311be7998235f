//! One file per table: its statements, and nothing else's.

pub(crate) mod aliases;
pub(crate) mod annotations;
pub(crate) mod audit;
pub(crate) mod events;
pub(crate) mod flavours;
pub(crate) mod ids;
pub(crate) mod images;
pub(crate) mod instances;
pub(crate) mod keys;
pub(crate) mod leases;
pub(crate) mod operations;
pub(crate) mod orphans;
pub(crate) mod projects;
pub(crate) mod secrets;
pub(crate) mod seeds;
pub(crate) mod tokens;
pub(crate) mod webhooks;

pub use aliases::{Alias, NUMBERS};
pub use annotations::AnnotationRow;
pub use audit::{AuditEntry, AuditFilter};
pub use events::{Event, EventFilter};
pub use ids::{IdReservation, RetiredId};
pub use instances::InstanceFilter;
pub use keys::{RequestKey, UsedKey};
pub use operations::OperationFilter;
pub use orphans::Orphan;
pub use projects::{Project, Quota, Usage};
pub use seeds::Seed;
pub use tokens::Token;
pub use webhooks::{Webhook, WebhookProgress};

/// The most rows of one page.
const MOST_ROWS: u32 = 10_000;

/// A page's size within its bounds.
fn page(limit: u32) -> crate::db::Value {
    limit.clamp(1, MOST_ROWS).into()
}
