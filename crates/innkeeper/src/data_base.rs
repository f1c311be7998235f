//! The data base: which one, opened how; `migrate` and `store copy`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use model::time::SystemClock;
use model::{Clock, Random};
use provisioner::SystemRandom;
use secrecy::{ExposeSecret as _, SecretString};
use store::{PostgresSettings, Schema, Settings, Store};
use url::Url;

use crate::config::{Config, SecretSource, StoreConfig};
use crate::state::StateFolder;

/// Holds the data base's password when no file does.
const PASSWORD: &str = "INNKEEPER_STORE_PASSWORD";

/// What the configuration says.
enum Choice {
    Sqlite(PathBuf, Settings),
    Postgres(Box<PostgresSettings>),
}

fn choose(config: &StoreConfig, state: &StateFolder) -> Result<Choice> {
    let Some(url) = &config.postgres else {
        let path = config.sqlite.clone().unwrap_or_else(|| state.data_base());
        let settings = Settings { key_file: config.key().path()?, ..Settings::default() };
        return Ok(Choice::Sqlite(path, settings));
    };
    let key_file = config.key().path()?.context("store.key_file: expected a file, got none")?;
    let url = with_password(&url.parse()?, config.password())?;
    let usual = PostgresSettings::new(url, key_file);
    let seconds = |value: Option<u64>, usual| value.map_or(usual, Duration::from_secs);
    Ok(Choice::Postgres(Box::new(PostgresSettings {
        readers: config.readers.unwrap_or(usual.readers),
        connect_timeout: seconds(config.connect_timeout_s, usual.connect_timeout),
        statement_timeout: seconds(config.statement_timeout_s, usual.statement_timeout),
        ..usual
    })))
}

/// The URL with the password from its place, or else from the usual variable.
fn with_password(url: &Url, place: SecretSource<'_>) -> Result<SecretString> {
    let password = match place.read()? {
        Some(password) => password,
        None => SecretString::from(std::env::var(PASSWORD).unwrap_or_default()),
    };
    let mut url = url.clone();
    if !password.expose_secret().is_empty()
        && url.set_password(Some(password.expose_secret())).is_err()
    {
        bail!("store.postgres: expected postgres://USER@HOST/DATABASE for a password, got {url}");
    }
    Ok(SecretString::from(url.to_string()))
}

