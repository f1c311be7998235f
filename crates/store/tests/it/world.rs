//! A store in a folder of its own, with a clock that the test moves.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::{
    Appended, Commit, Entry, EpochId, JournalStore, Kind, NewWorkflow, Outcome, Spawn, Status,
    StoreError, WorkflowId, WorkflowRecord,
};
use model::random::SeededRandom;
use model::time::ManualClock;
use model::{
    AttemptId, ByteCount, Clock, Door, Flavour, FlavourId, ImageId, Instance, InstanceId,
    InstanceSpec, Mark, Operation, OperationId, OperationKind, OperationState, Phase, Snapshots,
    Timestamp,
};
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, Connection as _};
use store::testing::{Cluster, DataBase};
use store::{Change, PostgresSettings, Settings, Start, Store, Synchronous, TimeSource};
use tempfile::TempDir;
use tokio::sync::OnceCell;

pub const TTL: Duration = Duration::from_secs(60);

pub struct World {
    pub folder: TempDir,
    pub clock: ManualClock,
    pub random: Arc<SeededRandom>,
    pub store: Arc<Store>,
    pub data_base: Option<DataBase>,
}

/// Opens the SQLite store in this file.
pub async fn open(
    path: PathBuf,
    clock: &ManualClock,
    random: &Arc<SeededRandom>,
) -> Result<Arc<Store>, store::Error> {
    let settings = Settings { synchronous: Synchronous::Off, ..Settings::default() };
    let random = Arc::clone(random);
    Store::open_sqlite(&path, settings, Arc::new(clock.clone()), random).await
}

/// How the PostgreSQL stores of the tests are opened.
pub fn settings(data_base: &DataBase, key_file: PathBuf) -> PostgresSettings {
    let settings = PostgresSettings::new(data_base.url(), key_file);
    PostgresSettings { time: TimeSource::Process, readers: 4, ..settings }
}

/// Opens the store in this data base, or in the folder's file without one.
pub async fn open_in(
    folder: &Path,
    data_base: Option<&DataBase>,
    clock: &ManualClock,
    random: &Arc<SeededRandom>,
) -> Result<Arc<Store>, store::Error> {
    let Some(data_base) = data_base else {
        return open(folder.join("house.db"), clock, random).await;
    };
    let settings = settings(data_base, folder.join("secret.key"));
    let random = Arc::clone(random);
    Store::open_postgres(settings, Arc::new(clock.clone()), random).await
}

/// An empty store and its key, made once: making a key waits for the disk.
static EMPTY: OnceCell<Empty> = OnceCell::const_new();

