use model::{ProjectId, Role, Timestamp, TokenId};

use crate::Error;
use crate::db::{Connection, Row, Tx, text, word};

/// A bearer token of the native door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its id, which is the first part of the token itself.
    pub id: TokenId,
    /// A name for people.
    pub name: String,
    /// For which project.
    pub project: ProjectId,
    /// With which rights.
    pub role: Role,
    /// The hash of the token's secret part (a PHC text).
    pub secret_hash: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

fn read(row: &Row) -> Result<Token, Error> {
    Ok(Token {
        id: row.parsed("id")?,
        name: row.text("name")?,
        project: row.parsed("project")?,
        role: row.word("role")?,
        secret_hash: row.text("secret_hash")?,
        created_at: row.time("created_at")?,
        expires_at: row.opt_time("expires_at")?,
        revoked_at: row.opt_time("revoked_at")?,
    })
}

pub(crate) async fn put(tx: &mut Tx, token: &Token) -> Result<(), Error> {
    let insert = "INSERT INTO tokens
            (id, name, project, role, secret_hash, created_at, expires_at, revoked_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let parameters = [
        text(token.id),
        token.name.as_str().into(),
        text(&token.project),
        word(&token.role)?,
        token.secret_hash.as_str().into(),
        token.created_at.into(),
        token.expires_at.into(),
        token.revoked_at.into(),
    ];
    tx.db.execute(insert, &parameters).await?;
    Ok(())
}

pub(crate) async fn revoke(tx: &mut Tx, id: TokenId) -> Result<(), Error> {
    let update = "UPDATE tokens SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1";
    match tx.db.execute(update, &[text(id), tx.now.into()]).await? {
        0 => Err(Error::not_found("token", id)),
        _ => Ok(()),
    }
}

pub(crate) async fn get(db: &mut Connection, id: TokenId) -> Result<Option<Token>, Error> {
    let row = db.fetch_one("SELECT * FROM tokens WHERE id = $1", &[text(id)]).await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn list(db: &mut Connection) -> Result<Vec<Token>, Error> {
    let select = "SELECT * FROM tokens ORDER BY id LIMIT 10000";
    db.fetch_all(select, &[]).await?.iter().map(read).collect()
}
