//! Ids that effects name: reserved before the first effect, retired afterwards.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use model::{AttemptId, InstanceId, Mark, Timestamp};

use crate::Error;
use crate::db::{Connection, Row, Tx, Value, int, text};

/// Longer than anything is retired, and far from where times overflow.
const MOST_MILLIS: i64 = 1 << 50;

/// An id to reserve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdReservation {
    /// The pool, unique within the house, for example `proxmox/lab/vmid`.
    pub pool: String,
    /// The range to take it from.
    pub range: RangeInclusive<u64>,
    /// Ids that are known to be in use by others.
    pub taken: Vec<u64>,
    /// How long it stays retired once it is given back.
    pub retire_for: Duration,
}

/// An id that nobody gets for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredId {
    /// The pool.
    pub pool: String,
    /// The id.
    pub value: u64,
    /// The mark that a guest carries which appears at this id late.
    pub mark: Mark,
    /// Until when.
    pub until: Timestamp,
}

/// Reserves one id per request, in order; the same ids when it is asked again
/// for the same attempt.
pub(crate) async fn reserve(
    tx: &mut Tx,
    owner: InstanceId,
    attempt: AttemptId,
    mark: &Mark,
    requests: &[IdReservation],
) -> Result<Vec<u64>, Error> {
    let mut values = Vec::with_capacity(requests.len());
    for (ordinal, request) in requests.iter().enumerate() {
        let ordinal = int(ordinal as u64)?;
        let value = match given(tx, owner, attempt, &ordinal).await? {
            Some(value) => value,
            None => {
                let value = next_free(tx, request).await?;
                write(tx, owner, attempt, ordinal, mark, request, value).await?;
                value
            }
        };
        values.push(value);
    }
    Ok(values)
}

async fn given(
    tx: &mut Tx,
    owner: InstanceId,
    attempt: AttemptId,
    ordinal: &Value,
) -> Result<Option<u64>, Error> {
    let select = "SELECT value FROM reserved_ids
        WHERE owner = $1 AND attempt = $2 AND ordinal = $3 AND free_at IS NULL";
    let row = tx.db.fetch_one(select, &[text(owner), text(attempt), ordinal.clone()]).await?;
    row.map(|row| row.uint("value")).transpose()
}

/// The next free id after the one given last, beginning anew at the end of the
/// range.
async fn next_free(tx: &mut Tx, request: &IdReservation) -> Result<u64, Error> {
    let (first, last) = (*request.range.start(), *request.range.end());
    let cursor = "SELECT last FROM id_pools WHERE pool = $1";
    let cursor = tx.db.fetch_one(cursor, &[request.pool.as_str().into()]).await?;
    let previous = cursor.map(|row| row.uint("last")).transpose()?;
    let begin = previous.and_then(|id| id.checked_add(1)).filter(|id| request.range.contains(id));
    let begin = begin.unwrap_or(first);
    let pool = &request.pool;
    let taken: BTreeSet<u64> = request.taken.iter().copied().collect();
    let found = match free_between(tx, pool, &taken, begin..=last).await? {
        None if begin > first => free_between(tx, pool, &taken, first..=begin - 1).await?,
        found => found,
    };
    found.ok_or_else(|| {
        Error::Constraint(format!(
            "no id is free in {} from {first} to {last}: each is in use, reserved or was given \
             back not long ago",
            pool
        ))
    })
}

/// The first free id of a range. Looks at a few at a time: it is nearly always
/// among the first.
async fn free_between(
    tx: &mut Tx,
    pool: &str,
    taken: &BTreeSet<u64>,
    range: RangeInclusive<u64>,
) -> Result<Option<u64>, Error> {
    const AT_ONCE: u64 = 256;
    let (mut from, to) = range.into_inner();
    while from <= to {
        let end = from.saturating_add(AT_ONCE - 1).min(to);
        let select = "SELECT value FROM reserved_ids
            WHERE pool = $1 AND value BETWEEN $2 AND $3 AND (free_at IS NULL OR free_at > $4)";
        let parameters = [pool.into(), int(from)?, int(end)?, tx.now.into()];
        let rows = tx.db.fetch_all(select, &parameters).await?;
        let reserved: Vec<u64> =
            rows.iter().map(|row| row.uint("value")).collect::<Result<_, _>>()?;
        let free = |value: &u64| !taken.contains(value) && !reserved.contains(value);
        if let Some(value) = (from..=end).find(free) {
            return Ok(Some(value));
        }
        let Some(next) = end.checked_add(1) else { break };
        from = next;
    }
    Ok(None)
}

