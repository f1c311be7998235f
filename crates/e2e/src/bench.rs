//! One house over one world, driven by a manual clock, that can be killed and
//! opened again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use engine::{Entry, Executor, ExecutorSettings, JournalStore as _, Outcome, Recorded, StoreError};
use model::random::SeededRandom;
use model::time::ManualClock;
use model::{
    Caller, Clock, Door, OperationId, Principal, ProjectId, ProviderId, Random, Role, Timestamp,
};
use provisioner::{Core, Expiry, House, HouseSettings, Observer, ProviderWatch, registry};
use store::testing::{Cluster, DataBase};
use store::{PostgresSettings, Settings, Store, Synchronous, TimeSource};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::crash::{CrashStore, Interruption, Moment};
use crate::world::{MakeWorld, World};

/// What a bench lets run after one another at most.
const MOST_ROUNDS: u32 = 20_000;
/// How much virtual time an operation may take at most.
const MOST_TIME: Duration = Duration::from_secs(6 * 3600);
/// How often the observer looks.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// Where the benches' data bases lie: in memory where the machine has that.
fn scratch() -> Result<TempDir> {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("innkeeper-").tempdir_in(folder).context("no scratch folder")
}

/// The data base's file in its folder.
const DATA_BASE: &str = "innkeeper.db";

/// An empty data base with its key, made once: making one takes longer than a
/// whole case.
static TEMPLATE: OnceCell<TempDir> = OnceCell::const_new();

/// Whether the benches' stores are in PostgreSQL: `INNKEEPER_STORE=postgres`.
fn on_postgres() -> bool {
    std::env::var_os("INNKEEPER_STORE").is_some_and(|store| store == "postgres")
}

/// An empty data base of PostgreSQL that goes with the key of the template.
static POSTGRES: OnceCell<DataBase> = OnceCell::const_new();

/// How the store in this data base is opened, by the bench's clock.
fn settings_of(data_base: &DataBase, folder: &Path) -> PostgresSettings {
    let settings = PostgresSettings::new(data_base.url(), folder.join("secret.key"));
    PostgresSettings { time: TimeSource::Process, readers: 2, ..settings }
}

async fn fresh_data_base(folder: &Path) -> Result<Option<DataBase>> {
    if !on_postgres() {
        return Ok(None);
    }
    let make = async || -> Result<DataBase> {
        let data_base = Cluster::shared().data_base();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(START_MS)));
        let random = Arc::new(SeededRandom::new(0));
        let settings = settings_of(&data_base, folder);
        Store::open_postgres(settings, clock, random).await?.close().await;
        Ok(data_base)
    };
    let template = POSTGRES.get_or_try_init(make).await?;
    Ok(Some(template.cluster().copy_of(template.name())))
}

async fn template() -> Result<TempDir> {
    let folder = scratch()?;
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(START_MS)));
    let random = Arc::new(SeededRandom::new(0));
    let path = folder.path().join(DATA_BASE);
    Store::open_sqlite(&path, Settings::default(), clock, random).await?.close().await;
    Ok(folder)
}

async fn fresh_folder() -> Result<TempDir> {
    let (template, folder) = (TEMPLATE.get_or_try_init(template).await?, scratch()?);
    for entry in std::fs::read_dir(template.path())? {
        let entry = entry?;
        std::fs::copy(entry.path(), folder.path().join(entry.file_name()))?;
    }
    Ok(folder)
}

/// When every bench begins.
const START_MS: i64 = 1_800_000_000_000;

/// One process of the house.
struct Process {
    store: Arc<Store>,
    core: Arc<Core>,
    house: Arc<House>,
    journal: Arc<CrashStore>,
    executor: Executor<CrashStore>,
    observer: Observer,
    looked_at: Option<Duration>,
}

/// One house over one world.
pub struct Bench {
    /// The time.
    pub clock: ManualClock,
    /// The world.
    pub world: Arc<dyn World>,
    random: Arc<SeededRandom>,
    folder: TempDir,
    data_base: Option<DataBase>,
    process: Option<Process>,
    processes: u32,
    /// Wraps the provider, for tests that break it on purpose.
    wrap: Option<Wrap>,
}

