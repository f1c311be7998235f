//! The lines of journals.

use engine::{Entry, Recorded, WorkflowId};

use crate::Error;
use crate::db::{Connection, Row, Tx, int, json, text};

/// Writes these lines after line `after`.
pub(super) async fn write(
    tx: &mut Tx,
    id: WorkflowId,
    after: u64,
    lines: &[Entry],
) -> Result<(), Error> {
    let insert = "INSERT INTO journal (workflow, sequence, at, entry) VALUES ($1, $2, $3, $4)";
    for (sequence, line) in (after + 1..).zip(lines) {
        let parameters = [text(id), int(sequence)?, tx.now.into(), json(line)?];
        tx.db.execute(insert, &parameters).await?;
    }
    Ok(())
}

/// A workflow's whole journal.
pub(crate) async fn entries(db: &mut Connection, id: WorkflowId) -> Result<Vec<Recorded>, Error> {
    let select = "SELECT sequence, at, entry FROM journal WHERE workflow = $1 ORDER BY sequence";
    let read = |row: &Row| {
        Ok(Recorded {
            sequence: row.uint("sequence")?,
            at: row.time("at")?,
            entry: row.json("entry")?,
        })
    };
    db.fetch_all(select, &[text(id)]).await?.iter().map(read).collect()
}
