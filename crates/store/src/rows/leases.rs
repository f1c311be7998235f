//! What one process at a time does for all.

use std::time::Duration;

use model::Timestamp;

use crate::Error;
use crate::db::{Connection, Tx};

/// How a lease stands for somebody who wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is theirs, and most of it is left.
    Fresh,
    /// It is theirs or free: it can be taken.
    Free,
    /// Somebody else has it.
    Taken,
}

pub(crate) async fn look(
    db: &mut Connection,
    now: Timestamp,
    name: &str,
    holder: &str,
    ttl: Duration,
) -> Result<Standing, Error> {
    let select = "SELECT holder, expires_at FROM leases WHERE name = $1";
    let Some(row) = db.fetch_one(select, &[name.into()]).await? else {
        return Ok(Standing::Free);
    };
    let (mine, expires_at) = (row.text("holder")? == holder, row.time("expires_at")?);
    Ok(match expires_at.since(now) {
        left if mine && left > ttl / 2 => Standing::Fresh,
        left if mine || left.is_zero() => Standing::Free,
        _ => Standing::Taken,
    })
}

/// Takes a lease that is free or is renewed. Whether it is theirs now.
pub(crate) async fn take(
    tx: &mut Tx,
    name: &str,
    holder: &str,
    ttl: Duration,
) -> Result<bool, Error> {
    let take = "INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, $3)
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder,
            expires_at = excluded.expires_at
        WHERE leases.holder = excluded.holder OR leases.expires_at <= $4";
    let parameters = [name.into(), holder.into(), tx.now.plus(ttl).into(), tx.now.into()];
    Ok(tx.db.execute(take, &parameters).await? > 0)
}

/// Gives back everything that a process holds.
pub(crate) async fn release(tx: &mut Tx, holder: &str) -> Result<(), Error> {
    tx.db.execute("DELETE FROM leases WHERE holder = $1", &[holder.into()]).await?;
    Ok(())
}