/// Changes a provider before the house sees it.
pub type Wrap =
    Arc<dyn Fn(Arc<dyn provider::Provider>) -> Arc<dyn provider::Provider> + Send + Sync>;

impl Bench {
    /// A fresh house over a fresh world.
    ///
    /// # Errors
    /// When the store cannot be opened.
    pub async fn new(make: MakeWorld, seed: u64) -> Result<Self> {
        Self::wrapped(make, seed, None).await
    }

    /// As [`Bench::new`], with a provider that is changed first.
    ///
    /// # Errors
    /// When the store cannot be opened.
    pub async fn wrapped(make: MakeWorld, seed: u64, wrap: Option<Wrap>) -> Result<Self> {
        let clock = ManualClock::at(Timestamp::from_millis(START_MS));
        let world = make(&clock).await;
        let folder = fresh_folder().await?;
        let data_base = fresh_data_base(folder.path()).await?;
        let mut bench = Self {
            clock,
            world,
            random: Arc::new(SeededRandom::new(seed)),
            folder,
            data_base,
            process: None,
            processes: 0,
            wrap,
        };
        bench.open(None).await?;
        bench.look().await;
        Ok(bench)
    }

    /// The provider's name.
    pub fn provider_id() -> ProviderId {
        #[allow(clippy::expect_used, reason = "a constant that is a valid name")]
        "lab".parse().expect("lab is a name")
    }

    /// Kills the process, if one lives, and opens the house again from its
    /// files. The new process dies at the given append, if one is given.
    ///
    /// # Errors
    /// When the store cannot be opened.
    pub async fn open(&mut self, crash: Option<(u64, Moment)>) -> Result<()> {
        self.kill().await;
        self.processes += 1;
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let random: Arc<dyn Random> = self.random.clone();
        let store = self.open_store(Arc::clone(&clock), Arc::clone(&random)).await?;
        let mut provider =
            self.world.provider(&format!("process {}", self.processes), store.installation_id());
        if let Some(wrap) = &self.wrap {
            provider = wrap(provider);
        }
        let providers = BTreeMap::from([(Self::provider_id(), provider)]);
        let metadata_url = Some("http://192.0.2.1:8008/".to_owned());
        let settings = HouseSettings { metadata_url, ..HouseSettings::default() };
        let core =
            Core::open(Arc::clone(&store), providers, Arc::clone(&clock), random, settings).await?;
        let journal = CrashStore::new(Arc::clone(&store), crash);
        let executor = Executor::begin(
            Arc::clone(&journal),
            Arc::new(registry(&core)?),
            Arc::new(ProviderWatch(Arc::clone(&core))),
            clock,
            Arc::new(self.clock.clone()),
            ExecutorSettings::default(),
        )
        .await?;
        let observer = Observer::new(Arc::clone(&core), Self::provider_id());
        let house = House::new(Arc::clone(&core));
        self.process =
            Some(Process { store, core, house, journal, executor, observer, looked_at: None });
        Ok(())
    }