async fn write(
    tx: &mut Tx,
    owner: InstanceId,
    attempt: AttemptId,
    ordinal: Value,
    mark: &Mark,
    request: &IdReservation,
    value: u64,
) -> Result<(), Error> {
    let (pool, value): (Value, Value) = (request.pool.as_str().into(), int(value)?);
    // A retired one whose time is over makes way.
    let insert = "INSERT INTO reserved_ids
            (pool, value, owner, attempt, ordinal, mark, retire_for, free_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, NULL)
        ON CONFLICT (pool, value) DO UPDATE SET owner = excluded.owner,
            attempt = excluded.attempt, ordinal = excluded.ordinal, mark = excluded.mark,
            retire_for = excluded.retire_for, free_at = NULL";
    let retire_for = i64::try_from(request.retire_for.as_millis()).unwrap_or(MOST_MILLIS);
    let retire_for = retire_for.min(MOST_MILLIS);
    let parameters = [
        pool.clone(),
        value.clone(),
        text(owner),
        text(attempt),
        ordinal,
        text(mark),
        retire_for.into(),
    ];
    tx.db.execute(insert, &parameters).await?;
    let cursor = "INSERT INTO id_pools (pool, last) VALUES ($1, $2)
        ON CONFLICT (pool) DO UPDATE SET last = excluded.last";
    tx.db.execute(cursor, &[pool, value]).await?;
    Ok(())
}

/// Gives back what was reserved for an instance's attempt, or all of its
/// attempts; nobody gets it before its time is over.
pub(crate) async fn retire(
    tx: &mut Tx,
    owner: InstanceId,
    attempt: Option<AttemptId>,
    watch: bool,
) -> Result<(), Error> {
    // One that is not watched loses its mark.
    let update = "UPDATE reserved_ids SET free_at = $3 + retire_for,
            mark = CASE WHEN $4 = 1 THEN mark ELSE '' END
        WHERE owner = $1 AND ($2 IS NULL OR attempt = $2) AND free_at IS NULL";
    let attempt = Value::Text(attempt.map(|id| id.to_string()));
    let watch = Value::Int(Some(i64::from(watch)));
    tx.db.execute(update, &[text(owner), attempt, tx.now.into(), watch]).await?;
    Ok(())
}

/// Gives back one id.
pub(crate) async fn retire_one(tx: &mut Tx, pool: &str, value: u64) -> Result<(), Error> {
    let update = "UPDATE reserved_ids SET free_at = $3 + retire_for
        WHERE pool = $1 AND value = $2 AND free_at IS NULL";
    tx.db.execute(update, &[pool.into(), int(value)?, tx.now.into()]).await?;
    Ok(())
}

/// The ids of pools whose name begins like this that are still retired and
/// watched.
pub(crate) async fn retired(
    db: &mut Connection,
    pool_prefix: &str,
    now: Timestamp,
) -> Result<Vec<RetiredId>, Error> {
    let select = "SELECT pool, value, mark, free_at FROM reserved_ids
        WHERE SUBSTR(pool, 1, LENGTH($1)) = $1 AND free_at > $2 AND mark <> ''
        ORDER BY pool, value";
    let read = |row: &Row| {
        let mark = row.text("mark")?;
        let parsed = Mark::parse(&mark);
        Ok(RetiredId {
            pool: row.text("pool")?,
            value: row.uint("value")?,
            mark: parsed.ok_or_else(|| Error::Corrupt(format!("mark: {mark:?}")))?,
            until: row.time("free_at")?,
        })
    };
    db.fetch_all(select, &[pool_prefix.into(), now.into()]).await?.iter().map(read).collect()
}

/// Forgets retired ids whose time is over.
pub(crate) async fn compact(tx: &mut Tx) -> Result<(), Error> {
    tx.db.execute("DELETE FROM reserved_ids WHERE free_at <= $1", &[tx.now.into()]).await?;
    Ok(())
}
