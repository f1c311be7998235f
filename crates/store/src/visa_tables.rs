//! The tables of VISA's Node.js provider for Proxmox and of its metadata server,
//! read for taking over what they hold. Nothing is ever written to them.

use model::Timestamp;

use crate::Error;
use crate::db::{Connection, Postgres, PostgresSettings, Row};

/// A flavour: a row of the provider's table `flavour`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldFlavour {
    /// Its id: any text.
    pub id: String,
    /// Its name; not unique.
    pub name: String,
    /// Cores.
    pub cores: i64,
    /// GiB.
    pub memory_gib: i64,
    /// GiB; was never applied to a guest.
    pub disk_gib: i64,
}

/// An instance: a row of the provider's table `vm`.
#[derive(Clone, PartialEq, Eq)]
pub struct OldInstance {
    /// The guest's vmid.
    pub id: String,
    /// The guest's name when it was made.
    pub name: String,
    /// The id of its flavour.
    pub flavour: String,
    /// The vmid of its template.
    pub image: String,
    /// When it was made; the column is a date, so that this is a midnight.
    pub created_at: Timestamp,
    /// What VISA sent about it, as YAML. Personal data.
    pub metadata: String,
    /// What it ran at its first boot. May hold secrets.
    pub boot_command: String,
    /// The state that was last written down.
    pub status: String,
}

impl std::fmt::Debug for OldInstance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OldInstance({}, {}, ..)", self.id, self.name)
    }
}

/// A guest's documents: a row of the metadata server's table `vm`.
#[derive(Clone, PartialEq, Eq)]
pub struct OldSeed {
    /// The guest's vmid.
    pub id: String,
    /// cloud-init's user-data.
    pub user_data: String,
    /// cloud-init's meta-data.
    pub meta_data: String,
}

impl std::fmt::Debug for OldSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OldSeed({}, ..)", self.id)
    }
}

// Columns are read by their names out of JSON where old versions lacked them or
// wrote them differently.
const FLAVOURS: &str = "SELECT CAST(id AS TEXT) AS id, CAST(name AS TEXT) AS name,
        CAST(cpus AS BIGINT) AS cores, CAST(ram AS BIGINT) AS memory, CAST(disk AS BIGINT) AS disk
    FROM flavour ORDER BY id LIMIT 10000";
const INSTANCES: &str = "SELECT CAST(id AS TEXT) AS id, COALESCE(CAST(name AS TEXT), '') AS name,
        CAST(flavour_id AS TEXT) AS flavour, CAST(image_id AS TEXT) AS image,
        CAST(EXTRACT(EPOCH FROM created_at) * 1000 AS BIGINT) AS created_at,
        COALESCE(CAST(metadata AS TEXT), '') AS metadata,
        COALESCE(CAST(boot_command AS TEXT), '') AS boot_command,
        COALESCE(to_jsonb(vm) ->> 'status', '') AS status
    FROM vm ORDER BY length(id), id LIMIT 100000";
const SEEDS: &str = "SELECT CAST(id AS TEXT) AS id,
        COALESCE(to_jsonb(vm) ->> 'userData', to_jsonb(vm) ->> 'user_data', '') AS user_data,
        COALESCE(to_jsonb(vm) ->> 'metaData', to_jsonb(vm) ->> 'meta_data', '') AS meta_data
    FROM vm ORDER BY id LIMIT 100000";

/// Flavours and instances of the provider's data base.
///
/// # Errors
/// [`Error::Unavailable`] when it does not answer; [`Error::Corrupt`] when it
/// does not hold these tables.
pub async fn visa_connector(
    settings: PostgresSettings,
) -> Result<(Vec<OldFlavour>, Vec<OldInstance>), Error> {
    let mut db = connect(settings).await?;
    let flavour = |row: &Row| {
        Ok(OldFlavour {
            id: row.text("id")?,
            name: row.text("name")?,
            cores: row.int("cores")?,
            memory_gib: row.int("memory")?,
            disk_gib: row.int("disk")?,
        })
    };
    let instance = |row: &Row| {
        Ok(OldInstance {
            id: row.text("id")?,
            name: row.text("name")?,
            flavour: row.text("flavour")?,
            image: row.text("image")?,
            created_at: row.time("created_at")?,
            metadata: row.text("metadata")?,
            boot_command: row.text("boot_command")?,
            status: row.text("status")?,
        })
    };
    let flavours = db.fetch_all(FLAVOURS, &[]).await?.iter().map(flavour).collect();
    let flavours: Result<_, Error> = flavours;
    let instances = db.fetch_all(INSTANCES, &[]).await?.iter().map(instance).collect();
    let instances: Result<_, Error> = instances;
    db.close().await?;
    Ok((flavours?, instances?))
}

/// The documents of the metadata server's data base.
///
/// # Errors
/// As [`visa_connector`].
pub async fn visa_seeds(settings: PostgresSettings) -> Result<Vec<OldSeed>, Error> {
    let mut db = connect(settings).await?;
    let seed = |row: &Row| {
        Ok(OldSeed {
            id: row.text("id")?,
            user_data: row.text("user_data")?,
            meta_data: row.text("meta_data")?,
        })
    };
    let seeds: Result<_, Error> = db.fetch_all(SEEDS, &[]).await?.iter().map(seed).collect();
    db.close().await?;
    seeds
}

/// A connection that cannot write.
async fn connect(settings: PostgresSettings) -> Result<Connection, Error> {
    let mut db = Postgres::new(settings)?.connect().await?;
    db.run("SET default_transaction_read_only = on").await?;
    Ok(db)
}