    async fn open_store(
        &self,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Arc<Store>> {
        let folder = self.folder.path();
        let Some(data_base) = &self.data_base else {
            let settings = Settings { synchronous: Synchronous::Off, ..Settings::default() };
            let path = folder.join(DATA_BASE);
            return Ok(Store::open_sqlite(&path, settings, clock, random).await?);
        };
        // As if the leases of the process that died had run out.
        data_base.sql("UPDATE epochs SET expires_at = 0");
        Ok(Store::open_postgres(settings_of(data_base, folder), clock, random).await?)
    }

    async fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            let store = Arc::clone(&process.store);
            drop(process);
            store.close().await;
        }
    }

    fn process(&self) -> &Process {
        #[allow(clippy::expect_used, reason = "open() ran and kill() is private to it")]
        self.process.as_ref().expect("a bench always has a process")
    }

    /// The use cases.
    pub fn house(&self) -> Arc<House> {
        Arc::clone(&self.process().house)
    }

    /// The store.
    pub fn store(&self) -> Arc<Store> {
        Arc::clone(&self.process().store)
    }

    /// What stands behind the use cases.
    pub fn core(&self) -> Arc<Core> {
        Arc::clone(&self.process().core)
    }

    /// Lets something happen right after the present process's append number
    /// `at`.
    pub fn interrupt(&self, at: u64, interruption: Interruption) {
        self.process().journal.interrupt(at, interruption);
    }

    /// How many appends the present process has made.
    pub fn appends(&self) -> u64 {
        self.process().journal.appends()
    }

    /// An administrator who calls through the native door.
    pub fn admin(&self) -> Caller {
        #[allow(clippy::expect_used, reason = "a constant that is a valid name")]
        let project: ProjectId = "default".parse().expect("default is a name");
        let principal = Principal { id: "admin".to_owned(), name: "admin".to_owned() };
        Caller::new(principal, project, Door::Native, Role::Admin)
    }

    /// Lets the observer look.
    pub async fn look(&mut self) {
        let now = self.clock.monotonic();
        if let Some(process) = &mut self.process {
            process.looked_at = Some(now);
            process.observer.look().await;
            Expiry::new(Arc::clone(&process.house)).look().await;
        }
    }

    /// Asks the guests for their addresses.
    pub async fn ask_addresses(&self) {
        self.process().observer.ask_addresses().await;
    }

    /// Carries on what is due, and opens the house again when it has died.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn round(&mut self) -> Result<bool> {
        let due = self
            .process()
            .looked_at
            .is_none_or(|at| self.clock.monotonic().saturating_sub(at) >= LOOK_EVERY);
        if due {
            self.look().await;
        }
        match self.process().executor.drive().await {
            Ok(busy) => Ok(busy),
            // Dead, or so late that its lease is over: another process follows.
            Err(StoreError::Fenced) => {
                self.open(None).await?;
                Ok(true)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Lets the time pass until the next thing happens, `most` at most.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn pass(&mut self, most: Duration) -> Result<()> {
        let due = self.process().store.next_due().await?;
        let due = due.map(|at| at.since(self.clock.now()));
        let next = [due, self.world.next_event()].into_iter().flatten().min().unwrap_or(most);
        let by = next.clamp(Duration::from_millis(10), most);
        self.clock.advance(by);
        self.world.advanced(by).await;
        Ok(())
    }

    /// How an operation has ended, or that it is stuck; `None` while neither.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn outcome(&self, id: OperationId) -> Result<Option<Outcome>> {
        let journal = self.journal(id).await?;
        Ok(match journal.last().map(|recorded| &recorded.entry) {
            Some(Entry::Ended { outcome }) => Some(outcome.clone()),
            Some(Entry::Stuck { reason, left }) => {
                Some(Outcome::Stuck { reason: reason.clone(), left: left.clone() })
            }
            _ => None,
        })
    }

    /// An operation's journal; empty while there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn journal(&self, id: OperationId) -> Result<Vec<Recorded>> {
        let journal = self.process().store.operation_journal(id).await?;
        Ok(journal.map(|journal| journal.entries).unwrap_or_default())
    }

    /// Lets time pass until an operation has ended or is stuck.
    ///
    /// # Errors
    /// When it does neither, or the store fails.
    pub async fn settle(&mut self, id: OperationId) -> Result<Outcome> {
        let start = self.clock.monotonic();
        for _ in 0..MOST_ROUNDS {
            let busy = self.round().await?;
            if let Some(outcome) = self.outcome(id).await? {
                return Ok(outcome);
            }
            ensure!(self.clock.monotonic() - start < MOST_TIME, "{}", self.story(id).await?);
            if !busy {
                self.pass(Duration::from_secs(3)).await?;
            }
        }
        bail!("does not settle: {}", self.story(id).await?)
    }

    /// Lets this much time pass, with everything that happens in it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn rest(&mut self, time: Duration) -> Result<()> {
        let until = self.clock.monotonic() + time;
        while self.clock.monotonic() < until {
            if !self.round().await? {
                self.pass(LOOK_EVERY).await?;
            }
        }
        while self.round().await? {}
        Ok(())
    }

    /// An operation's journal, a line each, for messages.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn story(&self, id: OperationId) -> Result<String> {
        let lines: Vec<String> = self
            .journal(id)
            .await?
            .iter()
            .map(|recorded| {
                let text = format!("{:?}", recorded.entry);
                format!("  {} {}", recorded.at, text.chars().take(300).collect::<String>())
            })
            .collect();
        Ok(lines.join("\n"))
    }
}