/// Opens the data base that the configuration names.
///
/// # Errors
/// When it cannot be opened.
pub async fn open(
    config: &Config,
    state: &StateFolder,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> Result<Arc<Store>> {
    match choose(&config.store, state)? {
        Choice::Sqlite(path, settings) => Store::open_sqlite(&path, settings, clock, random)
            .await
            .with_context(|| format!("cannot open {}", path.display())),
        Choice::Postgres(settings) => Store::open_postgres(*settings, clock, random)
            .await
            .context("cannot open the PostgreSQL data base"),
    }
}

/// Whether there is a data base of this program's schema.
///
/// # Errors
/// When it does not answer, or is newer than this program.
pub async fn is_there(config: &Config) -> Result<bool> {
    if config.store.postgres.is_none() {
        let usual = || config.state.join("innkeeper.db");
        return Ok(config.store.sqlite.clone().unwrap_or_else(usual).exists());
    }
    let state = StateFolder::open(&config.state)?;
    let Choice::Postgres(settings) = choose(&config.store, &state)? else { return Ok(true) };
    Ok(Store::missing_in_postgres(*settings).await?.is_empty())
}

/// Brings the data base to the schema of this program. `serve` does it by itself
/// on SQLite; on PostgreSQL it refuses an older schema, because other replicas
/// may be running: stop them first.
#[derive(Args, Clone, Debug)]
pub struct Migrate {
    /// The configuration
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
    /// Only show what would be done
    #[arg(long)]
    dry_run: bool,
}

/// Shows what is missing, and applies it.
///
/// # Errors
/// When the data base cannot be opened.
pub async fn migrate(options: &Migrate) -> Result<()> {
    let config = Config::read(&options.config)?;
    let state = StateFolder::open(&config.state)?;
    let choice = choose(&config.store, &state)?;
    let missing = match &choice {
        Choice::Sqlite(path, _) => Store::missing_in_sqlite(path).await?,
        Choice::Postgres(settings) => Store::missing_in_postgres((**settings).clone()).await?,
    };
    if missing.is_empty() {
        println!("The schema is up to date.");
        return Ok(());
    }
    for migration in &missing {
        println!("{} migration {migration}", if options.dry_run { "missing:" } else { "applying" });
    }
    if options.dry_run {
        return Ok(());
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let random: Arc<dyn Random> = Arc::new(SystemRandom::new());
    let store = match choice {
        Choice::Sqlite(path, settings) => {
            Store::open_sqlite(&path, settings, clock, random).await?
        }
        Choice::Postgres(settings) => {
            let settings = PostgresSettings { schema: Schema::Migrate, ..*settings };
            Store::open_postgres(settings, clock, random).await?
        }
    };
    store.close().await;
    println!("The schema is up to date.");
    Ok(())
}

/// What is done with whole data bases.
#[derive(Subcommand, Clone, Debug)]
pub enum StoreCommand {
    /// Copy everything from SQLite to an empty PostgreSQL data base
    ///
    /// Nobody may be using the SQLite file. All of it arrives or nothing; rows
    /// are counted and compared on both sides.
    Copy(Copy),
    /// Seal all secrets with another key
    ///
    /// Nobody may be using the data base: stop all servers first.
    Rekey(Rekey),
}

/// Which data base, and which key.
#[derive(Args, Clone, Debug)]
pub struct Rekey {
    /// The configuration, which names the data base and its old key
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
    /// A file with the new key: 64 hexadecimal digits (openssl rand -hex 32)
    #[arg(long, value_name = "FILE")]
    new_key_file: PathBuf,
}

/// Seals everything anew, and says what is left to do.
///
/// # Errors
/// When the data base or a key cannot be opened, or a server is running.
pub async fn rekey(options: &Rekey) -> Result<()> {
    let config = Config::read(&options.config)?;
    let state = StateFolder::open(&config.state)?;
    let new = &options.new_key_file;
    let (sealed, old) = match choose(&config.store, &state)? {
        Choice::Sqlite(path, settings) => {
            let beside = path.parent().unwrap_or(Path::new(".")).join("secret.key");
            let old = settings.key_file.unwrap_or(beside);
            (Store::rekey_sqlite(&path, &old, new).await?, old)
        }
        Choice::Postgres(settings) => {
            let old = settings.key_file.clone();
            (Store::rekey_postgres(*settings, new, &SystemClock::new()).await?, old)
        }
    };
    println!("{sealed} secrets are sealed with the new key.");
    println!("Put it in the old one's place before the next start:");
    println!("  mv {} {}", new.display(), old.display());
    Ok(())
}

/// From where to where.
#[derive(Args, Clone, Debug)]
pub struct Copy {
    /// The SQLite file
    #[arg(long, value_name = "sqlite:FILE")]
    from: String,
    /// The PostgreSQL data base, without a password
    #[arg(long, value_name = "postgres://USER@HOST/DATABASE")]
    to: Url,
    /// A file with the password (otherwise INNKEEPER_STORE_PASSWORD)
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The key that the secrets are sealed with; `secret.key` beside the SQLite
    /// file when not given
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// Copies, and prints what was copied.
///
/// # Errors
/// When a side cannot be opened, or is not as it should be.
pub async fn copy(options: &Copy) -> Result<()> {
    let Some(from) = options.from.strip_prefix("sqlite:").map(PathBuf::from) else {
        bail!("--from: expected sqlite:FILE, got {:?}", options.from);
    };
    if options.to.password().is_some() {
        bail!("--to: a password on the command line can be seen by everybody: use --password-file");
    }
    let beside = from.parent().unwrap_or(Path::new(".")).join("secret.key");
    let key_file = options.key_file.clone().unwrap_or(beside);
    let file = options.password_file.as_deref();
    let place = SecretSource { key: "--password", file, env: None, credential: None };
    let url = with_password(&options.to, place)?;
    let settings = PostgresSettings::new(url, key_file);
    let clock = SystemClock::new();
    let copied = Store::copy_to_postgres(&from, settings, &clock).await?;
    for table in &copied {
        println!("{:<20} {:>10} rows  {}", table.table, table.rows, &table.digest[..16]);
    }
    let rows: u64 = copied.iter().map(|table| table.rows).sum();
    println!("Copied {rows} rows of {} tables; both sides are the same.", copied.len());
    Ok(())
}
