//! A toy workflow, carried out by the real executor over the real store, with
//! a crash at every write.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use engine::{
    Applied, Commit, Executor, ExecutorSettings, HandleState, History, JournalStore, Kind, Limit,
    Mode, NewWorkflow, Outcome, Policy, Probed, Registry, Spawn, StepContext, StepDef, StepError,
    StoreError, Undone, Wait, Watch, Workflow, WorkflowId,
};
use model::{Clock, OperationKind, OperationState, Phase, Timestamp};
use serde_json::{Value, json};
use store::{Change, InstanceUpdate, PostgresSettings, Settings, Start, Store, Synchronous};

use super::world::World;

/// What is outside: the names of the things that are there.
type Outside = Arc<Mutex<BTreeSet<String>>>;

/// Makes a thing, waits for its task, then makes two children, which make one
/// thing each.
struct Toy {
    outside: Outside,
}

fn effect(name: &str) -> StepDef {
    StepDef {
        effect: true,
        request_timeout: Duration::from_secs(1),
        settle: Duration::from_secs(1),
        limits: vec![Limit { key: "outside".to_owned(), at_most: 1 }],
        ..StepDef::local(name, Mode::Reversible)
    }
}

fn input<'h>(history: &'h History, key: &str) -> Option<&'h str> {
    history.input.get(key).and_then(Value::as_str)
}

impl Toy {
    fn thing(context: &StepContext<'_>) -> String {
        input(context.history, "thing").unwrap().to_owned()
    }

    fn update(history: &History, phase: Phase) -> Vec<Change> {
        let id = input(history, "instance").map(|id| id.parse().unwrap());
        let update = InstanceUpdate { phase: Some(phase), ..InstanceUpdate::default() };
        id.map(|id| Change::UpdateInstance { id, update: Box::new(update) }).into_iter().collect()
    }
}

#[async_trait]
impl Workflow<Change> for Toy {
    fn kind(&self) -> Kind {
        Kind::new("toy", 1)
    }

    fn steps(&self, history: &History) -> Result<Vec<StepDef>, String> {
        let mut steps = vec![effect("make")];
        if history.input.get("children").is_some() {
            steps.push(StepDef::local("children", Mode::Reversible));
        }
        Ok(steps)
    }

    async fn apply(&self, context: &StepContext<'_>) -> Result<Applied<Change>, StepError> {
        if context.step.name == "children" {
            let children = context.history.input["children"].as_array().unwrap();
            let child = |child: &Value| NewWorkflow {
                id: child["id"].as_str().unwrap().parse().unwrap(),
                kind: Kind::new("toy", 1),
                input: child.clone(),
                deadline: context.now.plus(Duration::from_secs(600)),
                claim: Some(format!("thing/{}", child["thing"])),
                supersede: false,
            };
            let children = children.iter().map(child).collect();
            return Ok(Applied::Spawn(Spawn { children, at_most: 1, policy: Policy::All }));
        }
        if input(context.history, "fails").is_some() {
            return Err(StepError::permanent("as told"));
        }
        self.outside.lock().unwrap().insert(Self::thing(context));
        let handle = json!({"task": Self::thing(context)});
        let on = Wait::Handle { group: "outside".to_owned(), handle };
        Ok(Applied::Wait { on, changes: Vec::new() })
    }

    async fn probe(&self, context: &StepContext<'_>) -> Result<Probed<Change>, StepError> {
        if self.outside.lock().unwrap().contains(&Self::thing(context)) {
            return Ok(Probed::Done { output: Value::Null, changes: Vec::new() });
        }
        Ok(Probed::NotDone)
    }

    async fn undo(&self, context: &StepContext<'_>) -> Result<Undone<Change>, StepError> {
        let mut outside = self.outside.lock().unwrap();
        if context.step.name == "children" {
            for child in context.history.input["children"].as_array().unwrap() {
                outside.remove(child["thing"].as_str().unwrap());
            }
        } else {
            outside.remove(&Self::thing(context));
        }
        Ok(Undone::Done { changes: Vec::new() })
    }

    fn ended(&self, history: &History, outcome: &Outcome, _now: Timestamp) -> Vec<Change> {
        let phase = if outcome.is_done() { Phase::Ready } else { Phase::Failed };
        Self::update(history, phase)
    }
}

struct AllDone;

