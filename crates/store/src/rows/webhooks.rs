use model::{ProjectId, Sealed, Timestamp, WebhookId};

use crate::Error;
use crate::db::{Connection, Row, Tx, Value, int, text};

/// Somebody who is told of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Of whose events; `None`: of everybody's.
    pub project: Option<ProjectId>,
    /// Where it is told.
    pub url: String,
    /// What its messages are signed with.
    pub secret: Sealed,
    /// When it was made.
    pub created_at: Timestamp,
    /// How far it has been told.
    pub progress: WebhookProgress,
}

/// How far somebody has been told, and how it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookProgress {
    /// The last event that it has taken.
    pub cursor: u64,
    /// How many times in a row it did not take the next one.
    pub failures: u32,
    /// Since when.
    pub failing_since: Option<Timestamp>,
    /// When it is tried again.
    pub next_at: Option<Timestamp>,
    /// Why it did not take it.
    pub last_error: Option<String>,
    /// Since when it is not tried any more.
    pub dead_at: Option<Timestamp>,
}

fn read(row: &Row) -> Result<Webhook, Error> {
    let progress = WebhookProgress {
        cursor: row.uint("cursor")?,
        failures: row.small("failures")?,
        failing_since: row.opt_time("failing_since")?,
        next_at: row.opt_time("next_at")?,
        last_error: row.opt_text("last_error")?,
        dead_at: row.opt_time("dead_at")?,
    };
    Ok(Webhook {
        id: row.parsed("id")?,
        project: row.opt_parsed("project")?,
        url: row.text("url")?,
        secret: Sealed(row.parsed("secret")?),
        created_at: row.time("created_at")?,
        progress,
    })
}

pub(crate) async fn put(tx: &mut Tx, hook: &Webhook) -> Result<(), Error> {
    let insert = "INSERT INTO webhooks (id, project, url, secret, created_at, cursor, failures)
        VALUES ($1, $2, $3, $4, $5, $6, 0)";
    let parameters = [
        text(hook.id),
        Value::Text(hook.project.as_ref().map(ToString::to_string)),
        hook.url.as_str().into(),
        text(hook.secret.0),
        tx.now.into(),
        int(hook.progress.cursor)?,
    ];
    tx.db.execute(insert, &parameters).await?;
    Ok(())
}

/// Notes how far it has been told. One that is gone is left alone.
pub(crate) async fn progress(
    tx: &mut Tx,
    id: WebhookId,
    progress: &WebhookProgress,
) -> Result<(), Error> {
    let update = "UPDATE webhooks SET cursor = $2, failures = $3, failing_since = $4, next_at = $5,
            last_error = $6, dead_at = $7
        WHERE id = $1";
    let parameters = [
        text(id),
        int(progress.cursor)?,
        progress.failures.into(),
        progress.failing_since.into(),
        progress.next_at.into(),
        progress.last_error.clone().into(),
        progress.dead_at.into(),
    ];
    tx.db.execute(update, &parameters).await?;
    Ok(())
}

pub(crate) async fn remove(tx: &mut Tx, id: WebhookId) -> Result<(), Error> {
    let row = get(&mut tx.db, id).await?.ok_or_else(|| Error::not_found("webhook", id))?;
    super::secrets::remove(tx, row.secret.0).await?;
    tx.db.execute("DELETE FROM webhooks WHERE id = $1", &[text(id)]).await?;
    Ok(())
}

pub(crate) async fn get(db: &mut Connection, id: WebhookId) -> Result<Option<Webhook>, Error> {
    let row = db.fetch_one("SELECT * FROM webhooks WHERE id = $1", &[text(id)]).await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn list(db: &mut Connection) -> Result<Vec<Webhook>, Error> {
    let select = "SELECT * FROM webhooks ORDER BY id LIMIT 1000";
    db.fetch_all(select, &[]).await?.iter().map(read).collect()
}
