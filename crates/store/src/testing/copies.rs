//! Many instances without the time that making them takes: the row of one is
//! copied. For benches, on a data base that nobody has open.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection as _, Row as _};

/// What differs in a copy.
#[derive(Debug, Clone)]
pub struct InstanceCopy {
    /// Its id.
    pub id: String,
    /// Its name, also in its specification.
    pub name: String,
    /// Texts of the reference to its guest, and what stands there in the copy.
    pub native: [(String, String); 2],
}

async fn connect(data_base: &Path) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(data_base)).await
}

/// The reference to an instance's guest, as JSON text.
///
/// # Errors
/// When there is no such row.
pub async fn native_of(data_base: &Path, id: &str) -> Result<String, sqlx::Error> {
    let mut connection = connect(data_base).await?;
    let select = "SELECT native FROM instances WHERE id = $1";
    let row = sqlx::query(select).bind(id).fetch_one(&mut connection).await?;
    connection.close().await?;
    row.try_get(0)
}

/// Puts copies of an instance named `name` in the place of all instances.
///
/// # Errors
/// When the data base fails; then nothing has changed.
pub async fn replace_by_copies(
    data_base: &Path,
    first: &str,
    name: &str,
    copies: &[InstanceCopy],
) -> Result<(), sqlx::Error> {
    let mut connection = connect(data_base).await?;
    let mut tx = connection.begin().await?;
    let keep = "CREATE TEMP TABLE first AS SELECT * FROM instances WHERE id = $1";
    sqlx::query(keep).bind(first).execute(&mut *tx).await?;
    sqlx::query("DELETE FROM instances").execute(&mut *tx).await?;
    for InstanceCopy { id, name: own, native: [one, two] } in copies {
        sqlx::query("CREATE TEMP TABLE copy AS SELECT * FROM first").execute(&mut *tx).await?;
        let rename = "UPDATE copy SET id = $1, name = $2, spec = replace(spec, $3, $2),
            native = replace(replace(native, $4, $5), $6, $7)";
        let rename = sqlx::query(rename).bind(id).bind(own).bind(name);
        let rename = rename.bind(&one.0).bind(&one.1).bind(&two.0).bind(&two.1);
        rename.execute(&mut *tx).await?;
        sqlx::query("INSERT INTO instances SELECT * FROM copy").execute(&mut *tx).await?;
        sqlx::query("DROP TABLE copy").execute(&mut *tx).await?;
    }
    tx.commit().await?;
    connection.close().await
}