#[async_trait]
impl Watch for AllDone {
    async fn poll(&self, _group: &str, handles: &[Value]) -> Result<Vec<HandleState>, String> {
        Ok(vec![HandleState::Ok; handles.len()])
    }
}

/// A store that dies with its executor after so many writes: the next one
/// happens (or not) and is not answered.
struct Mortal {
    store: Arc<Store>,
    writes_left: Mutex<u32>,
    dies_after_writing: bool,
}

impl Mortal {
    fn spend(&self) -> Result<(), StoreError> {
        let mut left = self.writes_left.lock().unwrap();
        *left = left.checked_sub(1).ok_or(StoreError::Fenced)?;
        Ok(())
    }
}

#[async_trait]
impl JournalStore for Mortal {
    type Change = Change;

    async fn begin_epoch(&self, ttl: Duration) -> Result<engine::EpochId, StoreError> {
        self.store.begin_epoch(ttl).await
    }

    async fn renew_epoch(&self, epoch: engine::EpochId, ttl: Duration) -> Result<(), StoreError> {
        self.store.renew_epoch(epoch, ttl).await
    }

    async fn claim(
        &self,
        epoch: engine::EpochId,
        kinds: &[Kind],
        most: usize,
    ) -> Result<Vec<engine::WorkflowRecord>, StoreError> {
        self.spend()?;
        self.store.claim(epoch, kinds, most).await
    }

    async fn release(&self, epoch: engine::EpochId, id: WorkflowId) -> Result<(), StoreError> {
        self.store.release(epoch, id).await
    }

    async fn append(
        &self,
        epoch: engine::EpochId,
        id: WorkflowId,
        after: u64,
        commit: Commit<Change>,
    ) -> Result<engine::Appended, StoreError> {
        let alive = self.spend();
        if alive.is_ok() || self.dies_after_writing {
            let written = self.store.append(epoch, id, after, commit).await?;
            return alive.map(|()| written);
        }
        Err(StoreError::Fenced)
    }

    async fn open_handles(&self) -> Result<Vec<engine::OpenHandle>, StoreError> {
        self.store.open_handles().await
    }

    async fn resolve(
        &self,
        ended: Vec<(engine::OpenHandle, HandleState)>,
    ) -> Result<(), StoreError> {
        self.spend()?;
        self.store.resolve(ended).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.store.next_due().await
    }

    fn hint(&self) -> Arc<tokio::sync::Notify> {
        self.store.hint()
    }
}

/// Drives until nothing happens any more, or the store dies.
async fn drive(
    world: &World,
    outside: &Outside,
    writes: u32,
    dies_after_writing: bool,
) -> Result<(), StoreError> {
    let mut registry = Registry::default();
    registry.add(Arc::new(Toy { outside: Arc::clone(outside) })).unwrap();
    let store = Arc::new(Mortal {
        store: Arc::clone(&world.store),
        writes_left: Mutex::new(writes),
        dies_after_writing,
    });
    let clock: Arc<dyn Clock> = Arc::new(world.clock.clone());
    let sleep = Arc::new(world.clock.clone());
    let settings = ExecutorSettings::default();
    let executor =
        Executor::begin(store, Arc::new(registry), Arc::new(AllDone), clock, sleep, settings);
    let executor = executor.await?;
    let mut idle = 0;
    while idle < 20 {
        idle = if executor.drive().await? { 0 } else { idle + 1 };
        world.clock.advance(Duration::from_millis(500));
        if going(&world.store).await == 0 {
            break;
        }
    }
    Ok(())
}

/// How many workflows have not ended.
async fn going(store: &Store) -> usize {
    store.dump().await.unwrap()["workflows"].as_array().unwrap().len()
}

/// Begins an operation with two children; the second one fails if told so.
async fn begin(world: &World, fails: bool) -> (model::Instance, model::OperationId) {
    let instance = world.instance();
    let claim = format!("instance/{}", instance.id);
    let mut workflow = world.workflow(Some(&claim));
    let ids = [world.workflow(None).id, world.workflow(None).id];
    let mut children = json!([
        {"id": ids[0].to_string(), "thing": "left"},
        {"id": ids[1].to_string(), "thing": "right"},
    ]);
    if fails {
        children[1]["fails"] = json!("yes");
    }
    workflow.input =
        json!({"thing": "main", "instance": instance.id.to_string(), "children": children});
    let id = workflow.id;
    let operation = Some(world.operation(id, &instance, OperationKind::Create));
    let changes = vec![Change::InsertInstance(Box::new(instance.clone()))];
    world.store.start(Start { workflow, operation, changes }).await.unwrap();
    (instance, id.as_operation())
}