/// Files, and the data base that goes with them.
type Empty = (Vec<(&'static str, Vec<u8>)>, Option<DataBase>);

async fn empty() -> Empty {
    let folder = tempfile::tempdir().unwrap();
    let (clock, random) = (ManualClock::default(), Arc::new(SeededRandom::new(0)));
    let store = open(folder.path().join("house.db"), &clock, &random).await.unwrap();
    store.close().await;
    let read = |name| (name, std::fs::read(folder.path().join(name)).unwrap());
    if !super::POSTGRES {
        return (vec![read("house.db"), read("secret.key")], None);
    }
    let data_base = Cluster::shared().data_base();
    let store = open_in(folder.path(), Some(&data_base), &clock, &random).await.unwrap();
    store.close().await;
    (vec![read("secret.key")], Some(data_base))
}

impl World {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (files, template) = EMPTY.get_or_init(empty).await;
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let data_base =
            template.as_ref().map(|template| template.cluster().copy_of(template.name()));
        let clock = ManualClock::at(Timestamp::from_millis(1_800_000_000_000));
        let random = Arc::new(SeededRandom::new(1));
        let store = open_in(folder.path(), data_base.as_ref(), &clock, &random).await.unwrap();
        Self { folder, clock, random, store, data_base }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("house.db")
    }

    /// Drops the store as a crash would, and opens it again when its leases have
    /// run out.
    pub async fn reopen(self) -> Self {
        let Self { folder, clock, random, store, data_base } = self;
        drop(store);
        if let Some(data_base) = &data_base {
            data_base.sql("UPDATE epochs SET expires_at = 0");
        }
        let store = open_in(folder.path(), data_base.as_ref(), &clock, &random).await.unwrap();
        Self { folder, clock, random, store, data_base }
    }

    /// Carries out a statement beside the store.
    pub async fn sql(&self, sql: &'static str) {
        if let Some(data_base) = &self.data_base {
            return data_base.sql(sql);
        }
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.path());
        let mut connection = options.connect().await.unwrap();
        sqlx::query(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    pub fn later(&self, seconds: u64) -> Timestamp {
        self.clock.now().plus(Duration::from_secs(seconds))
    }

    pub fn workflow(&self, claim: Option<&str>) -> NewWorkflow {
        // Ids sort by time: the order of calls is the order of ids.
        self.clock.advance(Duration::from_millis(1));
        NewWorkflow {
            id: WorkflowId::generate(&self.clock, &*self.random),
            kind: Kind::new("toy", 1),
            input: json!({"name": "toy"}),
            deadline: self.later(3600),
            claim: claim.map(str::to_owned),
            supersede: false,
        }
    }

    pub fn superseder(&self, claim: &str) -> NewWorkflow {
        NewWorkflow { supersede: true, ..self.workflow(Some(claim)) }
    }

    pub fn instance(&self) -> Instance {
        self.clock.advance(Duration::from_millis(1));
        Instance {
            id: InstanceId::generate(&self.clock, &*self.random),
            project: "red".parse().unwrap(),
            managed_by: Door::Native,
            provider: "lab".parse().unwrap(),
            spec: InstanceSpec {
                labels: [("role".to_owned(), "web".to_owned())].into(),
                ..InstanceSpec::new(
                    "web-1",
                    ImageId::generate(&self.clock, &*self.random),
                    2,
                    ByteCount::gib(4),
                )
            },
            generation: 1,
            phase: Phase::Creating,
            attempt: AttemptId::generate(&self.clock, &*self.random),
            attempts: 1,
            native: Value::Null,
            observed: None,
            fault: None,
            operation: None,
            snapshots: Snapshots::default(),
            ownership: model::Ownership::default(),
            expiry: model::ExpiryNotes::default(),
            created_at: self.clock.now(),
            sequence: 0,
        }
    }

    pub fn flavour(&self, name: &str) -> Flavour {
        Flavour {
            id: FlavourId::generate(&self.clock, &*self.random),
            name: name.to_owned(),
            cores: 1,
            memory: ByteCount::gib(1),
            disk: None,
            devices: Vec::new(),
        }
    }

    pub fn mark(&self, instance: &Instance) -> Mark {
        Mark {
            installation: self.store.installation_id(),
            instance: instance.id,
            attempt: instance.attempt,
        }
    }

    pub fn operation(&self, id: WorkflowId, instance: &Instance, kind: OperationKind) -> Operation {
        Operation {
            id: id.as_operation(),
            kind,
            instance: instance.id,
            instance_name: instance.spec.name.clone(),
            project: instance.project.clone(),
            state: OperationState::Running,
            reason: None,
            left: Vec::new(),
            cancel_requested: false,
            asked_by: "ada".to_owned(),
            created_at: self.clock.now(),
            ended_at: None,
            steps: Vec::new(),
        }
    }

    /// Begins an operation on an instance, which is inserted if it is new.
    pub async fn operate(
        &self,
        instance: &Instance,
        kind: OperationKind,
    ) -> Result<OperationId, store::Error> {
        let claim = format!("instance/{}", instance.id);
        let workflow = match kind {
            OperationKind::Delete => self.superseder(&claim),
            _ => self.workflow(Some(&claim)),
        };
        let id = workflow.id;
        let changes = match kind {
            OperationKind::Create => vec![Change::InsertInstance(Box::new(instance.clone()))],
            _ => Vec::new(),
        };
        let operation = Some(self.operation(id, instance, kind));
        self.store.start(Start { workflow, operation, changes }).await?;
        Ok(id.as_operation())
    }

    pub async fn start(&self, workflow: NewWorkflow) -> Result<WorkflowId, store::Error> {
        let id = workflow.id;
        let start = Start { workflow, operation: None, changes: Vec::new() };
        self.store.start(start).await.map(|_| id)
    }

    pub async fn epoch(&self) -> EpochId {
        self.store.begin_epoch(TTL).await.unwrap()
    }

    /// An epoch of a process that comes after all others.
    pub async fn later_epoch(&self) -> EpochId {
        if self.data_base.is_some() {
            // On SQLite they are over because the process is another one.
            self.sql("UPDATE epochs SET expires_at = 0").await;
        }
        self.epoch().await
    }

    pub async fn claim(&self, epoch: EpochId) -> Vec<WorkflowRecord> {
        self.store.claim(epoch, &[Kind::new("toy", 1)], 100).await.unwrap()
    }

    pub async fn claimed(&self, epoch: EpochId) -> Vec<WorkflowId> {
        self.claim(epoch).await.into_iter().map(|record| record.id).collect()
    }

    pub async fn append(
        &self,
        epoch: EpochId,
        id: impl Into<WorkflowId>,
        after: u64,
        commit: Commit<Change>,
    ) -> Result<Appended, StoreError> {
        self.store.append(epoch, id.into(), after, commit).await
    }

    /// Ends a workflow that has been claimed and has this many lines.
    pub async fn end(
        &self,
        epoch: EpochId,
        id: impl Into<WorkflowId>,
        after: u64,
        outcome: Outcome,
    ) {
        let commit = lines(vec![Entry::Ended { outcome }], Status::Ended);
        self.append(epoch, id, after, commit).await.unwrap();
    }

    pub async fn state(&self, id: OperationId) -> OperationState {
        self.store.operation(id).await.unwrap().unwrap().state
    }
}

pub fn lines(entries: Vec<Entry>, status: Status) -> Commit<Change> {
    Commit {
        entries,
        changes: Vec::new(),
        status,
        acquire: Vec::new(),
        release: false,
        spawn: None,
        cancellable: true,
        unless_cancelled: false,
    }
}

pub fn begun() -> Entry {
    Entry::Begun { step: "one".to_owned() }
}

pub fn running() -> Commit<Change> {
    lines(vec![begun()], Status::Running)
}

pub fn stuck() -> Commit<Change> {
    let entry = Entry::Stuck { reason: "no power".to_owned(), left: vec!["vm 100".to_owned()] };
    lines(vec![entry], Status::Stuck)
}

pub fn spawning(spawn: Spawn, until: Timestamp) -> Commit<Change> {
    let wait = engine::Wait::Children { policy: spawn.policy };
    let entry = Entry::Waiting { step: "children".to_owned(), wait: wait.clone() };
    let status = Status::Waiting { wait, until };
    Commit { spawn: Some(spawn), ..lines(vec![entry], status) }
}

pub fn failed() -> Outcome {
    let (step, reason) = ("one".to_owned(), "broken".to_owned());
    Outcome::Unwound { cause: engine::Cause::Failed { step, reason, again: false } }
}
