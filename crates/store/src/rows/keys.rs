use std::time::Duration;

use model::{InstanceId, OperationId, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};

use crate::Error;
use crate::db::{Connection, Row, Tx, Value};
use crate::seal::Key;

/// How long a key is remembered: longer than a client tries again.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// A key by which a caller can ask again without asking twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    /// Within which it is unique.
    pub scope: String,
    /// The key.
    pub key: String,
    /// A digest of the whole request.
    pub fingerprint: String,
}

/// A key that was used.
#[derive(Clone, Debug)]
pub struct UsedKey {
    /// The digest of the request that it was used for.
    pub fingerprint: String,
    /// The operation that the request began, with its instance.
    pub begun: Option<(OperationId, InstanceId)>,
    /// What was answered, unless the process ended in between.
    pub answer: Option<SecretString>,
}

fn place(scope: &str, key: &str) -> String {
    format!("idempotency {scope} {key}")
}

fn oldest(now: Timestamp) -> Timestamp {
    let kept = i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(now.as_millis().saturating_sub(kept))
}

/// Uses a key. It is [`Error::KeyUsed`] when it was used already.
pub(crate) async fn take(
    tx: &mut Tx,
    key: &RequestKey,
    begun: Option<(OperationId, InstanceId)>,
) -> Result<(), Error> {
    let forget = "DELETE FROM idempotency_keys WHERE scope = $1 AND key = $2 AND created_at < $3";
    let (scope, name) = (key.scope.as_str(), key.key.as_str());
    tx.db.execute(forget, &[scope.into(), name.into(), oldest(tx.now).into()]).await?;
    let insert = "INSERT INTO idempotency_keys
            (scope, key, fingerprint, operation, instance, created_at)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (scope, key) DO NOTHING";
    let parameters = [
        scope.into(),
        name.into(),
        key.fingerprint.as_str().into(),
        Value::Text(begun.map(|(operation, _)| operation.to_string())),
        Value::Text(begun.map(|(_, instance)| instance.to_string())),
        tx.now.into(),
    ];
    match tx.db.execute(insert, &parameters).await? {
        0 => Err(Error::KeyUsed),
        _ => Ok(()),
    }
}

/// Keeps what a request was answered. A request that wrote nothing else uses its
/// key with this.
pub(crate) async fn answer(
    tx: &mut Tx,
    key: &RequestKey,
    answer: &SecretString,
) -> Result<(), Error> {
    let envelope = tx.key.seal(&place(&key.scope, &key.key), answer.expose_secret())?;
    let put = "INSERT INTO idempotency_keys (scope, key, fingerprint, answer, created_at)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (scope, key) DO UPDATE SET answer = excluded.answer
            WHERE idempotency_keys.fingerprint = excluded.fingerprint";
    let parameters = [
        key.scope.as_str().into(),
        key.key.as_str().into(),
        key.fingerprint.as_str().into(),
        envelope.into(),
        tx.now.into(),
    ];
    tx.db.execute(put, &parameters).await?;
    Ok(())
}

pub(crate) async fn get(
    db: &mut Connection,
    sealed_with: &Key,
    now: Timestamp,
    scope: &str,
    key: &str,
) -> Result<Option<UsedKey>, Error> {
    let select = "SELECT fingerprint, operation, instance, answer FROM idempotency_keys
        WHERE scope = $1 AND key = $2 AND created_at >= $3";
    let row = db.fetch_one(select, &[scope.into(), key.into(), oldest(now).into()]).await?;
    let read = |row: Row| {
        let operation: Option<OperationId> = row.opt_parsed("operation")?;
        let instance: Option<InstanceId> = row.opt_parsed("instance")?;
        let open = |envelope: String| sealed_with.open(&place(scope, key), &envelope);
        Ok(UsedKey {
            fingerprint: row.text("fingerprint")?,
            begun: operation.zip(instance),
            answer: row.opt_text("answer")?.map(open).transpose()?,
        })
    };
    row.map(read).transpose()
}

pub(crate) async fn compact(tx: &mut Tx) -> Result<(), Error> {
    let forget = "DELETE FROM idempotency_keys WHERE created_at < $1";
    tx.db.execute(forget, &[oldest(tx.now).into()]).await?;
    Ok(())
}
