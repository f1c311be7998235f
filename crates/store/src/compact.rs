//! Forgetting what is over.

use std::time::Duration;

use model::Timestamp;

use crate::Error;
use crate::db::{Tx, Value, text};
use crate::feed::{self, FeedKind};
use crate::rows::{aliases, audit, events, ids, keys};
use crate::store::Store;

/// How many workflows one commit forgets at most: the writer has others to
/// serve.
const AT_ONCE: i64 = 500;
/// How long the tombstone of a dialect's name outlives the journals: such a
/// name must not be given again soon.
const NAMES_OUTLIVE: Duration = Duration::from_secs(90 * 24 * 3600);

impl Store {
    /// Forgets journals, workflows and operations that ended before this time,
    /// older events, and other records that nothing needs any more. Stuck
    /// operations stay.
    ///
    /// # Errors
    /// When it cannot be written; what is forgotten stays forgotten.
    pub async fn compact(&self, before: Timestamp) -> Result<(), Error> {
        while self.write(move |tx| Box::pin(forget_roots(tx, before))).await? > 0 {}
        while self.write(move |tx| Box::pin(forget_orphans(tx))).await? > 0 {}
        self.write(move |tx| Box::pin(forget_records(tx, before))).await
    }
}

/// Forgets root workflows with their operations. How many.
async fn forget_roots(tx: &mut Tx, before: Timestamp) -> Result<usize, Error> {
    let select = "SELECT id FROM workflows
        WHERE parent IS NULL AND status = 'ended' AND ended_at < $1 LIMIT $2";
    let rows = tx.db.fetch_all(select, &[before.into(), AT_ONCE.into()]).await?;
    for row in &rows {
        let id = row.text("id")?;
        let parameters: [Value; 1] = [text(&id)];
        tx.db.execute("DELETE FROM workflows WHERE id = $1", &parameters).await?;
        if tx.db.execute("DELETE FROM operations WHERE id = $1", &parameters).await? > 0 {
            tx.touch(FeedKind::Operation, id);
        }
    }
    Ok(rows.len())
}

/// Forgets children that have ended and whose parent is forgotten. How many.
async fn forget_orphans(tx: &mut Tx) -> Result<u64, Error> {
    let delete = "DELETE FROM workflows WHERE id IN (
        SELECT c.id FROM workflows c WHERE c.parent IS NOT NULL AND c.status = 'ended'
            AND NOT EXISTS (SELECT 1 FROM workflows p WHERE p.id = c.parent) LIMIT $1)";
    tx.db.execute(delete, &[AT_ONCE.into()]).await
}

async fn forget_records(tx: &mut Tx, before: Timestamp) -> Result<(), Error> {
    events::compact(tx, before).await?;
    ids::compact(tx).await?;
    keys::compact(tx).await?;
    audit::compact(tx).await?;
    feed::compact(tx, before).await?;
    let long_before =
        before.as_millis() - i64::try_from(NAMES_OUTLIVE.as_millis()).unwrap_or(i64::MAX);
    aliases::compact(tx, Timestamp::from_millis(long_before)).await?;
    let epochs = "DELETE FROM epochs WHERE expires_at < $1
        AND NOT EXISTS (SELECT 1 FROM workflows WHERE workflows.owner = epochs.id)";
    tx.db.execute(epochs, &[before.into()]).await?;
    Ok(())
}
