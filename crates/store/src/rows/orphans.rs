use model::{HostId, Mark, ProviderId, Timestamp};
use serde_json::Value as Json;

use crate::Error;
use crate::db::{Connection, Row, Tx, json, text};

/// A guest with our mark that no row claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// Where it is.
    pub provider: ProviderId,
    /// The provider's key of the guest.
    pub guest: String,
    /// Its name on the hypervisor.
    pub name: String,
    /// The host that carries it.
    pub host: HostId,
    /// The mark that it carries.
    pub mark: Mark,
    /// The provider's reference to it: which guest was found, not only where.
    pub native: Json,
    /// When it was found first, as this very guest.
    pub found_at: Timestamp,
}

fn read(row: &Row) -> Result<Orphan, Error> {
    let mark = row.text("mark")?;
    Ok(Orphan {
        provider: row.parsed("provider")?,
        guest: row.text("guest")?,
        name: row.text("name")?,
        host: row.parsed("host")?,
        mark: Mark::parse(&mark).ok_or_else(|| Error::Corrupt(format!("the mark {mark:?}")))?,
        native: row.json("native")?,
        found_at: row.time("found_at")?,
    })
}

/// Adds or replaces one. The time when it was found stays while it is the same
/// guest with the same mark.
pub(crate) async fn put(tx: &mut Tx, orphan: &Orphan) -> Result<(), Error> {
    let put = "INSERT INTO orphans (provider, guest, name, host, mark, native, found_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (provider, guest) DO UPDATE SET name = excluded.name, host = excluded.host,
            mark = excluded.mark, native = excluded.native, found_at = CASE
                WHEN orphans.mark = excluded.mark THEN orphans.found_at
                ELSE excluded.found_at END";
    let parameters = [
        text(&orphan.provider),
        text(&orphan.guest),
        text(&orphan.name),
        text(&orphan.host),
        text(orphan.mark),
        json(&orphan.native)?,
        orphan.found_at.into(),
    ];
    tx.db.execute(put, &parameters).await?;
    Ok(())
}

pub(crate) async fn remove(tx: &mut Tx, provider: &ProviderId, guest: &str) -> Result<(), Error> {
    let remove = "DELETE FROM orphans WHERE provider = $1 AND guest = $2";
    tx.db.execute(remove, &[text(provider), text(guest)]).await?;
    Ok(())
}

pub(crate) async fn get(
    db: &mut Connection,
    provider: &ProviderId,
    guest: &str,
) -> Result<Option<Orphan>, Error> {
    let select = "SELECT * FROM orphans WHERE provider = $1 AND guest = $2";
    let row = db.fetch_one(select, &[text(provider), text(guest)]).await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn list(db: &mut Connection) -> Result<Vec<Orphan>, Error> {
    let select = "SELECT * FROM orphans ORDER BY provider, guest LIMIT 10000";
    db.fetch_all(select, &[]).await?.iter().map(read).collect()
}