async fn check(world: &World, outside: &Outside, fails: bool, id: model::OperationId) {
    let operation = world.store.operation(id).await.unwrap().unwrap();
    let instance = world.store.instance(operation.instance).await.unwrap().unwrap();
    let dump = world.store.dump().await.unwrap();
    for table in ["claims", "limits_held", "workflows"] {
        assert_eq!(dump[table], json!([]), "{table}");
    }
    assert_eq!(instance.operation, None);
    let things: Vec<String> = outside.lock().unwrap().iter().cloned().collect();
    if fails {
        assert_eq!(operation.state, OperationState::Failed, "{operation:?}");
        assert!(operation.reason.unwrap().contains("1 of 2 children failed"));
        assert_eq!(instance.phase, Phase::Failed);
        assert!(things.is_empty(), "{things:?}");
    } else {
        assert_eq!(operation.state, OperationState::Succeeded, "{operation:?}");
        assert_eq!(instance.phase, Phase::Ready);
        assert_eq!(things, ["left", "main", "right"]);
    }
}

#[tokio::test]
async fn a_workflow_with_children_runs_to_its_end() {
    for fails in [false, true] {
        let (world, outside) = (World::new().await, Outside::default());
        let (_, id) = begin(&world, fails).await;
        drive(&world, &outside, u32::MAX, false).await.unwrap();
        check(&world, &outside, fails, id).await;
    }
}

#[tokio::test]
async fn a_crash_at_any_write_changes_nothing_about_the_end() {
    for fails in [false, true] {
        for dies_after_writing in [false, true] {
            let mut crashes = 0;
            // Each takes a second data base where there is a server.
            for writes in (0..).step_by(if super::POSTGRES { 7 } else { 1 }) {
                let (world, outside) = (World::new().await, Outside::default());
                let (_, id) = begin(&world, fails).await;
                let died = drive(&world, &outside, writes, dies_after_writing).await.is_err();
                let world = world.reopen().await;
                drive(&world, &outside, u32::MAX, false).await.unwrap();
                check(&world, &outside, fails, id).await;
                if !died {
                    break;
                }
                crashes += 1;
            }
            assert!(crashes > if super::POSTGRES { 2 } else { 10 }, "{crashes}");
        }
    }
}

/// The executor's own pauses are longer than the test lasts: only what the
/// store tells it makes it go on.
#[tokio::test]
async fn an_executor_that_sleeps_is_told_when_there_is_something_to_do() {
    let (world, outside) = (World::new().await, Outside::default());
    let mut registry = Registry::default();
    registry.add(Arc::new(Toy { outside: Arc::clone(&outside) })).unwrap();
    let settings = ExecutorSettings {
        idle: Duration::from_secs(3600),
        poll_every: (Duration::from_millis(1), Duration::from_millis(1)),
        ..ExecutorSettings::default()
    };
    let clock = Arc::new(model::time::SystemClock::new());
    let real = Arc::clone(&clock) as Arc<dyn Clock>;
    let random = Arc::clone(&world.random) as Arc<dyn model::Random>;
    let store = match &world.data_base {
        Some(data_base) => {
            let key = world.folder.path().join("secret.key");
            let settings = PostgresSettings::new(data_base.url(), key);
            Store::open_postgres(settings, real, random).await
        }
        None => {
            let path = world.folder.path().join("real.db");
            let settings = Settings { synchronous: Synchronous::Off, ..Settings::default() };
            Store::open_sqlite(&path, settings, real, random).await
        }
    };
    let world = World { store: store.unwrap(), ..world };
    let executor = Executor::begin(
        Arc::clone(&world.store),
        Arc::new(registry),
        Arc::new(AllDone),
        clock,
        Arc::new(engine::TokioSleep),
        settings,
    );
    let executor = executor.await.unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let test = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut changes = world.store.subscribe();
        let (_, id) = begin(&world, false).await;
        while world.store.operation(id).await.unwrap().unwrap().ended_at.is_none() {
            changes.changed().await.unwrap();
        }
        stop.cancel();
        id
    };
    let both = async { tokio::join!(executor.run(stop.clone()), test) };
    let (ran, id) = tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
    ran.unwrap();
    check(&world, &outside, false, id).await;
}
